"""Further data beside what a run learnt from: another scale, or the very same items."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from unfog.errors import DataError
from unfog.judge.doctor.facts import Copies, Scale
from unfog.judge.doctor.restored import numbers
from unfog.kinds import kinds
from unfog.kinds.items import Items
from unfog.maths.states import State
from unfog.tasks.trained import Trained


def foreign(
    model: Trained, items: Items, base: State, source: Any, scale: Scale, known: Copies | None
) -> tuple[Scale, Copies | None]:
    """Scale and copies with what a source adds to them. Raises DataError for another form."""
    kind, reading = model.config.kind, dict(model.config.data.reading)
    fresh = kinds[kind].read(source, given=model.config.given or None, **reading)
    if kind == "table":
        fresh = replace(fresh, data=model.borders.codec.check(fresh.data))
    elif list(fresh.data.shape[1:]) != model.config.data.item:
        raise DataError(
            f"the source's items have shape {fresh.data.shape[1:]}, the run's "
            f"{tuple(model.config.data.item)}; give items of the same shape"
        )
    mine = set(items.take(model.splits.train).keys())
    same = sum(key in mine for key in fresh.keys()) / max(1, len(fresh))
    x = numbers(base).double()
    if x.shape[1]:
        some = fresh.data[: min(len(fresh), 2000)]
        theirs = numbers(model.borders.space.into(model.borders.codec.encode(some))).double()
        whole = x.var(0).mean().sqrt()
        scale = replace(
            scale,
            source_offset=float((theirs.mean(0) - x.mean(0)).square().mean().sqrt() / whole),
            source_spread=float(theirs.var(0).mean().sqrt() / whole),
        )
    if same or known:
        known = replace(known or Copies(0.0, 0.0), exact=same)
    return scale, known
