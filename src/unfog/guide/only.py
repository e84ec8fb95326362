"""Only: categories that a row may have, one set for each of its entries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from unfog.guide.fill import Predictor


def only(predictor: Predictor, allowed: Mapping[int, Tensor], field: str = "cat") -> Predictor:
    """Rule out the categories that are not allowed, and share their probability among the others.

    Args:
        allowed: place of an entry in the field -> (B, K) bool, of the categories as predictions
            have them; a row without any is not allowed.
    """

    def predict(x_t: Any, t: Tensor, s: Tensor | None = None) -> Any:
        x_hat = predictor(x_t, t, s)
        chances = x_hat[field].clone()
        for place, free in allowed.items():
            left = torch.where(free, chances[:, place], 0)
            total = left.sum(-1, keepdim=True)
            # where the others have no mass that float32 can tell, they are equally likely
            even = free / free.sum(-1, keepdim=True).clamp_min(1).to(left)
            chances[:, place] = torch.where(total > 0, left / total.clamp_min(1e-30), even)
        return {**x_hat, field: chances}

    return predict
