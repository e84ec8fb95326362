"""What the loop remembers of the losses, so that times with large ones can be drawn more often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from unfog.errors import RunError
from unfog.maths.times import Histogram, LossAware


@dataclass
class Importance:
    """The last squared losses of every bin of times; part of a checkpoint, so resume is exact.

        p_bin ~ sqrt(mean of the last squared losses),     weight = 1 / (bins p_bin)

    The paper keeps the last ten losses of each of 4000 times; here a bin keeps the means of its
    last updates, so that a batch costs a few tensor operations.

    Attributes:
        squares: (bins, history) mean squared losses, newest last; NaN where there is none yet.
    """

    law: LossAware
    squares: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.squares = torch.full((self.law.bins, self.law.history), torch.nan, dtype=torch.float64)

    def times(self) -> Histogram:
        """How t is drawn now."""
        bins, floor = self.law.bins, self.law.floor
        chances = torch.full((bins,), 1 / bins, dtype=torch.float64)
        large = self.squares.mean(1).sqrt()
        if bool((large.isfinite() & (large > 0)).all()):
            chances = (1 - floor) * large / large.sum() + floor / bins
        law = self.law
        return Histogram(law.low, law.high, law.stratified, tuple(chances.tolist()))

    def update(self, law: Histogram, t: Tensor, losses: Tensor) -> None:
        """Take in the losses (B,) of one update at times (B,) that were drawn from `law`.

        Args:
            losses: with 1 / p as their factor, as `weighted` makes them.
        """
        t, losses = t.cpu(), losses.detach().cpu().double()
        plain = losses / law.weight(None, t)
        place, bins = law.bin(t), self.law.bins
        counts = place.bincount(minlength=bins)
        sums = torch.zeros(bins, dtype=torch.float64).index_add_(0, place, plain.square())
        met = counts > 0
        means = sums[met] / counts[met]
        self.squares[met] = torch.cat([self.squares[met][:, 1:], means[:, None]], 1)

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {"squares": self.squares}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `tensors`. Raises RunError where they are another law's."""
        squares = tensors.get("squares")
        if squares is None or squares.shape != self.squares.shape:
            raise RunError(
                f"a checkpoint's memory of losses does not fit {self.squares.shape[0]} bins with "
                f"{self.squares.shape[1]} entries; it belongs to another run"
            )
        self.squares = squares.double()


def weighted(weight: Callable[..., Tensor], law: Histogram) -> Callable[..., Tensor]:
    """A loss weight times 1 / (bins p): the expected loss is that of uniform times."""
    return lambda path, t: weight(path, t) * law.weight(path, t)


def importance(times: Any) -> Importance | None:
    """The memory that a law of times needs, or None."""
    return Importance(times) if isinstance(times, LossAware) else None
