"""Values of a model's own conditions, drawn as training had them among those that are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from unfog.errors import ArgumentError
from unfog.guide.candidates import pick_together
from unfog.kinds.asked import Asked, Condition, Equal, Rows
from unfog.kinds.fields import ClassField, NumberField
from unfog.tasks.met import tolerance

PLENTY = 4096


def mixed(
    fields: Mapping[str, Any], asked: Asked, count: int, seed: int, candidates: int | None
) -> tuple[dict[str, list[Any]], list[str], float | None, int]:
    """name -> a value per row; notes; effective candidates per row and their number.

    Every name is drawn by itself: what is not data knows nothing of how conditions go together.

    Raises: ArgumentError where training had nothing that is asked for.
    """
    rng = np.random.default_rng(seed)
    wanted = {n: c for n, c in asked.conditions.items() if not isinstance(c, Equal | Rows)}
    names = [*wanted, *(a.name for a in asked.aggregates.values() if a.name not in wanted)]
    fixed = [n for n in names if n in asked.conditions and n not in wanted]
    if fixed:
        raise ArgumentError(f"{fixed[0]!r} has a value already, so nothing of it can be moved")
    size = max(candidates or 64, -(-PLENTY // count)) if asked.aggregates else 1
    values: dict[str, list[Any]] = {}
    notes: list[str] = []
    for name in dict.fromkeys(names):
        values[name] = _drawn(name, fields[name], wanted.get(name), size * count, rng, notes)
    if len(values) > 1:
        notes.append(f"{', '.join(values)} are drawn each by itself")
    if not asked.aggregates:
        return values, notes, None, 1
    features = [a.features(values[a.name], count) for a in asked.aggregates.values()]
    close = [
        tolerance(a, values[a.name]) / (len(values[a.name]) if a.how == "sum" else 1) / 4
        for a in asked.aggregates.values()
    ]
    chosen, ess, _ = pick_together(
        torch.zeros(size * count), np.stack(features, 1), count, seed, np.array(close)
    )
    return {n: [v[i] for i in chosen.tolist()] for n, v in values.items()}, notes, ess, size


def _drawn(
    name: str,
    known: Any,
    condition: Condition | None,
    count: int,
    rng: np.random.Generator,
    notes: list[str],
) -> list[Any]:
    if isinstance(known, ClassField):
        counts = known.counts
        if counts is None:
            notes.append(f"{name}: this run does not hold how often classes occurred; drawn evenly")
        share = np.ones(len(known.classes)) if counts is None else np.array(counts, float)
        if condition is not None:
            share = share * condition.met(known.classes)
        if not share.any():
            raise ArgumentError(f"given {name!r}: training had no class that is asked for")
        places = rng.choice(len(share), count, p=share / share.sum())
        return [known.classes[place] for place in places]
    if not isinstance(known, NumberField) or known.seen is None:
        raise ArgumentError(
            f"given {name!r}: this run does not hold which values training had; give a value per "
            "row, or fit again"
        )
    inside = known.seen if condition is None else [
        v for v, use in zip(known.seen, condition.met(known.seen)) if use
    ]  # fmt: skip
    if not inside:
        raise ArgumentError(
            f"given {name!r}: training had no value in what is asked for; its values run from "
            f"{known.seen[0]:g} to {known.seen[-1]:g}"
        )
    return [inside[place] for place in rng.integers(len(inside), size=count)]
