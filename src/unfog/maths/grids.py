"""How [1, 0] is cut when sampling: grid(path, steps) -> (steps + 1,) falling times, last 0."""

from __future__ import annotations

import math
from dataclasses import dataclass

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
        t = self.start * (1 - u)
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


from unfog.maths import rising  # noqa: E402, F401  (its members enter the registry)
