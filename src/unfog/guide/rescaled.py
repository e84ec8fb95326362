"""Classifier-free guidance that keeps the spread of the conditional prediction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from unfog.errors import ArgumentError
from unfog.guide.blend import categorical
from unfog.guide.cfg import cfg, guides
from unfog.maths.states import each, expand


@guides.add(
    "rescaled",
    reference="Lin et al. 2023, Common Diffusion Noise Schedules … Flawed, eq. 14 to 16, on x_hat",
)
def rescaled(
    conditional: Callable[..., Any],
    unconditional: Callable[..., Any],
    *,
    scale: float = 1.0,
    share: float = 0.7,
) -> Callable[..., Any]:
    """Guidance whose result has, by this share, the conditional prediction's standard deviation.

    A large scale makes images too bright and too rich in contrast; this takes the excess back.
    Fields of categories are guided as by `cfg`.

    Args:
        scale: as for `cfg`.
        share: 0 = plain guidance, 1 = each sample's deviation is exactly the conditional's.
    """
    if not 0 <= share <= 1:
        raise ArgumentError(f"the share of rescaling lies in [0, 1]; got {share}")

    def shrunk(x_t: Tensor, guided: Tensor, told: Tensor) -> Tensor:
        if categorical(x_t, told) or told[0].numel() < 2:
            return guided
        wide = guided.flatten(1).std(1)
        # a prediction without any spread has nothing to be scaled
        ratio = (told.flatten(1).std(1) / wide.clamp_min(1e-12)).where(wide > 0, 1.0)
        return guided * expand(share * ratio + (1 - share), guided)

    def predict(x_t: Any, t: Tensor, s: Tensor | None = None) -> Any:
        told = conditional(x_t, t, s)
        if scale == 1:
            return told
        guided = cfg(lambda *_: told, unconditional, scale=scale)(x_t, t, s)
        return each(shrunk, x_t, guided, told)

    cfg(conditional, unconditional, scale=scale)  # refuses a wrong scale now, not at the first step
    return predict
