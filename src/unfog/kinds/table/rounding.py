"""Rounding: how finely a column is written, so that what is computed for it is written alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from unfog.kinds.table.cells import Cells
from unfog.kinds.table.lattice import CLOCK, Lattice

DAY = 86_400_000_000  # microseconds
CLOSE = 1e-9  # of the terms' size: what float64 arithmetic in another order may differ by
SINGLE = 5e-7  # the same in float32
EXACT = 2.0**53


@dataclass(frozen=True)
class Rounding:
    """The type of a column of numbers, dates or durations, and its last digit.

    Attributes:
        decimals: of floats; None where they are not rounded.     single: whether all of them are
            float32 numbers.     step: of dates and durations, in microseconds.
    """

    dtype: np.dtype
    decimals: int | None = 0
    single: bool = False
    step: int = 1

    @classmethod
    def of(cls, values: np.ndarray) -> Rounding:
        """Of known values (N,)."""
        if values.dtype.kind in "mM":
            units = values.astype(np.int64)
            return cls(values.dtype, step=next(part for part in CLOCK if (units % part == 0).all()))
        if values.dtype.kind != "f":
            return cls(values.dtype)
        lattice = Lattice.find(values) if len(values) else None
        if lattice is not None:
            return cls(values.dtype, lattice.decimals)
        with np.errstate(over="ignore"):
            single = bool((values.astype(np.float32) == values).all())
        return cls(values.dtype, None, single)

    @property
    def unit(self) -> float:
        """The distance of neighbours, in the units of `plain`; 0 where there is none."""
        if self.dtype.kind in "mM":
            return self.step / DAY
        return 0.0 if self.decimals is None else 10.0**-self.decimals

    def typed(self, numbers: np.ndarray) -> np.ndarray:
        """Finite plain numbers (N,) → values of the column."""
        if self.dtype.kind in "mM":
            units = np.rint(numbers * (DAY / self.step)).astype(np.int64) * self.step
            return units.astype(self.dtype)
        if self.dtype.kind in "ib":
            return np.rint(numbers).astype(np.int64).astype(self.dtype)
        if self.decimals is not None:
            scale = 10.0**self.decimals  # dividing gives the float that the decimals are read as
            return np.where(
                np.abs(numbers) * scale < EXACT, np.rint(numbers * scale) / scale + 0.0, numbers
            )
        return numbers.astype(np.float32).astype(np.float64) if self.single else numbers

    def agree(self, numbers: np.ndarray, exact: np.ndarray, size: np.ndarray) -> np.ndarray:
        """(N,) bool: plain numbers that are the exact ones, rounded.

        Args:
            size: (N,) of the terms that the exact ones were made of.
        """
        slack = (SINGLE if self.single else CLOSE) * size if not self.unit else 1e-13 * size
        return np.abs(numbers - exact) <= 0.5 * self.unit * (1 + 1e-6) + slack

    def to_json(self) -> list[Any]:
        """All of it."""
        return [self.dtype.str, self.decimals, self.single, self.step]

    @classmethod
    def from_json(cls, config: list[Any]) -> Rounding:
        """The inverse of `to_json`."""
        dtype, decimals, single, step = config
        return cls(
            np.dtype(dtype), None if decimals is None else int(decimals), bool(single), int(step)
        )


def plain(cells: Cells) -> np.ndarray:
    """(N,) float64: numbers as they are, dates and durations in days; NaN where missing."""
    values = cells.values
    if values.dtype.kind in "mM":
        numbers = values.astype(np.int64) / DAY
    else:
        numbers = values.astype(np.float64)
    return np.where(cells.present, numbers, np.nan)
