"""Baselines: generators that cost nothing, which a model has to beat to be worth its training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unfog.errors import ArgumentError
from unfog.judge.states import states
from unfog.kinds.table.cells import Table
from unfog.registry import Registry


@dataclass(frozen=True)
class Baseline:
    """A generator without training.

    Args:
        words: what it is, for a sentence ("a Gaussian copula").
        table, tensor: draw(train, count, seed) for tables and for states (N, *D); None where the
            idea does not apply.
        numbers: whether a table needs a column of numbers.
    """

    words: str
    table: Callable[[Table, int, int], Table] | None = None
    tensor: Callable[[Tensor, int, int], Tensor] | None = None
    numbers: bool = False

    def applies(self, train: Any) -> bool:
        """Whether it can be fitted to these data: a Table, or states (N, *D)."""
        if not isinstance(train, Table):
            return self.tensor is not None
        some = any(cells.values.dtype.kind not in "Ob" for cells in train.columns.values())
        return self.table is not None and (some or not self.numbers)

    def fit_draw(self, train: Any, count: int, seed: int = 0) -> Any:
        """Fit to the training data and draw `count` new rows or items of the same form.

        Args:
            train: a Table, or states (N, *D).
        Raises: ArgumentError for a kind of data that it is not made for, or no count.
        """
        if count < 1:
            raise ArgumentError(f"count={count}; draw at least 1")
        if not self.applies(train):
            form = "this table" if isinstance(train, Table) else "arrays"
            raise ArgumentError(f"{self.words} is not made for {form}; choose by `applies`")
        if isinstance(train, Table):
            assert self.table is not None
            return self.table(train, count, seed)
        assert self.tensor is not None
        return self.tensor(states(train, "train"), count, seed)


baselines: Registry[Baseline] = Registry("baseline")
