"""Further data beside what a run learnt from: another scale, or the very same items."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from unfog.errors import DataError
from unfog.judge.doctor.facts import Copies, Scale
from unfog.judge.doctor.restored import numbers
from unfog.kinds import kinds
from unfog.kinds.items import Items
from unfog.kinds.table.cells import Table
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
    mine, theirs = set(items.take(model.splits.train).keys()), fresh.keys()
    same = sum(key in mine for key in theirs) / max(1, len(fresh))
    if kind == "table":
        offset, spread = _columns(items.take(model.splits.train).data, fresh.data)
    else:
        x = numbers(base).double()
        some = fresh.data[: min(len(fresh), 2000)]
        states = numbers(model.borders.space.into(model.borders.codec.encode(some))).double()
        whole = x.var(0).mean().sqrt()
        offset = float((states.mean(0) - x.mean(0)).square().mean().sqrt() / whole)
        spread = float(states.var(0).mean().sqrt() / whole)
    scale = replace(scale, source_offset=offset, source_spread=spread)
    if same or known:
        known = replace(known or Copies(0.0, 0.0), exact=same)
    return scale, known


def _columns(mine: Table, theirs: Table) -> tuple[float, float]:
    """Of a table's columns of numbers: the median distance of medians in widths of the middle half,
    and the median ratio of those widths.
    """
    away, ratios = [], []
    for name, cells in mine.columns.items():
        x, y = (table.columns[name] for table in (mine, theirs))
        if cells.values.dtype.kind not in "fiu" or not (x.present.any() and y.present.any()):
            continue
        a, b = (
            np.quantile(one.values[one.present].astype(float), [0.25, 0.5, 0.75]) for one in (x, y)
        )
        if a[2] > a[0]:
            away.append(abs(b[1] - a[1]) / (a[2] - a[0]))
            ratios.append((b[2] - b[0]) / (a[2] - a[0]))
    return float(np.median(away or [0.0])), float(np.median(ratios or [1.0]))
