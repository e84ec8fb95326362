"""Moment matching: the measurement judged with the prediction's own covariance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.guide.cfg import guides
from unfog.guide.measurement import Measurement, krylov
from unfog.guide.pigdm import still
from unfog.guide.tilt import MOST, Edge, check_path, spread_out
from unfog.maths.states import each, expand


@guides.add(
    "mmps",
    aliases=("moment_matching",),
    reference="Rozet et al. 2024, Learning Diffusion Priors from Observations by EM, eq. 15 to 19",
)
def mmps(
    predictor: Callable[..., Any],
    path: Any,
    measurement: Measurement,
    *,
    iterations: int = 5,
    most: float = MOST,
) -> Callable[..., Any]:
    """Towards a measurement, with the covariance of the prediction's error by the net's derivative.

        x_hat + V A' (noise^2 + A V A')^-1 (y - A x_hat)
        V = Cov[x | x_t] = (sigma^2 / alpha) dx_hat / dx_t

    Exact for Gaussian data and linear A once the iterations suffice (as many as y has entries). Of
    a curved A the derivative at x_hat is used. A step costs one call, and one backward pass per
    iteration.

    Args:
        iterations: of GMRES.
        most: above this sigma / alpha the guide looks as if it were there, see `Edge`.
    Raises: ArgumentError on paths of angles or rotations. Categories are not moved by it.
    """
    check_path(path, "a measurement")
    if not isinstance(iterations, int) or iterations < 1:
        raise ArgumentError(f"iterations is a whole number, 1 or more; got {iterations!r}")
    edge = Edge(path, most)

    def predict(x_t: Any, t: Tensor, s: Tensor | None = None) -> Any:
        at = measurement.seen_through(predictor, edge, x_t, t, s)
        fixed = at.x_hat

        def apply(v: Tensor) -> tuple[Tensor, Any]:
            grads = torch.autograd.grad(at.seen, at.numbers, v, retain_graph=True)
            way = still(path, fixed, spread_out(path, at.x_t, list(grads), at.t))
            return measurement.variance(v) * v + measurement.push(fixed, way), way

        shares, ways = krylov(apply, measurement.missing(at.seen.detach()), iterations)
        for share, way in zip(shares.unbind(1), ways):
            fixed = each(lambda value, w, c=share: value + expand(c, w) * w, fixed, way)
        return fixed

    return predict
