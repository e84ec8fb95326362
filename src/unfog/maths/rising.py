"""Grids that also rise: where the next time is higher, the state is noised again up to there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.maths.grids import Grid, grids
from unfog.maths.paths import Affine


@dataclass(frozen=True)
class Rising(Grid):
    """Base of grids that rise.

    Args:
        base: name of the falling grid that it starts from.
    """

    base: str = "karras"

    def __call__(self, path: Affine, steps: int) -> Tensor:
        """Float64 times from `start` to 0, with rises in between."""
        under: Any = grids.make(self.base, start=self.start)
        if isinstance(under, Rising):
            raise ArgumentError(f"the base of a grid that rises has to fall; got {self.base!r}")
        return self.risen(path, under(path, steps))

    def risen(self, path: Affine, cut: Tensor) -> Tensor:
        """The falling grid with its rises put in."""
        raise TypeError(f"{type(self).__name__} must define risen")

    def level(self, path: Affine, t: Tensor) -> Tensor:
        """sigma / alpha."""
        return path.angle(t).tan()


@grids.add("churn", reference="Karras et al. 2022, EDM, alg. 2 (without its extra inflation)")
@dataclass(frozen=True)
class Churn(Rising):
    """Before every step but the first, a little fresh noise: (sigma / alpha) (1 + gamma).

        gamma = min(amount / steps, sqrt(2) - 1) while sigma / alpha lies within low and high

    Args:
        amount: S_churn of the paper.     low, high: S_min and S_max.
    """

    amount: float = 20.0
    low: float = 0.05
    high: float = 50.0

    def __post_init__(self) -> None:
        if not self.amount > 0 or not 0 <= self.low < self.high:
            raise ArgumentError(
                f"churn needs amount > 0 and 0 <= low < high; got {self.amount}, {self.low}, "
                f"{self.high}; for no churn take its base, {self.base}"
            )

    def risen(self, path: Affine, cut: Tensor) -> Tensor:
        gamma = min(self.amount / (len(cut) - 1), math.sqrt(2) - 1)
        level = self.level(path, cut)
        raised = path.time_at((level * (1 + gamma)).log()).clamp(max=self.start)
        times = [cut[0]]
        for t, up, at in zip(cut[1:], raised[1:], level[1:]):
            times += [t, up] if self.low <= at <= self.high and up > t else [t]
        return torch.stack(times)


@grids.add("restart", reference="Xu et al. 2023, Restart Sampling, alg. 1")
@dataclass(frozen=True)
class Restart(Rising):
    """Down to sigma / alpha = low, then up to `high` by fresh noise and down again, some times.

    Args:
        low, high: sigma / alpha; cut to what the path has.     repeats: how often.
        within: steps of each further descent, even in the angle.
    """

    base: str = "angle"
    low: float = 0.1
    high: float = 1.0
    repeats: int = 2
    within: int = 5

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high or self.repeats < 1 or self.within < 1:
            raise ArgumentError(
                "restart needs 0 < low < high, repeats >= 1 and within >= 1; got "
                f"{self.low}, {self.high}, {self.repeats}, {self.within}"
            )

    def risen(self, path: Affine, cut: Tensor) -> Tensor:
        level = self.level(path, cut)
        inside = [i for i in range(1, len(cut) - 1) if level[i] < self.high]
        if not inside:  # too few steps for a time between high and data
            return cut
        turn = next((i for i in inside if level[i] <= self.low), inside[-1])
        top = min(math.atan(self.high), float(path.angle(cut[0])))
        share = torch.linspace(0, 1, self.within + 1, dtype=torch.float64)
        again = path.time_at_angle(
            torch.lerp(torch.tensor(top).double(), path.angle(cut[turn]), share)
        )
        again[-1] = cut[turn]
        pieces = [cut[: turn + 1], *[again] * self.repeats, cut[turn + 1 :]]
        return torch.cat(pieces)


def descents(cut: Tensor) -> int:
    """How many steps down a grid has."""
    return sum(bool(s < t) for t, s in pairwise(cut))
