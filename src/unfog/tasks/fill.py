"""Fill: draw the empty cells of a table given the known ones, from the model that generates."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.guide import clean, fill, never, only
from unfog.kinds import kinds
from unfog.kinds.asked import Asked
from unfog.kinds.given import find
from unfog.kinds.items import Items
from unfog.kinds.table.cells import Table
from unfog.kinds.table.holes import (
    Holes,
    constants,
    decode_holes,
    encode_holes,
    find_holes,
    unseen,
)
from unfog.kinds.table.settle import allowed_codes, settled
from unfog.maths.randomness import mix
from unfog.maths.states import each
from unfog.sample.loop import sample
from unfog.sample.randomness import SampleRng
from unfog.tasks.assemble import Sampling, blank, build_sampling
from unfog.tasks.fill_asked import (
    Drawn,
    asked_of_holes,
    draw_asked,
    exactly,
    met_by,
    of_learnt,
    of_rows,
    unmet_known,
)
from unfog.tasks.fill_chances import Tally
from unfog.tasks.fill_functions import certain_levels, fill_in, filled_holes, left_empty
from unfog.tasks.fill_path import filling_path
from unfog.tasks.filled import Filled
from unfog.tasks.met import Met
from unfog.tasks.show import bar

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

AT_ONCE = 1024
MOST_DRAWS = 1 << 20


@torch.no_grad()
def fill_table(
    model: Trained,
    source: Any,
    *,
    draws: int = 1,
    seed: int = 0,
    steps: int | None = None,
    unknown: str = "refuse",
    given: Mapping[str, Any] | None = None,
    candidates: int | None = None,
    chances: bool = False,
    batch: int | None = None,
    show: bool | None = None,
) -> Filled:
    """Draw every empty cell of a table, given the known cells of its row; these stay as they are.

    Draws are samples of what the cells may be, never a mean. A draw depends on the seed, the row's
    number and the draw's, not on how many draws or rows there are.

    Args:
        source: a table as `fit` takes it, with the columns of the training table in any order, at
            least one row.     draws: of every hole.
        steps: of sampling; the run's own where None.
        unknown: "refuse" levels that training didn't have, or take them "as-missing": they are
            drawn anew.
        given: what drawn cells are to be: values, one of several, ranges; see
            `unfog.kinds.asking.read`. Known cells stay, whatever is asked.
        candidates: tries per row where conditions need weights.
        chances: keep the chance of every level of every hole, see `Filled.chances`.
        batch: rows at once; changes speed, not what is drawn.
    Raises: ArgumentError for a model of something else than tables; DataError for columns that are
        not the training table's, for their types, for unseen levels.
    """
    if model.config.kind != "table":
        raise ArgumentError(
            f"fill_table takes tables, and this is a model of {model.config.kind}s; model.fill "
            "takes images and arrays too"
        )
    for what, value, most in (("draws", draws, MOST_DRAWS), ("batch", batch or 1, 1 << 24)):
        if not isinstance(value, int) or not 1 <= value <= most:
            raise ArgumentError(f"{what} is a whole number from 1 to {most}; got {value!r}")
    how = build_sampling(model.config, steps=steps)
    codec = model.borders.codec
    items = _read(model, source)
    table = codec.check(items.data)
    follows = settled(codec, table)
    holes = find_holes(codec, table, unknown)
    open_ = find_holes(codec, follows.table, unknown) if codec.functions else holes
    rows = np.flatnonzero(np.any([np.zeros(len(table), bool), *open_.values()], axis=0))
    mine = {name: hole[rows] for name, hole in open_.items()}
    notes = [*_notes(model, table, rows), *follows.notes]
    notes += [f"{text}; known ones are drawn in their place" for text in unseen(codec, table)]
    filled = constants(codec, table)
    known = Table(
        {
            name: filled.get(name, table.columns[name] if name in holes else cells)
            for name, cells in items.data.columns.items()
        }
    )
    asked = asked_of_holes(model, given, len(table)) if given else None
    if chances and asked is not None:
        raise ArgumentError("chances are of holes of which nothing is asked; leave out given")
    tally = Tally(model.net.path, len(rows)) if chances else None
    drawn: list[dict[str, np.ndarray]] = [{} for _ in range(draws)]
    first: Drawn | None = None
    if len(rows):
        here = follows.table[rows]
        encoded = encode_holes(codec, here, mine)
        wide = max([0, *codec.fields.get("cat", {}).get("sizes", [])])
        allowed = allowed_codes(codec, here, wide)
        cond = _cond(model, items, holes, rows)
        place = np.tile(np.arange(len(rows)), draws)
        numbers = (np.repeat(np.arange(draws), len(rows)) << 40) + rows[place]
        if asked is not None:
            mine_asked = of_rows(of_learnt(model, asked), rows)
            first = draw_asked(
                model, mine_asked, encoded, cond, rows, draws, how, seed=seed, candidates=candidates
            )
            encoded, cond, place = first.holes, first.cond, np.arange(len(place))
        with bar(f"filling {len(rows)} rows", len(place) * how.steps, show=show) as line:
            states = _states(
                model, encoded, cond, place, numbers, how, seed, batch or AT_ONCE, line, tally,
                allowed,
            )  # fmt: skip
        for number in range(draws):
            part = slice(number * len(rows), (number + 1) * len(rows))
            state = {name: value[part] for name, value in states.items()}
            found = decode_holes(codec, state, mine, mix(seed, number) >> 1)
            if first is not None:
                found = exactly(model, mine_asked, first.limits, found, mine, number)
            drawn[number] = found
    index = getattr(source, "index", None)
    likely = {} if tally is None else tally.named(codec, mine, draws)
    if codec.functions or codec.rules:
        shown = filled_holes(codec, follows, holes)
        whole = [fill_in(codec, follows, open_, one, shown, notes) for one in drawn]
        holes, drawn = left_empty(shown, whole)
        likely = certain_levels(codec, likely, open_, holes, drawn[0])
    filled_in = Filled(known, holes, drawn, notes, _origin(model, items), index, likely=likely)
    if asked is None:
        return filled_in
    return dataclasses.replace(filled_in, met=_met(asked, filled_in, first, follows.table, open_))


def _met(
    asked: Asked,
    filled: Filled,
    first: Drawn | None,
    table: Table,
    holes: dict[str, np.ndarray],
) -> Met:
    """How far what was asked is met by the filled table."""
    notes = unmet_known(asked, table, holes)
    if first is not None:
        notes = [*notes, *first.limits.notes]
    weighed = first is not None and first.size > 1
    tables = [filled.table(number) for number in range(len(filled))]
    return met_by(
        asked,
        tables,
        first.ess if first is not None and weighed else None,
        first.size if first is not None else 1,
        notes,
    )


def _read(model: Trained, source: Any) -> Items:
    """The source, read as the training table was, down to a single row."""
    reading = {k: v for k, v in model.config.data.reading.items() if k != "limit"}
    if not isinstance(source, str | pathlib.Path):  # how a file is spelt says nothing of a frame
        reading = {
            k: v for k, v in reading.items() if k not in ("delimiter", "encoding", "missing")
        }
    return kinds["table"].read(source, least=1, **reading)


def _notes(model: Trained, table: Table, rows: np.ndarray) -> list[str]:
    """What is not as a user may expect: cells that stay empty, and how the others are drawn."""
    notes = []
    for name, column in model.borders.codec.columns.items():
        empty = int((~table.columns[name].present).sum())
        if name in model.borders.codec.functions:
            continue
        learnt = column.role.coded or (column.role.kind == "constant" and column.levels is not None)
        if empty and not learnt:
            notes.append(
                f"column {name!r} was not learnt ({column.role.kind}); its {empty} empty cells "
                "stay empty"
            )
    if len(rows) and not model.net.told:
        notes.append(
            "this model was trained without known cells (train.known = 0); they are put into its "
            "predictions, which is less exact: fit again with --set train.known=0.3"
        )
    return notes


def _cond(
    model: Trained, items: Items, holes: dict[str, np.ndarray], rows: np.ndarray
) -> dict[str, Tensor] | None:
    """Conditions of the rows from their own cells; a hole is no condition."""
    given = model.borders.given
    if not given.fields:
        return None
    asked = {}
    for name, values in given.pick(items.columns).items():
        hole = holes.get(str(find(name, items.columns)), np.zeros(len(items), bool))
        asked[name] = [None if hole[row] else values[row] for row in rows]
    return given.encode(asked, len(rows))


def _states(
    model: Trained,
    holes: Holes,
    cond: dict[str, Tensor] | None,
    place: np.ndarray,
    numbers: np.ndarray,
    how: Sampling,
    seed: int,
    size: int,
    line: Any,
    tally: Tally | None,
    allowed: dict[int, Tensor],
) -> dict[str, Tensor]:
    """(draws · H, n) per field: draw after draw of all H rows.

    Args:
        place: (draws · H,) which of the holes' rows each is.
        numbers: (draws · H,) what its noise depends on.
        allowed: of the H rows, see `allowed_codes`.
    """
    parts = []
    for at in range(0, len(place), size):
        picked = torch.from_numpy(place[at : at + size])

        def of(values: dict[str, Tensor], picked: Tensor = picked) -> dict[str, Tensor]:
            return {name: value[picked].to(model.device) for name, value in values.items()}

        parts.append(
            _follow(
                model,
                of(holes.state),
                of(holes.keep),
                {name: code.to(model.device) for name, code in holes.last.items()},
                None if cond is None else of(cond),
                SampleRng(seed, numbers[at : at + size].tolist()),
                how,
                tally,
                {at: free[picked % len(free)].to(model.device) for at, free in allowed.items()},
            )
        )
        if tally is not None:
            tally.end(picked)
        line.to(min(at + size, len(place)) * how.steps)
    return each(lambda *pieces: torch.cat(pieces), *parts)


def _follow(
    model: Trained,
    known: dict[str, Tensor],
    keep: dict[str, Tensor],
    last: dict[str, Tensor],
    cond: dict[str, Tensor] | None,
    rng: SampleRng,
    how: Sampling,
    tally: Tally | None,
    allowed: dict[int, Tensor],
) -> dict[str, Tensor]:
    """One batch from noise to data, with what is known in every prediction."""
    net, path = model.net, filling_path(model.config, model.net.path)
    # a category that is known looks like one that is revealed, so every model may see it
    shown = keep if net.told else {name: value for name, value in keep.items() if name in last}
    predict = clean(net.bind(cond, keep=keep, jumps=how.jumps), known, shown)
    predict = never(predict, last)
    predict = fill(only(predict, allowed) if allowed else predict, known, keep)
    x_t = path.prior(blank(model.config, len(rng.indices), model.device), rng=rng, cond=cond)
    grid = how.grid(path, how.steps)
    for step in sample(
        predict, path, how.solver, x_t, grid, eta=how.eta, rng=rng, corrector=how.corrector
    ):
        if tally is not None:
            tally.step(x_t, step.x, step.x_hat)
        x_t = step.x
    back = model.borders.space.back(x_t)
    return {name: value.cpu() for name, value in back.items()}


def _origin(model: Trained, items: Items) -> dict[str, Any]:
    """How the source was spelt; of columns without any value, how the training table's were."""
    specs = dict(items.origin["columns"])
    trained = model.config.data.origin.get("columns", {})
    for name, cells in items.data.columns.items():
        if not cells.present.any():
            specs[name] = trained.get(name, {})
    return {**items.origin, "columns": specs}
