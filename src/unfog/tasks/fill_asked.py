"""Holes that are to be as asked: what is asked for is drawn first, other holes given it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.guide.candidates import pick_each
from unfog.kinds.asked import Asked, Equal, Rows
from unfog.kinds.asking import read
from unfog.kinds.table.allowed import askable, plain_cells
from unfog.kinds.table.askderived import askable_derived, translated
from unfog.kinds.table.cells import Table
from unfog.kinds.table.draws import place_keys, uniforms
from unfog.kinds.table.holes import Holes
from unfog.maths.randomness import mix
from unfog.sample.randomness import SampleRng
from unfog.tasks.assemble import Sampling
from unfog.tasks.constrain import usual
from unfog.tasks.firsts import first_draws
from unfog.tasks.limits import Limits, ask
from unfog.tasks.met import Met, measure

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained


@dataclass(frozen=True)
class Drawn:
    """Holes of which those that are asked for are drawn, draw after draw of all rows.

    Attributes:
        holes, cond: of draws · H rows.     limits: what was asked.
        ess, size: effective number of candidates per row, and how many there were.
    """

    holes: Holes
    cond: dict[str, Tensor] | None
    limits: Limits
    ess: float
    size: int


def asked_of_holes(model: Trained, given: Mapping[str, Any], count: int) -> Asked:
    """The user's conditions on a table of `count` rows. Raises ArgumentError for aggregates."""
    names = askable(model.borders.codec)
    asked = read(given, names | askable_derived(model.borders.codec, names), count)
    if asked.aggregates:
        raise ArgumentError(
            f"{next(iter(asked.aggregates))}: aggregates are of rows that are drawn whole, by "
            "sample; fill takes values, one of several, ranges and inequalities"
        )
    return asked


def of_learnt(model: Trained, asked: Asked) -> Asked:
    """The same of columns that are learnt. Raises ArgumentError for what can't be said of these."""
    codec = model.borders.codec
    learnt, left = translated(codec, asked)
    if left:
        name = next(iter(left))
        words = codec.functions[name].words(name)
        raise ArgumentError(
            f"given {name!r}: {words}, so holes can't be drawn to make it so: ask for values of "
            f"{', '.join(codec.functions[name].parents)}"
        )
    return learnt


def of_rows(asked: Asked, rows: np.ndarray) -> Asked:
    """The conditions on some of the rows."""
    conditions = {
        name: Rows(tuple(c.values[row] for row in rows)) if isinstance(c, Rows) else c
        for name, c in asked.conditions.items()
    }
    return dataclasses.replace(asked, conditions=conditions)


def draw_asked(
    model: Trained,
    asked: Asked,
    holes: Holes,
    cond: dict[str, Tensor] | None,
    rows: np.ndarray,
    draws: int,
    how: Sampling,
    *,
    seed: int,
    candidates: int | None,
) -> Drawn:
    """Draw the holes that are asked for; the others stay holes.

    Args:
        asked: of the H rows with holes.     rows: (H,) their numbers in the table.
    """
    place = np.tile(np.arange(len(rows)), draws)
    numbers = ((np.repeat(np.arange(draws), len(rows)) << 40) + rows[place]).tolist()
    picked = torch.from_numpy(place)
    known, keep = (
        {name: value[picked].clone() for name, value in state.items()}
        for state in (holes.state, holes.keep)
    )
    codec = model.borders.codec
    limits = Limits(known, keep, last=holes.last)
    asked = of_rows(asked, place)
    ask(limits, codec, asked, seed=codec.seed)
    tiled = None if cond is None else {name: value[picked] for name, value in cond.items()}
    size = candidates or usual(model, limits, False, len(place), filling=True)
    firsts = first_draws(
        model, limits, tiled, how, numbers, size=size, seed=mix(seed, 1), filling=True
    )
    chosen, ess = pick_each(firsts.log_weight, SampleRng(mix(seed, 2), numbers))
    state, kept = (
        {name: value[chosen] for name, value in each.items()}
        for each in (firsts.state, firsts.keep)
    )
    if firsts.whole:
        kept = {name: torch.ones_like(value) for name, value in kept.items()}
    tiled = _told(model, asked, state, tiled)
    least = min(ess, float(firsts.least.mean()))
    return Drawn(Holes(state, kept, holes.last), tiled, limits, least, size)


def _told(
    model: Trained, asked: Asked, state: dict[str, Tensor], cond: dict[str, Tensor] | None
) -> dict[str, Tensor] | None:
    """Conditions that the model was fitted with take what was drawn for them."""
    fields = model.borders.given.fields
    names = [name for name in asked.conditions if name in fields]
    if cond is None or not names:
        return cond
    cells = model.borders.codec.decode(state).columns
    fresh = model.borders.given.encode({n: cells[n].to_list() for n in names}, len(cells[names[0]]))
    return {**cond, **{name: fresh[name] for name in names}}


def exactly(
    model: Trained, asked: Asked, limits: Limits, drawn: dict[str, np.ndarray],
    holes: Mapping[str, np.ndarray], number: int,
) -> dict[str, np.ndarray]:  # fmt: skip
    """What was drawn in one draw, with asked values as asked, and rare levels that are allowed."""
    codec = model.borders.codec
    done = dict(drawn)
    for name, condition in asked.conditions.items():
        if name not in done:
            continue
        values, rows = done[name].copy(), np.flatnonzero(holes[name])
        if isinstance(condition, Equal | Rows):
            wanted = (
                [condition.value] * len(rows)
                if isinstance(condition, Equal)
                else [condition.values[row] for row in rows]
            )
            for place, value in enumerate(wanted):
                if value is not None:
                    values[place] = _as(values.dtype, value)
        elif name in limits.rare:
            levels, rare = codec.columns[name].levels, limits.rare[name]
            shares = np.cumsum([often for _, often in rare])
            chance = uniforms(place_keys(number << 32, len(rows), codec.seed), f"asked {name}")
            for place, value in enumerate(values.tolist()):
                if levels is not None and value in levels.rare:
                    pick = np.searchsorted(shares, chance[place] * shares[-1], side="right")
                    values[place] = rare[int(pick)][0]
        done[name] = values
    return done


def _as(dtype: np.dtype, value: Any) -> Any:
    return np.int64(value).astype(dtype) if dtype.kind in "mM" else value


def met_by(
    asked: Asked, tables: list[Table], ess: float | None, size: int, notes: list[str]
) -> Met:
    """Conditions measured on all draws of the filled table, known cells included."""
    draws = len(tables)
    values = {
        name: [v for table in tables for v in plain_cells(table.columns[name])]
        for name in asked.conditions
    }
    conditions = {
        name: Rows(c.values * draws) if isinstance(c, Rows) else c
        for name, c in asked.conditions.items()
    }
    return measure(
        dataclasses.replace(asked, conditions=conditions), values,
        ess=ess, candidates=size, notes=notes,
    )  # fmt: skip


def unmet_known(asked: Asked, table: Table, holes: Mapping[str, np.ndarray]) -> list[str]:
    """Notes about known cells that are not as asked: they stay."""
    notes = []
    for name, condition in asked.conditions.items():
        met = condition.met(plain_cells(table.columns[name]))
        against = int((~met & ~holes.get(name, np.zeros(len(table), bool))).sum())
        if against:
            notes.append(
                f"{asked.spelled[name]}: {against} known cells are otherwise; they stay as they are"
            )
    return notes
