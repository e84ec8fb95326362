"""A table's columns as the baselines see them: numbers on their own lattice, or levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unfog.kinds.table.cells import Cells, Table

CONTINUOUS = 0.2  # this share of distinct known values makes a column a quantity, not a scale


@dataclass(frozen=True)
class Ladder:
    """One column's known values in ascending order (words by their spelling), without repeats.

    Attributes:
        cells: the training column.      values: (K,) distinct values.
        index: (N,) each row's place among them; meaningless where missing.
        share: (K,) how often each occurs among the known.
        step: the lattice that numbers stand on, 0 for none.
    """

    cells: Cells
    values: np.ndarray
    index: np.ndarray
    share: np.ndarray
    step: float

    @property
    def numeric(self) -> bool:
        """Whether its values can be added."""
        return self.cells.values.dtype.kind not in "Ob"

    @property
    def continuous(self) -> bool:
        """Whether new values between the known ones make sense."""
        return self.numeric and len(self.values) > CONTINUOUS * int(self.cells.present.sum())

    @property
    def numbers(self) -> np.ndarray:
        """(N,) float64; 0 where missing."""
        return np.where(self.cells.present, _float(self.cells.values), 0.0)

    def put(self, numbers: np.ndarray, present: np.ndarray) -> Cells:
        """Cells of the column's own type from float64 numbers (M,), on its lattice."""
        dtype = self.cells.values.dtype
        if dtype.kind == "f":
            return Cells(numbers.astype(dtype), present)
        start = float(_float(self.values[:1])[0])
        step = self.step or 1.0
        snapped = start + step * np.round((numbers - start) / step)
        return Cells(snapped.astype(np.int64).astype(dtype), present)

    def pick(self, index: np.ndarray, present: np.ndarray) -> Cells:
        """Cells that hold the values at these places of the ladder."""
        return Cells(self.values[index], present)


def ladder(cells: Cells) -> Ladder:
    """Sort out one training column."""
    known = cells.known()
    values, inverse, count = np.unique(known, return_inverse=True, return_counts=True)
    index = np.zeros(len(cells), np.int64)
    index[cells.present] = inverse
    step = 0.0
    if values.dtype.kind in "imM" and len(values) > 1:
        step = float(np.gcd.reduce(np.diff(values.astype(np.int64))))
    return Ladder(cells, values, index, count / max(len(known), 1), step)


def ladders(train: Table) -> dict[str, Ladder]:
    """All columns of a table."""
    return {name: ladder(cells) for name, cells in train.columns.items()}


def _float(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind in "mM":
        values = values.astype(np.int64)
    return values.astype(np.float64)
