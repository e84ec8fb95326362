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
from unfog.guide.tilt import Edge, check_path, lean


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
) -> Callable[..., Any]:
    """x_hat + scale (sigma^2/alpha) grad log N(y; A x_hat, e^2),  e^2 = noise^2 + mean (y - A x_hat)^2.

    The paper divides the gradient by the error's norm, to be tuned per task; here the error itself
    says how far A x_hat is to be trusted, so that 1 is a fair strength for every task. It is an
    approximation everywhere; any differentiable A will do. One call and one backward pass a step.

    Args:
        scale: 0 = the predictor unchanged.
    Raises: ArgumentError on paths of angles or rotations.
    """
    check_path(path, "a measurement")
    if not (scale >= 0 and math.isfinite(scale)):
        raise ArgumentError(f"a guidance scale is a finite number >= 0; got {scale}")
    edge = Edge(path)

    def potential(x_hat: Any, t: Tensor) -> Tensor:
        seen = measurement.see(x_hat)
        error = measurement.missing(seen).square()
        trust = measurement.variance(seen) + error.detach().mean(1, keepdim=True)
        return -(error / trust.clamp_min(torch.finfo(seen.dtype).tiny)).sum(1) / 2

    def predict(x_t: Any, t: Tensor, s: Tensor | None = None) -> Any:
        if scale == 0:
            return predictor(x_t, t, s)
        return lean(predictor, path, potential, *edge(x_t, t, s), scale=scale).pulled

    return predict
