"""Known entries: a predictor that never forgets them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unfog.guide.cfg import guides
from unfog.maths.states import expand


@guides.add(
    "fill", reference="Lugmayr et al. 2022, RePaint, eq. 8, on the prediction instead of the state"
)
def fill(predictor: Callable[..., Any], known: Tensor, keep: Tensor) -> Callable[..., Any]:
    """Put the known entries into every prediction, so that the sample has them bit-equal at t = 0.

    Args:
        known: (B, *D) values, read where keep is 1.     keep: (B, *D) or a left-aligned shape, 1 =
            known.
    """

    def predict(x_t: Any, t: Tensor, s: Tensor | None = None) -> Any:
        x_hat = predictor(x_t, t, s)
        return torch.where(expand(keep, x_hat).bool(), known, x_hat)

    return predict
