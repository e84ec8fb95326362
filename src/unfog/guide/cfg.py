"""Classifier-free guidance: predictor and predictor -> predictor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unfog.guide.blend import blend, checked_scale
from unfog.maths.states import each, expand
from unfog.registry import Registry

guides: Registry[Any] = Registry("guide")


@guides.add("cfg", reference="Ho & Salimans 2022, Classifier-Free Diffusion Guidance, eq. 6")
def cfg(
    conditional: Callable[..., Any],
    unconditional: Callable[..., Any],
    *,
    scale: float = 1.0,
    interval: tuple[float, float] = (0.0, 1.0),
    both: Callable[..., tuple[Any, Any]] | None = None,
) -> Callable[..., Any]:
    """Classifier-free guidance: x_hat = lerp(unconditional, conditional, scale).

    Probabilities of categories are combined by their logarithms, see `blend`.

    Args:
        scale: 1 = the conditional model unchanged (and nothing else is called), 0 = unconditional.
        interval: times [low, high] in which to guide; outside, the conditional prediction is used,
            sample by sample where each has its own time.
        both: the conditional and the unconditional prediction from one call, asked instead of the
            two where both are needed.
    Ref: Kynkaanniemi et al. 2024, Applying Guidance in a Limited Interval, for `interval`.
    """
    checked_scale(scale)

    def predict(x_t: Any, t: Tensor, s: Tensor | None = None) -> Any:
        if scale == 1:
            return conditional(x_t, t, s)
        low, high = interval
        acts = (t >= low) & (t <= high)
        if not bool(acts.any()):
            return conditional(x_t, t, s)
        whole = bool(acts.all())
        if scale == 0 and whole:
            return unconditional(x_t, t, s)
        if both is None:
            told, base = conditional(x_t, t, s), unconditional(x_t, t, s)
        else:
            told, base = both(x_t, t, s)
        found = blend(x_t, base, [told], [scale])
        if whole:
            return found
        return each(lambda own, plain: torch.where(expand(acts, own), own, plain), found, told)

    return predict
