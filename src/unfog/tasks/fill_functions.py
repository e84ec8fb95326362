"""Filled tables of which some columns are functions of others: what follows is not drawn."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from unfog.kinds.table.cells import Cells, Table
from unfog.kinds.table.codec import TableCodec
from unfog.kinds.table.derived import broken
from unfog.kinds.table.levels import plain_levels
from unfog.kinds.table.move import moved
from unfog.kinds.table.settle import Settled, completed, inserted

Likely = dict[str, tuple[np.ndarray, np.ndarray]]


def filled_holes(
    codec: TableCodec, follows: Settled, holes: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Column -> (N,) bool, the holes that are filled: those of computed columns too."""
    found = dict(holes)
    found.update({n: follows.holes[n] for n in codec.functions if n in follows.holes})
    return {name: found[name] for name in codec.columns if name in found}


def fill_in(
    codec: TableCodec,
    follows: Settled,
    holes: Mapping[str, np.ndarray],
    drawn: Mapping[str, np.ndarray],
    shown: Mapping[str, np.ndarray],
    notes: list[str],
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Column -> values and presence of the shown holes in one draw, functions kept.

    Args:
        holes: that were drawn.     drawn: for these.     notes: told of rows that don't agree.
    """
    table: Table = inserted(follows.table, holes, drawn)
    table, off = completed(codec, follows, table)
    told = [
        f"in {count} rows of a draw the known {name!r} and what was drawn beside it don't agree "
        f"with {codec.functions[name].words(name)}"
        for name, count in off.items()
    ]
    rows = np.any([np.zeros(len(table), bool), *shown.values()], axis=0)
    wrong = [rows & ~one.obeyed(table.columns) for one in codec.rules]
    if any(bad.any() for bad in wrong):
        table = _moved(codec, table, rows, shown)
        for one, before in zip(codec.rules, wrong):
            still = rows & ~one.obeyed(table.columns)
            left = f"; {int(still.sum())} break it still" if still.any() else ""
            if before.any():
                told.append(
                    f"{int(before.sum())} filled rows of a draw broke {one.text!r}; their drawn "
                    f"cells were moved to the nearest that obey{left}"
                )
    notes += [text for text in told if text not in notes]
    return {
        name: (table.columns[name].values[hole], table.columns[name].present[hole])
        for name, hole in shown.items()
    }


def _moved(
    codec: TableCodec, table: Table, rows: np.ndarray, free: Mapping[str, np.ndarray]
) -> Table:
    """Drawn cells moved to obey the constraints, in rows where no function is broken by that."""
    tried = dict(moved(codec, codec.rules, table, rows, free=free).columns)
    for name in codec.functions:  # a known cell stays, and is not computed anew
        cells, hole = table.columns[name], free.get(name, np.zeros(len(table), bool))
        tried[name] = Cells(
            np.where(hole, tried[name].values, cells.values),
            np.where(hole, tried[name].present, cells.present),
        )
    before, after = broken(codec.functions, table), broken(codec.functions, Table(tried))
    worse = np.any([np.zeros(len(table), bool), *(after[n] & ~before[n] for n in after)], axis=0)
    return Table(
        {
            name: Cells(
                np.where(worse, cells.values, tried[name].values),
                np.where(worse, cells.present, tried[name].present),
            )
            for name, cells in table.columns.items()
        }
    )


def left_empty(
    shown: Mapping[str, np.ndarray], drawn: list[dict[str, tuple[np.ndarray, np.ndarray]]]
) -> tuple[dict[str, np.ndarray], list[dict[str, np.ndarray]]]:
    """Holes and values without those that some draw leaves undefined, such as a ratio to 0."""
    holes: dict[str, np.ndarray] = {}
    values: list[dict[str, np.ndarray]] = [{} for _ in drawn]
    for name, hole in shown.items():
        there = np.all([one[name][1] for one in drawn], axis=0)
        holes[name] = hole.copy()
        holes[name][hole] = there
        for found, one in zip(values, drawn):
            found[name] = one[name][0][there]
    return {n: h for n, h in holes.items() if h.any()}, values


def certain_levels(
    codec: TableCodec,
    likely: Likely,
    holes: Mapping[str, np.ndarray],
    shown: Mapping[str, np.ndarray],
    drawn: Mapping[str, np.ndarray],
) -> Likely:
    """Chances of all holes: those of levels that follow from other cells are 1.

    Args:
        likely: of the holes that were drawn.     drawn: values of all shown ones.
    """
    found = {}
    for name, (levels, chances) in likely.items():
        rows = np.flatnonzero(shown[name])
        was = holes[name][rows]
        places = {level: place for place, level in enumerate(plain_levels(levels))}
        whole = np.zeros((len(rows), len(levels)), dtype=chances.dtype)
        whole[was] = chances
        for row in np.flatnonzero(~was):
            value = plain_levels(drawn[name][row : row + 1])[0]
            whole[row, places[value]] = 1.0
        found[name] = (levels, whole)
    return found
