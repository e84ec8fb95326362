"""Which cells of a training batch are known: any set of columns, so that all conditionals are
learnt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unfog.maths.randomness import Rng
from unfog.maths.states import lead


@dataclass(frozen=True)
class Known:
    """In a share of the rows, each column is known with a chance that is drawn once a row; never
    all of them.

    So every number of known columns is as frequent as any other, and every choice of so many. What
    says that a cell is missing is known throughout such a row, and with it the value of a cell that
    is: whoever fills a hole wants a value there, and knows so much.

    Args:
        share: of the rows.     columns: field -> the number of the column that each entry belongs
            to.
        marks: field -> whether each entry says that its column's cell is missing (code 1).
    Ref: Uria et al. 2014, A Deep and Tractable Density Estimator, sec. 3 (all orders at once).
    """

    share: float
    columns: Mapping[str, Sequence[int]]
    marks: Mapping[str, Sequence[bool]]

    def __call__(self, x: Mapping[str, Tensor], rng: Rng) -> dict[str, Tensor]:
        """field -> bool of its shape (B, n), True = known."""
        first = lead(dict(x))
        count = 1 + max(column for each in self.columns.values() for column in each)
        drawn = rng.uniform(torch.empty(len(first), count + 2, device=first.device))
        told, chance, cell = drawn[:, :1] < self.share, drawn[:, 1:2], drawn[:, 2:]
        known = told & (cell < chance) & (cell < cell.amax(1, keepdim=True))
        for field, marks in self.marks.items():
            for place in (place for place, mark in enumerate(marks) if mark):
                known[:, self.columns[field][place]] |= told[:, 0] & (x[field][:, place] == 1)
        return {
            field: known[:, list(columns)] | told & torch.tensor(marks, device=first.device)
            for (field, columns), marks in zip(self.columns.items(), self.marks.values())
        }
