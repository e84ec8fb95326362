"""The exact predictor of a few weighted points on a torus or of a few rotations."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from unfog.errors import ShapeError
from unfog.maths.manifolds import Rotations, Torus
from unfog.maths.paths import as_time
from unfog.maths.randomness import Rng
from unfog.maths.states import expand


@dataclass(frozen=True, eq=False)
class Points:
    """sum_k weight_k delta(point_k).

    Args:
        points: (K, *D) angles, (K, 3, 3) rotations or (K, N, 3, 3).     weights: (K,), sum 1.
    """

    points: Tensor
    weights: Tensor

    def __post_init__(self) -> None:
        if self.weights.shape != self.points.shape[:1]:
            raise ShapeError(
                f"{len(self.points)} points need as many weights; got {tuple(self.weights.shape)}"
            )

    def draw(self, count: int, *, rng: Rng) -> Tensor:
        """(count, *D) samples."""
        u = rng.uniform(self.weights.new_empty(count))
        return self.points[torch.bucketize(u, self.weights.cumsum(0)[:-1], right=True)]

    def predictor(self, path: Torus | Rotations) -> Callable[..., Tensor]:
        """E[tangent from x_t to x | x_t]: each point's tangent, by how likely it led to x_t.

        On a circle x_t is uniform within t period/2 of the point. A uniform rotation's angle has
        density (1 - cos a) / pi, so relative to the uniform law x_t at angle a has density
        sin^2(a / 2t) / (t sin^2(a / 2)), up to t pi.
        Ref: Miles 1965, On Random Rotations in R^3 (the law of the angle).
        """

        def predict(x_t: Tensor, t: float | Tensor, s: float | Tensor | None = None) -> Tensor:
            t = as_time(t)
            tangents = path.log(x_t[:, None], self.points)  # (B, K, *tangent)
            at = (t[:, None] if t.ndim else t).to(tangents.dtype)
            if isinstance(path, Torus):
                share, reach = _torus(tangents, at, path.periods(tangents))
            else:
                share, reach = _rotations(tangents, at)
            # rounding may put x_t just out of every point's reach: then the nearest counts
            within = reach <= reach.amin(1, keepdim=True).clamp_min(0)
            share = share * within * self.weights
            share = share / share.sum(1, keepdim=True)
            return (expand(share, tangents) * tangents).sum(1)

        return predict


def _torus(tangents: Tensor, t: Tensor, periods: Tensor) -> tuple[Tensor, Tensor]:
    """Density, up to a factor, and how far x_t lies out of reach: (B, K) each."""
    reach = (tangents.abs() / periods).flatten(2).amax(2) - t / 2
    return torch.ones_like(reach), reach


def _rotations(tangents: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Density, up to a factor, and how far x_t lies out of reach: (B, K) each."""
    angle = torch.linalg.vector_norm(tangents, dim=-1)
    angle = angle.flatten(2) if angle.ndim > 2 else angle[..., None]  # (B, K, N)
    t = expand(t, angle)
    # sinc is smooth at 0, where the ratio of the two sines is 1 / t
    root = torch.sinc(angle / (2 * math.pi * t)) / torch.sinc(angle / (2 * math.pi))
    return root.square().prod(2), (angle - t * math.pi).amax(2)
