"""The probability flow as an ordinary differential equation that can be followed both ways.

On every affine path it is one equation. With u = atan2(sigma, alpha) and the state at unit scale,
w = x_t / sqrt(alpha^2 + sigma^2),

    dw/du = (cos(u) w - x_hat) / sin(u),

finite from the smallest angle that is asked for to pi/2, where w is the noise itself.

Ref: Song et al. 2021, Score SDEs, sec. 4.3 and app. D.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.maths.paths import Affine
from unfog.sample.solvers.angles import time_at
from unfog.sample.solvers.sphere import radius, velocity

NEAREST = 1e-3
"""The angle at which data begins: the noise there has a thousandth of its deviation at the end."""


@dataclass(frozen=True)
class Flow:
    """A path's flow under a predictor.

    Args:
        predict: (x_t, t) -> x_hat, differentiable where a divergence is asked for.
        path: an affine one; other fields have no flow.
        nearest: the angle at which the flow begins and ends; density and states closer to data
            than that are taken as data's.
    Raises: ArgumentError for a path that is not affine.
    """

    predict: Callable[..., Any]
    path: Affine
    nearest: float = NEAREST

    def __post_init__(self) -> None:
        if not isinstance(self.path, Affine):
            raise ArgumentError(
                f"{type(self.path).__name__} has no probability flow: categories jump; use the "
                "bound that works there, elbo"
            )
        if not 0 < self.nearest < self.furthest:
            raise ArgumentError(
                f"nearest={self.nearest} is an angle in (0, {self.furthest:.3g}), the path's end"
            )

    @property
    def furthest(self) -> float:
        """The angle of pure noise: pi/2 where the path forgets the data altogether."""
        return float(self.path.angle(torch.ones((), dtype=torch.float64)))

    def drift(self, w: Tensor, u: Tensor) -> Tensor:
        """dw/du, (B, *D)."""
        t = torch.tensor(time_at(self.path, float(u)), dtype=torch.float64)
        return velocity(w, self.predict(w * radius(self.path, t, w), t), float(u))

    def towards_noise(self, x: Tensor, steps: int, trace: Trace | None = None) -> Ends:
        """From data to the noise that it comes from."""
        return self._follow(x, self.nearest, self.furthest, steps, trace)

    def towards_data(self, w: Tensor, steps: int, trace: Trace | None = None) -> Ends:
        """From noise, at unit scale, to data: the inverse."""
        return self._follow(w, self.furthest, self.nearest, steps, trace)

    def _follow(
        self, w: Tensor, start: float, stop: float, steps: int, trace: Trace | None
    ) -> Ends:
        """Runge-Kutta of order 4 on a grid whose steps shrink towards data like its square."""
        if steps < 1:
            raise ArgumentError(f"at least one step; got {steps}")
        span = self.furthest - self.nearest
        first, last = (math.sqrt((u - self.nearest) / span) for u in (start, stop))
        cut = torch.linspace(first, last, steps + 1, dtype=torch.float64)
        grown = torch.zeros(len(w), dtype=torch.float64)

        def slope(w: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
            u = self.nearest + span * v.square()
            if trace is None:
                rate, divergence = self.drift(w, u), grown.new_zeros(len(w))
            else:
                rate, divergence = trace(lambda w: self.drift(w, u), w)
            stretch = 2 * v * span
            return rate * stretch.to(w.dtype), divergence * stretch

        for v, after in pairwise(cut):
            h = after - v
            k, d = zip(*_stages(slope, w, v, h))
            w = w + (k[0] + 2 * k[1] + 2 * k[2] + k[3]) * (h / 6).to(w.dtype)
            grown = grown + (d[0] + 2 * d[1] + 2 * d[2] + d[3]) * h / 6
        return Ends(w, grown)


@dataclass(frozen=True)
class Ends:
    """Where a flow ended, (B, *D), and the integral of its divergence on the way, (B,) float64."""

    state: Tensor
    grown: Tensor


Trace = Callable[[Callable[[Tensor], Tensor], Tensor], tuple[Tensor, Tensor]]
"""(function, w) -> its value (B, *D) and its divergence (B,) float64."""


def _stages(
    slope: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], w: Tensor, v: Tensor, h: Tensor
) -> list[tuple[Tensor, Tensor]]:
    found = [slope(w, v)]
    for share in (0.5, 0.5, 1.0):
        found.append(slope(w + found[-1][0] * (share * h).to(w.dtype), v + share * h))
    return found


def exact_trace(function: Callable[[Tensor], Tensor], w: Tensor) -> tuple[Tensor, Tensor]:
    """The divergence by one backward pass per entry of an item's state."""
    with torch.enable_grad():
        w = w.detach().requires_grad_()
        value = function(w)
        flat = value.flatten(1)
        total = torch.zeros(len(w), dtype=torch.float64)
        for entry in range(flat.shape[1]):
            (slope,) = torch.autograd.grad(flat[:, entry].sum(), w, retain_graph=True)
            total += slope.flatten(1)[:, entry].double().cpu()
    return value.detach(), total


def probed_trace(probe: Tensor) -> Trace:
    """The divergence's unbiased estimate by one backward pass, with the same probe at every time.

    Args:
        probe: (B, *D) of mean 0 and covariance 1; drawn once, so that the equation stays ordinary.
    Ref: Hutchinson 1989; Grathwohl et al. 2019, FFJORD, sec. 3.1.
    """

    def trace(function: Callable[[Tensor], Tensor], w: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            w = w.detach().requires_grad_()
            value = function(w)
            (slope,) = torch.autograd.grad(value, w, probe.to(value))
        return value.detach(), (slope * probe.to(slope)).flatten(1).double().sum(1).cpu()

    return trace
