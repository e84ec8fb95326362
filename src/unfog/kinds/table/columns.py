"""One column of a table: its role and the maps that it takes part in the state by."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import Tensor

from unfog.errors import RunError
from unfog.kinds.table.cells import Cells
from unfog.kinds.table.draws import uniforms
from unfog.kinds.table.gaussianise import Number
from unfog.kinds.table.identifiers import (
    Identifiers,
    fit_identifiers,
    identifiers_from_json,
)
from unfog.kinds.table.levels import Levels, never_missing
from unfog.kinds.table.normal import ndtri
from unfog.kinds.table.roles import Role

DTYPES = {"<f8", "<i8", "|b1", "<M8[us]", "<m8[us]", "|O"}


@dataclass(frozen=True)
class Column:
    """What was learnt of one column. At most one of number, levels and identifiers is there.

    Attributes:
        mark: whether missing cells have a category of their own beside a number or an identifier.
        levels: of a category, or the one value of a constant.
    """

    dtype: np.dtype
    role: Role
    mark: bool = False
    number: Number | None = None
    levels: Levels | None = None
    identifiers: Identifiers | None = None

    @classmethod
    def fit(cls, cells: Cells, role: Role, seed: int) -> Column:
        """Learn from the training cells what the role asks for."""
        dtype, known = cells.values.dtype, cells.known()
        holes = not bool(cells.present.all())
        if role.coded == "number":
            return cls(dtype, role, holes, number=Number.fit(known))
        if role.coded == "category" or (role.kind == "constant" and len(known)):
            return cls(dtype, role, levels=Levels.fit(cells, role.order))
        if role.kind == "identifier":
            return cls(dtype, role, holes, identifiers=fit_identifiers(known, seed))
        return cls(dtype, role)

    @property
    def parts(self) -> list[tuple[str, str, int]]:
        """(field, part, number of codes) of every state column that it has; 0 codes is a number."""
        parts = [("num", "value", 0)] if self.number is not None else []
        if self.role.coded == "category" and self.levels is not None:
            parts.append(("cat", "level", self.levels.size))
        return [*parts, ("cat", "missing", 2)] if self.mark else parts

    def encode(self, name: str, cells: Cells, keys: np.ndarray, unknown: str) -> list[np.ndarray]:
        """The (B,) scores or codes of every part. Raises: DataError for what has no code."""
        found = []
        if self.number is not None:
            if not self.mark and not cells.present.all():
                raise never_missing(name, cells)
            found.append(self._scores(cells, keys, name)[0])
        elif self.role.coded == "category" and self.levels is not None:
            found.append(self.levels.encode(name, cells, unknown))
        if self.mark:
            found.append((~cells.present).astype(np.int64))
        return found

    def known(self, cells: Cells) -> np.ndarray:
        """(B,) bool: cells that can be encoded."""
        if self.number is not None:
            return cells.present | self.mark
        if self.role.coded == "category" and self.levels is not None:
            return self.levels.known(cells)
        return np.ones(len(cells), dtype=bool)

    def moved(self, name: str, cells: Cells, keys: np.ndarray) -> np.ndarray:
        """(B,) bool: numbers that training leaves no room for, encoded as the nearest instead."""
        if self.number is None:
            return np.zeros(len(cells), dtype=bool)
        return ~self._scores(cells, keys, name)[1]

    def decode(
        self, name: str, parts: dict[str, np.ndarray], keys: np.ndarray, start: int
    ) -> Cells:
        """The cells of these parts; `start` is the first row's number among all samples."""
        count = len(keys)
        present = parts["missing"] == 0 if self.mark else np.ones(count, dtype=bool)
        if self.number is not None:
            return Cells(self.number.decode(parts["value"]), present)
        if self.identifiers is not None:
            return Cells(self.identifiers.issue(start, count), present)
        if self.levels is not None:
            codes = parts.get("level", np.zeros(count, dtype=np.int64))
            return self.levels.decode(codes, uniforms(keys, f"rare {name}"))
        filler = "" if self.dtype == object else 0
        return Cells(np.full(count, filler).astype(self.dtype), np.zeros(count, dtype=bool))

    def note(self, name: str, cells: Cells) -> str:
        """What a user must know about how this column comes back; empty if nothing."""
        role = self.role
        if role.kind == "text":
            return (
                f"column {name!r} is free text ({role.reason}); left out, and comes back missing: "
                f"with --types {name}=category its texts are drawn as they are"
            )
        if role.kind == "identifier":
            return f"column {name!r} identifies rows ({role.reason}); not learnt, issued anew"
        if role.kind == "constant":
            return f"column {name!r} is constant ({role.reason}); comes back as it is"
        if self.levels is not None and self.levels.rare:
            rare = self.levels.rare
            return (
                f"column {name!r} has {len(rare) + len(self.levels.values)} levels; the "
                f"{len(rare)} rarest, in {sum(rare.values())} rows, are learnt as one and drawn as "
                "often as they occurred, whatever the rest of the row"
            )
        if self.number is not None and self.number.lattice is not None:
            known = cells.known()
            back = self.number.decode(self.number.encode(known, np.full(len(known), 0.5))[0])
            if (back != known).any():
                off = np.abs(back - known).max()
                return (
                    f"column {name!r} has finer steps than a float32 state tells apart: its values "
                    f"come back to within {off if self.dtype.kind in 'mM' else f'{off:.2g}'}"
                )
        return ""

    def to_json(self) -> dict[str, Any]:
        """Everything but the tensors."""
        return {
            "dtype": self.dtype.str,
            "role": asdict(self.role),
            "mark": self.mark,
            "number": None if self.number is None else self.number.to_json(),
            "levels": None if self.levels is None else self.levels.to_json(),
            "identifiers": None if self.identifiers is None else self.identifiers.to_json(),
        }

    def tensors(self) -> dict[str, Tensor]:
        """The numbers' quantiles."""
        return {} if self.number is None else self.number.tensors()

    @classmethod
    def from_json(cls, config: dict[str, Any], tensors: dict[str, Tensor]) -> Column:
        """The inverse of `to_json` and `tensors`. Raises: RunError for what does not fit."""
        role = Role(**config["role"])
        number, levels, issued = (config[key] for key in ("number", "levels", "identifiers"))
        types = {config["dtype"], *(part["dtype"] for part in (number, levels) if part)}
        if len(types) != 1 or not types <= DTYPES:
            raise RunError(f"the codec's types {sorted(types)} are no column's; fit again")
        if (role.coded == "number") != (number is not None) or (
            role.coded == "category" and levels is None
        ):
            raise RunError(f"the codec lacks what a column of type {role.kind!r} needs; fit again")
        return cls(
            np.dtype(config["dtype"]),
            role,
            bool(config["mark"]),
            None if number is None else Number.from_json(number, tensors),
            None if levels is None else Levels.from_json(levels),
            None if issued is None else identifiers_from_json(issued),
        )

    def _scores(self, cells: Cells, keys: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Scores, pure noise where missing; and whether the column can say the value."""
        assert self.number is not None
        noise = ndtri(uniforms(keys, f"missing {name}")).astype(np.float32)
        taken = np.ones(len(cells), dtype=bool)
        there = cells.present
        if there.any():
            chance = uniforms(keys, f"value {name}")[there]
            noise[there], taken[there] = self.number.encode(cells.values[there], chance)
        return noise, taken
