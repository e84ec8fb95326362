"""Adaptive projected guidance: without the part of guidance that only makes it louder."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.guide.blend import blend, categorical, checked_scale
from unfog.guide.cfg import guides
from unfog.maths.states import each, expand


@guides.add(
    "projected",
    aliases=("apg",),
    reference="Sadat et al. 2024, Eliminating Oversaturation … (APG), eq. 6 to 8, without momentum",
)
def projected(
    conditional: Callable[..., Any],
    unconditional: Callable[..., Any],
    *,
    scale: float = 1.0,
    parallel: float = 0.0,
    longest: float = math.inf,
) -> Callable[..., Any]:
    """Guidance across the conditional prediction: the part along it, which saturates, is reduced.

        x_hat = c + (scale - 1) (d_across + parallel d_along),     d = c - u, |d| <= longest

    The paper's momentum is left out: a predictor has no memory of earlier steps. Fields of
    categories are guided as by `cfg`.

    Args:
        scale: as for `cfg`; 0 is not the unconditional model here.
        parallel: share of the part along the prediction that is kept; 1 is plain guidance.
        longest: limit on the norm of d over all entries of a sample, in units of the state.
    """
    checked_scale(scale)
    if not parallel >= 0 or not longest > 0:
        raise ArgumentError(
            f"parallel is 0 or more and longest above 0; got {parallel} and {longest}"
        )

    def turned(x_t: Tensor, told: Tensor, base: Tensor) -> Tensor:
        if categorical(x_t, told):
            return blend(x_t, base, [told], [scale])
        away = told - base
        length = torch.linalg.vector_norm(away.flatten(1), dim=1)
        away = away * expand((longest / length.clamp_min(1e-12)).clamp_max(1), away)
        sizes = told.square().flatten(1).sum(1).clamp_min(1e-12)
        along = expand((away * told).flatten(1).sum(1) / sizes, told) * told
        return told + (scale - 1) * (away - along + parallel * along)

    def predict(x_t: Any, t: Tensor, s: Tensor | None = None) -> Any:
        told = conditional(x_t, t, s)
        if scale == 1:
            return told
        return each(turned, x_t, told, unconditional(x_t, t, s))

    return predict
