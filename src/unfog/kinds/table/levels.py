"""Levels: the distinct values of a column ↔ whole numbers for a masking path."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from unfog.errors import ArgumentError, DataError, RunError
from unfog.kinds.table.cells import Cells

MOST = 1000  # levels of their own; a column with more has its rarest ones in one level, "rare"


@dataclass(frozen=True)
class Levels:
    """Code 0 … k-1 are the levels, then "rare" if there is one, then missing if there is one.

    Attributes:
        dtype: of the column.     values: (k,) plain levels; dates are their microseconds.
        rare: level → how often it occurred in training; the code "rare" decodes to a draw of them.
        missing: whether the column has missing cells in training.
    """

    dtype: np.dtype
    values: list[Any]
    rare: dict[Any, int]
    missing: bool

    @classmethod
    def fit(cls, cells: Cells, order: list[Any] | None = None) -> Levels:
        """The levels of the training cells, sorted, or in the order given.

        Raises: ArgumentError for an order that lacks a level.
        """
        counts = Counter(plain_levels(cells.known()))
        frequent = sorted(counts, key=lambda level: (-counts[level], level))
        kept = frequent if len(frequent) <= MOST else frequent[: MOST - 1]
        rare = {level: counts[level] for level in frequent[len(kept) :]}
        values = sorted(kept)
        if order is not None:
            lacking = [level for level in frequent if level not in order]
            if lacking:
                raise ArgumentError(
                    f"the order {order} lacks the level {lacking[0]!r}, which the training rows "
                    "have; name every level"
                )
            values = list(order)
        return cls(cells.values.dtype, values, rare, not bool(cells.present.all()))

    @property
    def size(self) -> int:
        """How many codes there are."""
        return len(self.values) + bool(self.rare) + self.missing

    @cached_property
    def codes(self) -> dict[Any, int]:
        """level → code."""
        found = {level: code for code, level in enumerate(self.values)}
        return found | dict.fromkeys(self.rare, len(self.values))

    def known(self, cells: Cells) -> np.ndarray:
        """(B,) bool: cells that have a code."""
        return self._coded(cells) >= 0

    def encode(self, name: str, cells: Cells, unknown: str) -> np.ndarray:
        """Cells (B,) → int64 codes.

        Args:
            unknown: "refuse", or "as-missing": an unseen level becomes missing if that is a level.
        Raises: DataError for a level or a missing cell that training didn't have.
        """
        codes = self._coded(cells)
        strange = codes < 0
        if unknown == "as-missing" and self.missing:
            codes[strange] = self.size - 1
        elif strange.any():
            row = int(np.flatnonzero(strange)[0])
            if not cells.present[row]:
                raise never_missing(name, cells)
            fix = "--unknown as-missing" if self.missing else "correct or leave out the row"
            shown = cells.values[row : row + 1].tolist()[0]
            raise DataError(
                f"column {name!r} holds {shown!r} in row {row + 1}, counted from 1, which training "
                f"did not have; "
                f"known are {self._some()}: {fix}"
            )
        return codes

    def decode(self, codes: np.ndarray, chance: np.ndarray) -> Cells:
        """Codes (B,) and uniform draws (B,), for the rare levels → cells."""
        present = codes < self.size - self.missing
        values = np.empty(len(codes), dtype=object)
        values[:] = [self.values[code] if code < len(self.values) else None for code in codes]
        rare = present & (codes == len(self.values))
        if rare.any():
            shares = np.cumsum(list(self.rare.values()))
            pick = np.searchsorted(shares, chance[rare] * shares[-1], side="right")
            levels = list(self.rare)
            values[rare] = [levels[place] for place in pick]
        values[~present] = self._filler()
        return Cells(_typed(values, self.dtype), present)

    def spread(self, chances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Chances (B, size) of the codes → all levels (K,) in the column's type, rare ones too, and
        their chances (B, K); what "missing" has is left out.
        """
        values, shares = list(self.values), [chances[:, : len(self.values)]]
        if self.rare:
            counts = np.array(list(self.rare.values()))
            values += list(self.rare)
            shares.append(chances[:, len(self.values), None] * (counts / counts.sum()))
        named = np.empty(len(values), dtype=object)
        named[:] = values
        return _typed(named, self.dtype), np.concatenate(shares, 1)

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "dtype": self.dtype.str,
            "values": self.values,
            "rare": [[level, count] for level, count in self.rare.items()],
            "missing": self.missing,
        }

    @classmethod
    def from_json(cls, config: dict[str, Any]) -> Levels:
        """The inverse of `to_json`. Raises: RunError for levels of another type, or repeated."""
        dtype = np.dtype(config["dtype"])
        values, rare = list(config["values"]), dict(config["rare"])
        wanted = {"O": str, "b": bool, "f": float}.get(dtype.kind, int)
        levels = [*values, *rare]
        if any(type(level) is not wanted for level in levels) or len(set(levels)) < len(levels):
            raise RunError("the codec's levels are repeated or of a wrong type; fit again")
        if not levels or any(type(count) is not int or count < 1 for count in rare.values()):
            raise RunError("the codec's levels or their counts are damaged; fit again")
        return cls(dtype, values, rare, bool(config["missing"]))

    def _coded(self, cells: Cells) -> np.ndarray:
        codes = self.codes
        strange = len(self.values) if self.rare else -1  # an unseen level is a rare one
        last = self.size - 1 if self.missing else -1
        found = [codes.get(level, strange) for level in plain_levels(cells.values)]
        return np.where(cells.present, np.array(found, dtype=np.int64), last)

    def _filler(self) -> Any:
        return self.values[0]

    def _some(self) -> str:
        shown = ", ".join(repr(level) for level in self.values[:8])
        return shown + (", …" if len(self.values) > 8 else "")


def never_missing(name: str, cells: Cells) -> DataError:
    """The error for a missing cell in a column that had none in training."""
    row = int(np.flatnonzero(~cells.present)[0])
    return DataError(
        f"column {name!r} is missing in row {row + 1}, counted from 1, and was never missing in "
        "training; fill it, leave the row out, or fit on data with missing cells"
    )


def plain_levels(values: np.ndarray) -> list[Any]:
    """Plain Python values that can be sorted, hashed and written as JSON; -0.0 is 0.0."""
    if values.dtype.kind in "mM":
        return values.astype(np.int64).tolist()
    if values.dtype.kind == "f":
        return (values + 0.0).tolist()
    return values.tolist()


def _typed(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype.kind in "mM":
        return values.astype(np.int64).astype(dtype)
    return values.astype(dtype)
