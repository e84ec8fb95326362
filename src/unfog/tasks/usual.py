"""What distilling takes where nobody chooses: the objective's options, the step size, how long."""

from __future__ import annotations

from typing import Any

from unfog.maths.flowmaps import flowmaps
from unfog.tasks.config import TrainConfig
from unfog.tasks.recipes import recipes

GENTLER = 0.5
"""Peak step size over the teacher's: the weights begin near where they are to end."""
QUARTER = 0.25
"""Compute of a student over its teacher's: a fifth of both. See docs/flowmaps.md."""
DEARER = 1.5
"""What an update of a student costs over one of its teacher, in passes through nets."""
LEAST = 15.0
"""Seconds that reading the data and planning leave something of."""


def objective_of(name: str | None) -> dict[str, Any]:
    """An objective as a configuration: the recipe's own options where it is the recipe's (or None),
    else those of its class. Raises UnknownName.
    """
    usual: dict[str, Any] = recipes["flowmap"].flowmap or {}
    if name is None or flowmaps[name] is flowmaps[usual["name"]]:
        return dict(usual)
    return {"name": name}


def length_of(teacher: TrainConfig) -> tuple[float, int | None]:
    """(seconds, None) after a teacher that was given a time, (0, updates) after another."""
    if teacher.budget is not None:
        return max(LEAST, QUARTER * teacher.budget), None
    return 0.0, max(1, round(QUARTER * teacher.steps / DEARER))
