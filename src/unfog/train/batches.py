"""Batches by number: batch k is a function of (seed, k) alone, so a resumed run sees what the
straight run saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import DataError
from unfog.maths.randomness import BatchRng, Rng, mix
from unfog.maths.shuffle import shuffled
from unfog.train.crops import Crops
from unfog.train.share import Share

MANY = 2**20
"""Items from which an epoch's order is worked out batch by batch, instead of being held."""


@dataclass(frozen=True)
class Batch:
    """One batch: which items, their states (B, *D), their conditions, the noise that comes with
    them, and which entries are known (1), if any.
    """

    index: np.ndarray
    x: Any
    cond: dict[str, Tensor]
    z: Any = None
    keep: Any = None


@dataclass(frozen=True)
class Batches:
    """Shuffled passes over the data, without end; an epoch's tail runs on into the next epoch.

    Args:
        count: number of items.     size: batch size; more than `count` draws items again within a
            batch.
        seed: orders every epoch.
        fetch: (B,) item numbers -> (states, conditions).
        augment: (states, conditions, rng) -> the same changed; rng depends on (seed, number) only.
        source: (B,) item numbers -> the noise that belongs to these items; None = it is drawn.
        known: (states, rng) -> which entries are known; rng as for `augment`.
        crops: cuts whole batches to one size, after `augment`.
    """

    count: int
    size: int
    seed: int
    fetch: Callable[[np.ndarray], tuple[Any, dict[str, Tensor]]]
    augment: Callable[[Any, dict[str, Tensor], Rng], tuple[Any, dict[str, Tensor]]] | None = None
    source: Callable[[np.ndarray], Any] | None = None
    known: Callable[[Any, Rng], Any] | None = None
    crops: Crops | None = None

    def __post_init__(self) -> None:
        if self.count < 1 or self.size < 1:
            raise DataError(
                f"batches need items and a size; got {self.count} items, size {self.size}"
            )

    def index(self, number: int) -> np.ndarray:
        """The items of batch `number`, counted from 0."""
        begin, end, count = number * self.size, (number + 1) * self.size, self.count
        parts = []
        for epoch in range(begin // count, (end - 1) // count + 1):
            first, last = max(0, begin - epoch * count), min(count, end - epoch * count)
            parts.append(_placed(self.seed, count, epoch, first, last))
        return np.concatenate(parts)

    def since(self, number: int, share: Share | None = None) -> Iterator[Batch]:
        """Batches number, number + 1, …; of each only a share where one is named."""
        while True:
            index = self.index(number)
            if share is not None:
                index = share.of(index)
            x, cond = self.fetch(index)
            if self.augment is not None:
                rng: Rng = BatchRng(self.seed, 29, number)
                x, cond = self.augment(x, cond, rng if share is None else share.rng(rng))
            if self.crops is not None:
                x, cond = self.crops(x, cond, BatchRng(self.seed, 41, number), share)
            keep = None
            if self.known is not None:
                stream: Rng = BatchRng(self.seed, 31, number)
                keep = self.known(x, stream if share is None else share.rng(stream))
            z = None if self.source is None else self.source(index)
            yield Batch(index, x, cond, z, keep)
            number += 1


def _placed(seed: int, count: int, epoch: int, first: int, last: int) -> np.ndarray:
    """The items at the places first … last - 1 of an epoch."""
    if count > MANY:
        return shuffled(np.arange(first, last), count, mix(seed, 17, epoch))
    return _order(seed, count, epoch)[first:last]


@lru_cache(maxsize=4)  # one epoch's order is needed by many batches in a row
def _order(seed: int, count: int, epoch: int) -> np.ndarray:
    return np.random.default_rng(mix(seed, 17, epoch)).permutation(count)


def to_device(values: Any, device: torch.device) -> Any:
    """A tensor or dict of tensors on `device`; None stays."""
    return moved(values, lambda v: v.to(device, non_blocking=True))


def moved(values: Any, move: Callable[[Tensor], Tensor]) -> Any:
    """A tensor, or a dict of tensors, each moved; None stays."""
    if values is None:
        return None
    if isinstance(values, dict):
        return {name: move(value) for name, value in values.items()}
    return move(values)
