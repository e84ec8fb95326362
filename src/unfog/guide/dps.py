"""Diffusion posterior sampling: down the gradient of the measurement's error."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.guide.cfg import guides
from unfog.guide.measurement import Measurement
from unfog.guide.pigdm import moved, still
from unfog.guide.tilt import MOST, Edge, check_path, spread_out
from unfog.maths.affine import Affine
from unfog.maths.product import fieldwise
from unfog.maths.states import expand


@guides.add(
    "dps",
    reference="Chung et al. 2023, Diffusion Posterior Sampling, alg. 1, with its own step size",
)
def dps(
    predictor: Callable[..., Any],
    path: Any,
    measurement: Measurement,
    *,
    scale: float = 1.0,
    most: float = MOST,
) -> Callable[..., Any]:
    """Towards a measurement down the gradient of its error r, for any differentiable A.

        x_hat + scale b V A' r,     V A' r = -(sigma^2 / alpha) grad_{x_t} |r|^2 / 2
        b = |r|^2 / (noise^2 |r|^2 + r A V A' r)

    The paper's step is a constant over |r|, to be tuned per task. Here b is the step that explains
    the measurement best along this direction, with A linear at x_hat; it is the first iteration of
    `mmps`. An approximation wherever y has several entries. One call and one backward pass a step.

    Args:
        scale: 0 = the predictor unchanged.
    Raises: ArgumentError on paths of angles or rotations. Categories are not moved by it.
    """
    check_path(path, "a measurement")
    if not (scale >= 0 and math.isfinite(scale)):
        raise ArgumentError(f"a guidance scale is a finite number >= 0; got {scale}")
    edge = Edge(path, most)

    def predict(x_t: Any, t: Tensor, s: Tensor | None = None) -> Any:
        if scale == 0:
            return predictor(x_t, t, s)
        at = measurement.seen_through(predictor, edge, x_t, t, s)
        r = measurement.missing(at.seen.detach())
        grads = torch.autograd.grad(at.seen, at.numbers, r)
        full = still(path, at.x_hat, spread_out(path, at.x_t, list(grads), at.t))
        noise = (measurement.variance(r) * r.square()).sum(1)
        curve = noise + (r * measurement.push(at.x_hat, full)).sum(1)
        # where the net's derivative is no covariance there is no best step; then none is taken
        step = torch.where(curve > 0, r.square().sum(1) / curve.where(curve > 0, 1.0), 0.0)
        way = fieldwise(
            path, lambda m, w: expand(scale * step, w) * w if isinstance(m, Affine) else None, full
        )
        return moved(path, at.x_hat, way)

    return predict
