"""Pseudo-inverse guidance: the measurement judged with a white guess of the prediction's error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unfog.guide.cfg import guides
from unfog.guide.measurement import Measurement, conjugate
from unfog.guide.operators import transposed
from unfog.guide.tilt import MOST, Edge, check_path, spread_out
from unfog.maths.product import fieldwise


def moved(path: Any, x_hat: Any, move: Any) -> Any:
    """x_hat with the moves of its continuous fields added."""
    return fieldwise(path, lambda _, value, way: value if way is None else value + way, x_hat, move)


def still(path: Any, x_hat: Any, move: Any) -> Any:
    """The move of every field, 0 where there is none."""
    return fieldwise(
        path, lambda _, value, way: torch.zeros_like(value) if way is None else way, x_hat, move
    )


@guides.add(
    "pigdm",
    aliases=("pseudo_inverse",),
    reference="Song et al. 2023, Pseudoinverse-Guided Diffusion Models, eq. 7 and 8",
)
def pigdm(
    predictor: Callable[..., Any],
    path: Any,
    measurement: Measurement,
    *,
    iterations: int = 20,
    most: float = MOST,
) -> Callable[..., Any]:
    """Towards a measurement, with one derivative of the net and a white guess of its error.

        x_hat + V A' (noise^2 + r^2 A A')^-1 (y - A x_hat),     r^2 a guess of Cov[x | x_t]

    V is the covariance by the net's derivative, as in `mmps`, but only once: a step costs one call
    and one backward pass. Exact where the data is Gaussian and white with the measurement's spread.

    Args:
        iterations: of conjugate gradients on A A', without the net.
    Raises: ArgumentError on paths of angles or rotations. Categories are not moved by it.
    """
    check_path(path, "a measurement")
    edge = Edge(path, most)

    def predict(x_t: Any, t: Tensor, s: Tensor | None = None) -> Any:
        at = measurement.seen_through(predictor, edge, x_t, t, s)
        white = measurement.left(path, at.t).reshape(-1, 1).to(at.seen)
        missing = measurement.missing(at.seen.detach())
        v = inverted(measurement, at.x_hat, missing, white, iterations)
        grads = torch.autograd.grad(at.seen, at.numbers, v / white)
        return moved(path, at.x_hat, spread_out(path, at.x_t, list(grads), at.t))

    return predict


def inverted(
    measurement: Measurement, x: Any, missing: Tensor, white: Tensor, iterations: int
) -> Tensor:
    """(noise^2 / white + A A')^-1 missing, (B, M), with A's derivative at x."""
    _, pull = transposed(measurement.see, x)
    ratio = measurement.variance(missing) / white

    def apply(v: Tensor) -> Tensor:
        return ratio * v + measurement.push(x, pull(v))

    return conjugate(apply, missing, iterations)
