"""A few samples beside data: do they leave its range, and do they vary?"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from unfog.errors import UnfogError
from unfog.judge.doctor.facts import Drawn
from unfog.judge.doctor.restored import numbers
from unfog.kinds.items import Items
from unfog.tasks.generate import generate
from unfog.tasks.trained import Trained

GROUPS, EACH = 8, 12
"""Conditions that are drawn for, and draws of each."""
STEPS = 20


def drawn(model: Trained, items: Items) -> Drawn | None:
    """Of training items; None where states have no numbers."""
    codec = model.borders.codec
    data = numbers(codec.encode(items.data)).double()
    if not data.shape[1]:
        return None
    scale = model.config.scale if model.config.given else 1.0
    plain = _states(model, items, 1.0)
    plain_outside, plain_spread = _facts(plain, data)
    try:
        outside, spread = _facts(plain if scale == 1 else _states(model, items, scale), data)
    except UnfogError:  # samples so far out that no path takes them
        outside, spread = 1.0, plain_spread
    wide, whole = data.std(0), data.var(0).mean().sqrt()
    varied = wide > 0.1 * whole
    still = plain.std(0) < 0.05 * wide
    narrow = float((still & varied).sum() / varied.sum().clamp_min(1))
    return Drawn(outside, spread, plain_outside, plain_spread, narrow, scale)


def _states(model: Trained, items: Items, scale: float) -> Tensor:
    """(GROUPS * EACH, D) states, EACH of every condition in turn."""
    rows = np.random.default_rng(3).choice(len(items), GROUPS, replace=len(items) < GROUPS)
    picked = model.borders.given.pick(items.columns)
    given: dict[str, Any] = {
        name: [values[row] for row in rows for _ in range(EACH)] for name, values in picked.items()
    }
    samples = generate(
        model,
        GROUPS * EACH,
        given=given or None,
        scale=scale,
        steps=min(STEPS, max(2, model.config.sampling_steps)),
        solver="multistep",
        eta=0.0,
        corrector="none",
        seed=11,
        obeying=False,
        show=False,
    )
    return numbers(samples.state).double()


def _facts(x: Tensor, data: Tensor) -> tuple[float, float]:
    """The share of numbers outside the data's range, and the deviation within a condition."""
    low, high = data.min(0).values, data.max(0).values
    whole = data.var(0).mean().sqrt()
    margin = 0.25 * data.std(0) + 0.1 * whole
    outside = ((x < low - margin) | (x > high + margin)).double().mean()
    inside = x.reshape(GROUPS, EACH, -1).var(1).mean().sqrt()
    return float(outside), float(inside / whole)
