"""Plug-and-play restoration: predict, then take the nearest data that explains the measurement."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from unfog.errors import ArgumentError
from unfog.guide.cfg import guides
from unfog.guide.measurement import Measurement
from unfog.guide.operators import transposed
from unfog.guide.pigdm import inverted, moved
from unfog.guide.tilt import check_path
from unfog.maths.affine import Affine, as_time
from unfog.maths.product import fieldwise


@guides.add(
    "diffpir",
    aliases=("plug_and_play",),
    reference="Zhu et al. 2023, Denoising Diffusion Models for Plug-and-Play Restoration, eq. 13",
)
def diffpir(
    predictor: Callable[..., Any],
    path: Any,
    measurement: Measurement,
    *,
    strength: float = 1.0,
    iterations: int = 20,
    rounds: int = 4,
) -> Callable[..., Any]:
    """Towards a measurement without any derivative of the net: the nearest data that explains it.

        argmin_x |y - A x|^2 / noise^2 + |x - x_hat|^2 / (strength r)^2,     r as in `pigdm`

    No derivative of the net: a step costs one call, as without guidance. Exact where the data is
    Gaussian and white with the measurement's spread; else its samples spread too little. With
    eta > 0 the loop adds the paper's fresh noise.

    Args:
        strength: more = nearer to the measurement; only its product with the noise matters.
        iterations: of conjugate gradients.     rounds: of Gauss-Newton, for a curved A.
    Raises: ArgumentError on paths of angles or rotations. Categories are not moved by it.
    """
    check_path(path, "a measurement")
    if not (strength > 0 and math.isfinite(strength)):
        raise ArgumentError(f"the strength of diffpir is a positive number; got {strength}")

    def predict(x_t: Any, t: Tensor, s: Tensor | None = None) -> Any:
        x_hat = predictor(x_t, t, s)
        at = as_time(t)
        seen = measurement.see(x_hat)
        # the paper's r is sigma / alpha, which at high noise forgets that data are bounded
        trust = (strength**2 * measurement.left(path, at)).reshape(-1, 1).to(seen)
        x = x_hat
        for _ in range(1 if measurement.linear else rounds):
            seen, pull = transposed(measurement.see, x)
            since = fieldwise(path, _since, x, x_hat)
            missing = measurement.missing(seen) + measurement.push(x, since)
            v = inverted(measurement, x, missing, trust, iterations)
            way = fieldwise(
                path, lambda m, value: value if isinstance(m, Affine) else None, pull(v)
            )
            x = moved(path, x_hat, way)
        return x

    return predict


def _since(member: Any, x: Tensor, x_hat: Tensor) -> Tensor:
    return x - x_hat
