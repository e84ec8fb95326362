"""Batches by number: batch k is a function of (seed, k) alone, so a resumed run sees what the
straight run saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import DataError
from unfog.maths.randomness import mix


@dataclass(frozen=True)
class Batch:
    """One batch: which items, their states (B, *D), their conditions."""

    index: np.ndarray
    x: Any
    cond: dict[str, Tensor]


@dataclass(frozen=True)
class Batches:
    """Shuffled passes over the data, without end; an epoch's tail runs on into the next epoch.

    Args:
        count: number of items.     size: batch size; more than `count` draws items again within a
            batch.
        seed: orders every epoch.
        fetch: (B,) item numbers -> (states, conditions).
    """

    count: int
    size: int
    seed: int
    fetch: Callable[[np.ndarray], tuple[Any, dict[str, Tensor]]]

    def __post_init__(self) -> None:
        if self.count < 1 or self.size < 1:
            raise DataError(
                f"batches need items and a size; got {self.count} items, size {self.size}"
            )

    def index(self, number: int) -> np.ndarray:
        """The items of batch `number`, counted from 0."""
        wanted = np.arange(number * self.size, (number + 1) * self.size)
        epochs, places = np.divmod(wanted, self.count)
        return np.concatenate([self._order(e)[places[epochs == e]] for e in np.unique(epochs)])

    def _order(self, epoch: int) -> np.ndarray:
        # one epoch's order is needed by many batches in a row
        cached = _orders.get((self.seed, self.count, int(epoch)))
        if cached is None:
            cached = np.random.default_rng(mix(self.seed, 17, int(epoch))).permutation(self.count)
            if len(_orders) > 4:
                _orders.clear()
            _orders[(self.seed, self.count, int(epoch))] = cached
        return cached

    def since(self, number: int) -> Iterator[Batch]:
        """Batches number, number + 1, …"""
        while True:
            index = self.index(number)
            x, cond = self.fetch(index)
            yield Batch(index, x, cond)
            number += 1


_orders: dict[tuple[int, int, int], np.ndarray] = {}


def to_device(values: Any, device: torch.device) -> Any:
    """A tensor or dict of tensors on `device`."""
    if isinstance(values, dict):
        return {name: to_device(value, device) for name, value in values.items()}
    return values.to(device, non_blocking=True)
