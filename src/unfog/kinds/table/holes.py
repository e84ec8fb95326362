"""Tables with empty cells to be filled: the state of what is known, and what is drawn as cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unfog.errors import ArgumentError, DataError
from unfog.kinds.table.cells import Cells, Table
from unfog.kinds.table.codec import UNKNOWN, TableCodec
from unfog.kinds.table.columns import Column
from unfog.kinds.table.draws import place_keys, row_keys


@dataclass(frozen=True)
class Holes:
    """Rows as a state with holes.

    Attributes:
        state: field -> (B, n); in a hole stands something that means nothing.
        keep: field -> (B, n) bool, True = known. That a hole's cell is there is known too.
        last: field -> (n,) long: the category of a column that says "missing", which a hole never
            gets; -1 where there is none.
    """

    state: dict[str, Tensor]
    keep: dict[str, Tensor]
    last: dict[str, Tensor]


def find_holes(codec: TableCodec, table: Table, unknown: str = "refuse") -> dict[str, np.ndarray]:
    """Column -> (B,) bool, the cells to be drawn, of columns that have any and were learnt.

    Args:
        table: as `TableCodec.check` gives it.
        unknown: "refuse" unseen levels, or take them "as-missing", which makes holes of them.
    Raises: DataError naming column, row and level where one is unseen.
    """
    if unknown not in UNKNOWN:
        raise ArgumentError(f"unknown must be one of {UNKNOWN}; got {unknown!r}")
    found = {}
    for name, column in codec.columns.items():
        if not column.role.coded:
            continue
        cells = table.columns[name]
        hole = ~cells.present
        if column.levels is not None:
            strange = cells.present & ~column.levels.known(cells)
            if strange.any() and unknown == "refuse":
                row = int(np.flatnonzero(strange)[0])
                levels = column.levels.values
                shown = ", ".join(repr(level) for level in levels[:8])
                raise DataError(
                    f"column {name!r} holds {cells.values[row : row + 1].tolist()[0]!r} in row "
                    f"{row + 1}, counted from 1, which training did not have; known are {shown}"
                    f"{', …' if len(levels) > 8 else ''}: correct it, or draw a known one in its "
                    "place with --unknown as-missing"
                )
            hole = hole | strange
        if hole.any():
            found[name] = hole
    return found


def unseen(codec: TableCodec, table: Table) -> list[str]:
    """Sentences about levels that training did not have, one for each column that holds any.

    Args:
        table: as `TableCodec.check` gives it.
    """
    notes = []
    for name, column in codec.columns.items():
        if column.levels is None or not column.role.coded:
            continue
        cells = table.columns[name]
        strange = cells.present & ~column.levels.known(cells)
        if strange.any():
            words = sorted({str(value) for value in cells.values[strange].tolist()})
            some = ", ".join(map(repr, words[:3])) + (", …" if len(words) > 3 else "")
            notes.append(
                f"{int(strange.sum())} cells of column {name!r} hold levels that training did not "
                f"have: {some}"
            )
    return notes


def encode_holes(codec: TableCodec, table: Table, holes: Mapping[str, np.ndarray]) -> Holes:
    """The state of rows with these holes; known cells are encoded as in training.

    Args:
        table: as `TableCodec.check` gives it.     holes: of `find_holes`, for these rows.
    """
    keys = row_keys(table, codec.seed)
    state: dict[str, list[np.ndarray]] = {field: [] for field in codec.fields}
    keep: dict[str, list[np.ndarray]] = {field: [] for field in codec.fields}
    last: dict[str, list[int]] = {field: [] for field in codec.fields}
    none = np.zeros(len(table), dtype=bool)
    for name, column in codec.columns.items():
        if not column.parts:
            continue
        hole = holes.get(name, none)
        cells = _stood(column, name, table.columns[name], hole)
        encoded = column.encode(name, cells, keys, "refuse")
        for (field, part, size), values in zip(column.parts, encoded):
            state[field].append(values)
            keep[field].append(none | (~hole | (part == "missing")))
            gone = part == "level" and column.levels is not None and column.levels.missing
            last[field].append(size - 1 if gone else -1)
    return Holes(
        {field: torch.from_numpy(np.stack(parts, 1)) for field, parts in state.items()},
        {field: torch.from_numpy(np.stack(parts, 1)) for field, parts in keep.items()},
        {"cat": torch.tensor(last["cat"])} if "cat" in last else {},
    )


def decode_holes(
    codec: TableCodec, state: Mapping[str, Tensor], holes: Mapping[str, np.ndarray], start: int
) -> dict[str, np.ndarray]:
    """Column -> what was drawn for its holes, in the order of rows, in the codec's type.

    Args:
        start: of the numbers that draws among rare levels depend on.
    """
    arrays = {field: values.detach().cpu().numpy() for field, values in state.items()}
    keys = place_keys(start, len(next(iter(arrays.values()))), codec.seed)
    drawn = {}
    for name, column in codec.columns.items():
        if name not in holes:
            continue
        parts = codec.parts(name, arrays)
        cells = column.decode(name, parts, keys, start).take(np.flatnonzero(holes[name]))
        if not cells.present.all():
            raise DataError(f"a hole of column {name!r} was drawn as missing; this is a fault")
        drawn[name] = cells.values
    return drawn


def constants(codec: TableCodec, table: Table) -> dict[str, Cells]:
    """Constant columns of the table that have empty cells, filled with their constant."""
    filled = {}
    for name, column in codec.columns.items():
        cells = table.columns[name]
        if column.role.kind == "constant" and column.levels is not None and not cells.present.all():
            filled[name] = _stood(column, name, cells, ~cells.present)
    return filled


def _stood(column: Column, name: str, cells: Cells, hole: np.ndarray) -> Cells:
    """The cells with some value that the column knows in the holes."""
    if not hole.any():
        return cells
    nought = np.zeros(1, dtype=np.int64)
    parts: dict[str, np.ndarray] = {
        "value": nought.astype(np.float32),
        "level": nought,
        "missing": nought,
    }
    values = cells.values.copy()
    values[hole] = column.decode(name, parts, place_keys(0, 1, 0), 0).values
    return Cells(values, cells.present | hole)
