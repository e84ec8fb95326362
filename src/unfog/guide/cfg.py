"""Classifier-free guidance: predictor and predictor -> predictor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from unfog.guide.blend import blend, checked_scale
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
        interval: times [low, high] in which to guide; outside, the conditional prediction is used.
        both: the conditional and the unconditional prediction from one call, asked instead of the
            two where both are needed.
    Ref: Kynkaanniemi et al. 2024, Applying Guidance in a Limited Interval, for `interval`.
    """
    checked_scale(scale)

    def predict(x_t: Any, t: Tensor, s: Tensor | None = None) -> Any:
        low, high = interval
        if scale == 1 or not low <= float(t) <= high:
            return conditional(x_t, t, s)
        if scale == 0:
            return unconditional(x_t, t, s)
        if both is None:
            told, base = conditional(x_t, t, s), unconditional(x_t, t, s)
        else:
            told, base = both(x_t, t, s)
        return blend(x_t, base, [told], [scale])

    return predict
