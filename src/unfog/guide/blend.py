"""Predictions combined: numbers along the line through them, categories along their logarithms."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.maths.states import each


def categorical(x_t: Tensor, x_hat: Tensor) -> bool:
    """Whether x_hat holds probabilities: the state is codes, and x_hat has one axis more."""
    return not x_t.is_floating_point() and x_hat.ndim == x_t.ndim + 1


def blend(x_t: Any, base: Any, parts: list[Any], weights: list[float]) -> Any:
    """base + sum_i weight_i (part_i - base), which for one part is lerp(base, part, weight).

    Of categories the same of their logarithms, normalised again: log x_hat is to categories what
    the score is to numbers, and probabilities never become negative.

    Args:
        x_t: the state that was predicted from; says which fields are categories.
    Ref: Nisonoff et al. 2024, Unlocking Guidance for Discrete State-Space Diffusion, eq. 4.
    """

    def mixed(state: Tensor, base: Tensor, *parts: Tensor) -> Tensor:
        if not categorical(state, base):
            return base + sum(w * (part - base) for w, part in zip(weights, parts))
        tiny = torch.finfo(base.dtype).tiny
        logs = [part.clamp_min(tiny).log() for part in (base, *parts)]
        log = logs[0] + sum(w * (part - logs[0]) for w, part in zip(weights, logs[1:]))
        # what a part with positive weight rules out stays ruled out, as do codes that don't exist
        out = torch.stack([base, *parts]).amax(0) == 0
        for w, part in zip(weights, parts):
            out = out | ((part == 0) if w > 0 else torch.zeros_like(out))
        return torch.softmax(log.masked_fill(out, -torch.inf), -1)

    return each(mixed, x_t, base, *parts)


def checked_scale(scale: float) -> float:
    """The guidance scale. Raises ArgumentError where it is not a finite number >= 0."""
    if not (scale >= 0 and math.isfinite(scale)):
        raise ArgumentError(f"a guidance scale is a finite number >= 0, 1 = unguided; got {scale}")
    return scale
