"""How [1, 0] is cut when sampling: grid(path, steps) -> (steps + 1,) falling times, last 0.

Churn and restart also rise: there the state is noised again up to the higher time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError, TimeError
from unfog.maths.paths import Affine
from unfog.registry import Registry

grids: Registry[type] = Registry("grid")


@dataclass(frozen=True)
class Grid:
    """Base of all grids.

    Args:
        start: the first time; below 1 where a target does not determine the data at 1.
    """

    start: float = 1.0

    def __call__(self, path: Affine, steps: int) -> Tensor:
        """(steps + 1,) float64 times from `start` down to 0. Raises ArgumentError for steps < 1."""
        if not isinstance(steps, int) or steps < 1:
            raise ArgumentError(f"a grid needs a whole number of steps, 1 or more; got {steps!r}")
        cut = self.cut(path, torch.linspace(0, 1, steps + 1, dtype=torch.float64)).clamp(
            max=self.start
        )
        cut[0], cut[-1] = self.start, 0.0
        if not bool((cut.diff() < 0).all()):
            raise TimeError(
                f"{type(self).__name__} with {steps} steps does not fall strictly: {cut}"
            )
        return cut

    def highest(self, path: Affine, most: float) -> float:
        """sigma / alpha at `start`, at most `most` (which a path with alpha = 0 there needs)."""
        first = path.angle(torch.tensor(self.start, dtype=torch.float64)).tan().item()
        return min(most, first if first > 0 else math.inf)

    def cut(self, path: Affine, u: Tensor) -> Tensor:
        """Times at u, which runs evenly from 0 (noise) to 1 (data)."""
        raise TypeError(f"{type(self).__name__} must define cut")


@grids.add("linear", aliases=("uniform",), reference="even in t; EDM's grid on the ve path")
@dataclass(frozen=True)
class LinearGrid(Grid):
    """Even in t."""

    def cut(self, path: Affine, u: Tensor) -> Tensor:
        return self.start * (1 - u)


@grids.add("shifted", reference="Esser et al. 2024, Stable Diffusion 3, eq. 23")
@dataclass(frozen=True)
class Shifted(Grid):
    """t -> shift t / (1 + (shift - 1) t): shift > 1 spends more steps at high noise.

    Args:
        shift: ratio of noise levels; 1 is the linear grid.
    """

    shift: float = 2.0

    def cut(self, path: Affine, u: Tensor) -> Tensor:
        first = self.start / (self.shift - (self.shift - 1) * self.start)
        t = first * (1 - u)
        return self.shift * t / (1 + (self.shift - 1) * t)


@grids.add("angle", reference="even in atan2(sigma, alpha), the arc of the (alpha, sigma) plane")
@dataclass(frozen=True)
class AngleGrid(Grid):
    """Even in the angle atan2(sigma, alpha), so the same noise levels on every path with alpha = 0
    at the end.
    """

    def cut(self, path: Affine, u: Tensor) -> Tensor:
        first = path.angle(torch.tensor(self.start, dtype=torch.float64))
        return path.time_at_angle(first * (1 - u))


@grids.add("karras", aliases=("edm",), reference="Karras et al. 2022, EDM, eq. 5")
@dataclass(frozen=True)
class Karras(Grid):
    """(sigma / alpha)^(1/rho) even between sigma_max and sigma_min, then 0.

    Args:
        sigma_min, sigma_max: limits of sigma / alpha; cut to what the path has.     rho: 7 in the
            paper.
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0

    def cut(self, path: Affine, u: Tensor) -> Tensor:
        steps = len(u) - 1
        high = self.highest(path, self.sigma_max)
        ramp = torch.arange(steps, dtype=torch.float64) / max(steps - 1, 1)
        low = min(self.sigma_min, high)
        levels = (
            high ** (1 / self.rho) + ramp * (low ** (1 / self.rho) - high ** (1 / self.rho))
        ).pow(self.rho)
        return torch.cat([path.time_at(levels.log()), torch.zeros(1, dtype=torch.float64)])


@grids.add("log_snr", reference="Lu et al. 2022, DPM-Solver, sec. 3.3")
@dataclass(frozen=True)
class LogSnr(Grid):
    """log(sigma / alpha) even between its limits, then 0.

    Args:
        sigma_min, sigma_max: limits of sigma / alpha.
    """

    sigma_min: float = 0.01
    sigma_max: float = 80.0

    def cut(self, path: Affine, u: Tensor) -> Tensor:
        steps = len(u) - 1
        high = self.highest(path, self.sigma_max)
        levels = torch.linspace(math.log(high), math.log(min(self.sigma_min, high)), steps + 1)[:-1]
        return torch.cat([path.time_at(levels), torch.zeros(1, dtype=torch.float64)])


@grids.add("quantile", reference="the law of times of Esser et al. 2024, sec. 3.1, inverted")
@dataclass(frozen=True)
class Quantile(Grid):
    """Times at even quantiles of a logit-normal law: steps lie where training drew its times.

    Args:
        location, scale: of log(t / (1 - t)).
    """

    location: float = 0.0
    scale: float = 1.0

    def cut(self, path: Affine, u: Tensor) -> Tensor:
        # the law has no mass beyond `start`, and both its ends are set exactly afterwards
        first = torch.tensor(self.start, dtype=torch.float64).logit()
        most = torch.special.ndtr((first - self.location) / self.scale)
        return torch.sigmoid(self.location + self.scale * torch.special.ndtri(most * (1 - u)))


@grids.add(
    "fitted",
    reference="times at even shares of a measured change, as Dieleman et al. 2022, CDCD, sec. 3.3, "
    "warp those of training",
)
@dataclass(frozen=True)
class FittedGrid(Grid):
    """Times that `unfog schedule` fitted to a run, the same change of the prediction from each to
    the next; even in the angle where none were.

    Args:
        knots: falling times from noise to 0, with equal shares of the change between them.
    """

    knots: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "knots", falling_knots(self.knots))

    def cut(self, path: Affine, u: Tensor) -> Tensor:
        if not self.knots:
            return AngleGrid(start=self.start).cut(path, u)
        return between(self.knots, u)


def falling_knots(knots: Sequence[float]) -> tuple[float, ...]:
    """Knots as numbers. Raises ArgumentError where they do not fall from at most 1 to 0."""
    found = tuple(float(t) for t in knots)
    falls = all(a > b for a, b in pairwise(found))
    if found and (len(found) < 2 or not falls or found[0] > 1 or found[-1] != 0):
        raise ArgumentError(
            f"fitted knots are two times or more that fall, from at most 1 to 0; got {found[:4]}…"
        )
    return found


def between(knots: tuple[float, ...], u: Tensor) -> Tensor:
    """The knots at u = 0 … 1, straight lines between them; the knots themselves exactly."""
    values = torch.tensor(knots, dtype=torch.float64)
    place = u.double() * (len(knots) - 1)
    nearest = place.round()
    place = torch.where((place - nearest).abs() < 1e-9, nearest, place)
    left = place.floor().long().clamp(0, len(knots) - 2)
    return torch.lerp(values[left], values[left + 1], place - left)


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
        inside = [i for i in range(1, len(cut) - 1) if level[i] < 0.9 * self.high]
        if not inside:  # too few steps for a time well below high
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
