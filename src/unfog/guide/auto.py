"""Autoguidance: away from a weaker version of the same model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from unfog.guide.cfg import cfg, guides


@guides.add(
    "auto",
    aliases=("autoguidance",),
    reference="Karras et al. 2024, Guiding a Diffusion Model with a Bad Version of Itself, eq. 4",
)
def auto(
    predictor: Callable[..., Any],
    weaker: Callable[..., Any],
    *,
    scale: float = 1.0,
    interval: tuple[float, float] = (0.0, 1.0),
) -> Callable[..., Any]:
    """Away from where a weaker model errs: x_hat = lerp(weaker, predictor, scale).

    Args:
        weaker: the same task learnt less well, under the same condition: an earlier checkpoint, or
            a smaller net. Where both err alike, guidance pushes away from the error.
        scale, interval: as for `cfg`; 1 = the predictor unchanged, and `weaker` is not called.
    """
    return cfg(predictor, weaker, scale=scale, interval=interval)
