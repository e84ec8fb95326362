"""The step size over a run: a function of the share of the budget that is spent, so it always
lands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from unfog.errors import ArgumentError
from unfog.registry import Registry

schedules: Registry[type] = Registry("schedule")


@dataclass
class Horizon:
    """How many updates the run will have: fixed, or moved while it runs so that a time budget
    holds.
    """

    steps: int


@dataclass(frozen=True)
class Schedule:
    """Base: factor(step, steps) multiplies the learning rate of update `step`, counted from 0.

    Args:
        warmup: share of the run over which the factor climbs linearly from near 0.
    """

    warmup: float = 0.02

    def __post_init__(self) -> None:
        if not 0 <= self.warmup < 1:
            raise ArgumentError(f"warmup is a share of the run in [0, 1); got {self.warmup}")

    def factor(self, step: int, steps: int) -> float:
        climb = max(1.0, self.warmup * steps)
        return min(1.0, (step + 1) / climb) * self.fall((step + 1) / steps)

    def fall(self, spent: float) -> float:
        """The factor after a share `spent` in (0, 1] of the run."""
        raise TypeError(f"{type(self).__name__} must define fall")


@schedules.add("cosine", reference="Loshchilov & Hutter 2017, SGDR, eq. 5")
@dataclass(frozen=True)
class CosineFall(Schedule):
    """Half a cosine from 1 to `floor`, reached exactly at the last update."""

    floor: float = 0.01

    def fall(self, spent: float) -> float:
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * min(spent, 1.0))) / 2


@schedules.add(
    "trapezoid",
    aliases=("wsd",),
    reference="Hagele et al. 2024, Scaling Laws Beyond Fixed Durations",
)
@dataclass(frozen=True)
class Trapezoid(Schedule):
    """Constant, then linear to `floor` over the last `cooldown` share of the run."""

    cooldown: float = 0.4
    floor: float = 0.01

    def fall(self, spent: float) -> float:
        return max(self.floor, min(1.0, (1 - min(spent, 1.0)) / self.cooldown))


@schedules.add("constant", reference="Ho et al. 2020, DDPM")
@dataclass(frozen=True)
class Constant(Schedule):
    """The same step size throughout, after the warm-up."""

    def fall(self, spent: float) -> float:
        return 1.0
