"""Rewards and energies: towards data that score higher."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from unfog.errors import ArgumentError
from unfog.guide.cfg import guides
from unfog.guide.tilt import Edge, check_path, lean


@guides.add(
    "reward",
    aliases=("energy",),
    reference="Bansal et al. 2023, Universal Guidance, eq. 6; Song et al. 2023, Loss-Guided "
    "Diffusion, eq. 5 (one point)",
)
def reward(
    predictor: Callable[..., Any],
    path: Any,
    value: Callable[[Any], Tensor],
    *,
    scale: float = 1.0,
    back: Callable[[Any], Any] | None = None,
) -> Callable[..., Any]:
    """Towards p(x) exp(scale · value(x)), by the gradient of value(x_hat).

    The expectation of exp(value(x)) given x_t is replaced by its value at x_hat. That is exact for
    a value that is linear in x where x is Gaussian; `particles` with the same potential
    is exact for every value.

    Args:
        value: data (B, …) -> (B,), differentiable; of an energy, minus it.
        scale: 0 = the predictor unchanged.     back: state -> data, for latents.
    Raises: ArgumentError on paths of angles or rotations, which have no Gaussian noise.
    """
    check_path(path, "a reward")
    if not math.isfinite(scale):
        raise ArgumentError(f"the scale of a reward is a finite number; got {scale}")
    edge = Edge(path)

    def predict(x_t: Any, t: Tensor, s: Tensor | None = None) -> Any:
        if scale == 0:
            return predictor(x_t, t, s)
        seen = edge(x_t, t, s)
        potential = (lambda x, _: value(x)) if back is None else (lambda x, _: value(back(x)))
        return lean(predictor, path, potential, *seen, scale=scale).pulled

    return predict
