"""What follows from known cells by the functions between columns, in tables with holes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from unfog.kinds.table.cells import Cells, Table
from unfog.kinds.table.codec import TableCodec
from unfog.kinds.table.derived import broken, computing_order
from unfog.kinds.table.functions import Function, levels_of
from unfog.kinds.table.rounding import Rounding


@dataclass(frozen=True)
class Settled:
    """A table with holes, and what its functions say of them.

    Attributes:
        table: with every hole filled that follows from known cells alone.
        holes: column → (N,) bool, the holes of columns that take part in a function.
        notes: sentences.
    """

    table: Table
    holes: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def settled(codec: TableCodec, table: Table) -> Settled:
    """Fill what follows: computed columns from their parents, and a parent from the rest where that
    leaves one value.

    Args:
        table: as `TableCodec.check` gives it.
    """
    if not codec.functions:
        return Settled(table)
    columns = dict(table.columns)
    concerned = {n for name, rule in codec.functions.items() for n in (name, *rule.parents)}
    holes = {n: ~columns[n].present for n in concerned if not columns[n].present.all()}
    notes = [
        f"{int(wrong.sum())} known cells of column {name!r} are otherwise than "
        f"{codec.functions[name].words(name)}; they stay as they are"
        for name, wrong in broken(codec.functions, table).items()
        if wrong.any()
    ]
    changed = True
    while changed:
        changed = False
        for name, rule in codec.functions.items():
            changed |= _put(columns, name, rule.cells(columns))
            for parent in rule.parents:
                changed |= _put(columns, parent, _solved(codec, columns, name, rule, parent))
    return Settled(Table(columns), holes, notes)


def _solved(
    codec: TableCodec, columns: Mapping[str, Cells], name: str, rule: Function, parent: str
) -> Cells:
    """A parent from its function, where that leaves one value that the parent can have."""
    cells = columns[parent]
    if cells.present.all():
        return cells
    found = rule.parent(columns, columns[name], parent, rounding_of(codec, parent, cells))
    column = codec.columns[parent]
    if column.levels is not None:
        return Cells(found.values, found.present & column.levels.known(found))
    if column.number is not None and found.present.any():
        values = found.known()
        _, taken = column.number.encode(values, np.full(len(values), 0.5))
        present = found.present.copy()
        present[found.present] = taken
        return Cells(found.values, present)
    return found


def rounding_of(codec: TableCodec, name: str, cells: Cells) -> Rounding:
    """How a column is rounded: as in training."""
    column = codec.columns[name]
    if name in codec.functions:
        return codec.functions[name].rounding
    if column.number is not None:
        lattice = column.number.lattice
        if column.dtype.kind in "mM" and lattice is not None:
            return Rounding(column.dtype, step=lattice.step)
        return Rounding(column.dtype, None if lattice is None else lattice.decimals)
    if column.levels is not None and column.dtype.kind == "f":
        return Rounding.of(np.array(column.levels.values, dtype=np.float64))
    return Rounding(column.dtype)


def _put(columns: dict[str, Cells], name: str, found: Cells) -> bool:
    """Fill holes of a column with what was found; whether there were any."""
    cells = columns[name]
    fresh = found.present & ~cells.present
    if not fresh.any():
        return False
    columns[name] = Cells(np.where(fresh, found.values, cells.values), cells.present | fresh)
    return True


def allowed_codes(codec: TableCodec, table: Table, size: int) -> dict[int, Tensor]:
    """Place in "cat" → (N, size) bool: codes of holes that go with the known column that they
    determine; rows without such are all true.

    Args:
        size: of the widest category, as predictions are padded to.
    """
    found: dict[int, Tensor] = {}
    for name, rule in codec.functions.items():
        if rule.form != "map":
            continue
        parent = rule.parents[0]
        levels, place = codec.columns[parent].levels, codec.places.get(parent, {}).get("level")
        child = table.columns[name]
        rows = np.flatnonzero(~table.columns[parent].present & child.present)
        if levels is None or place is None or not len(rows):
            continue
        free = found.setdefault(place, torch.ones(len(table), size, dtype=torch.bool))
        for row, value in zip(rows.tolist(), levels_of(child.take(rows))):
            codes = [levels.codes[one] for one in rule.levels_for(value) if one in levels.codes]
            if codes:
                only = torch.zeros(size, dtype=torch.bool)
                only[codes] = True
                free[row] &= only
    return found


def inserted(
    table: Table, holes: Mapping[str, np.ndarray], drawn: Mapping[str, np.ndarray]
) -> Table:
    """The table with what was drawn for its holes, column by column in the order of rows."""
    columns = dict(table.columns)
    for name, values in drawn.items():
        cells, hole = columns[name], holes[name]
        whole = cells.values.copy()
        whole[hole] = values
        columns[name] = Cells(whole, cells.present | hole)
    return Table(columns)


def completed(codec: TableCodec, settled: Settled, drawn: Table) -> tuple[Table, dict[str, int]]:
    """A table whose holes were drawn, with its functions kept as far as that can be.

    Computed columns are computed. Where one of them was known and several of its parents were
    drawn, the last of these is solved for.

    Args:
        drawn: `settled.table` with the drawn cells in it.
    Returns: the table, and column → how many rows don't agree with its function all the same.
    """
    columns, off = dict(drawn.columns), {}
    for name in computing_order(codec.functions):
        rule = codec.functions[name]
        was = settled.holes.get(name, np.zeros(len(drawn), dtype=bool))
        _put(columns, name, rule.cells(columns))
        drawn_parents = [n for n in rule.parents if n in settled.holes]
        wrong = rule.broken(columns, columns[name]) & ~was
        for parent in reversed(drawn_parents):
            mine = wrong & settled.holes[parent] & ~settled.table.columns[parent].present
            if not mine.any() or parent in codec.functions:
                continue
            cells = columns[parent]
            emptied = {**columns, parent: Cells(cells.values, cells.present & ~mine)}
            found = _solved(codec, emptied, name, rule, parent)
            better = mine & found.present
            columns[parent] = Cells(np.where(better, found.values, cells.values), cells.present)
            wrong &= ~better
        wrong &= np.any([was & False, *(settled.holes[n] for n in drawn_parents)], axis=0)
        if wrong.any():
            off[name] = int(wrong.sum())
    return Table(columns), off
