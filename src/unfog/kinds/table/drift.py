"""Drift: whether a table still has the columns and types that a codec was fitted on."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import numpy as np

from unfog.errors import DataError
from unfog.kinds.table.cells import Cells, Table

WORDS = {
    "f": "decimal numbers",
    "i": "whole numbers",
    "b": "true/false",
    "M": "dates",
    "m": "durations",
    "O": "strings",
}


def aligned(table: Table, dtypes: Mapping[str, np.dtype]) -> Table:
    """The table with these columns in this order and these types.

    Whole numbers serve as decimal ones, and decimal ones that are all whole as whole ones; a column
    without any value has every type. Nothing else is converted.

    Raises: DataError for a missing or extra column, another type, or a number that is not finite.
    """
    lacking = [name for name in dtypes if name not in table.columns]
    if lacking:
        raise DataError(
            f"the table lacks the column{'s' * (len(lacking) > 1)} {_some(lacking)}, which the "
            f"model was fitted on{_renamed(lacking, table.names, dtypes)}; it has "
            f"{_some(table.names)}: add what is lacking (empty cells if it is unknown "
            "and had missing cells in training)"
        )
    extra = [name for name in table.names if name not in dtypes]
    if extra:
        raise DataError(
            f"the table has the column{'s' * (len(extra) > 1)} {_some(extra)}, which the model was "
            "not fitted on; leave out what is new, or fit again with it"
        )
    return Table({name: _typed(name, table.columns[name], dt) for name, dt in dtypes.items()})


def finite(name: str, cells: Cells) -> None:
    """Raise DataError if a number that is there is NaN or infinite."""
    if cells.values.dtype.kind != "f":
        return
    bad = cells.present & ~np.isfinite(cells.values)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"column {name!r} holds {cells.values[row]} in row {row + 1}, counted from 1; numbers "
            "must be finite: correct it, or empty the cell to mark it missing"
        )


def _typed(name: str, cells: Cells, dtype: np.dtype) -> Cells:
    finite(name, cells)
    if cells.values.dtype == dtype:
        return cells
    if not cells.present.any():
        filler = "" if dtype.kind == "O" else 0
        return Cells(np.full(len(cells), filler).astype(dtype), cells.present)
    kinds = (cells.values.dtype.kind, dtype.kind)
    values = np.where(cells.present, cells.values, cells.known()[0])
    if kinds == ("i", "f"):
        return Cells(values.astype(np.float64), cells.present)
    if kinds == ("f", "i"):
        odd = (values != np.rint(values)) | (np.abs(values) >= 2.0**53)
        if not odd.any():
            return Cells(values.astype(np.int64), cells.present)
        row = int(np.flatnonzero(odd)[0])
        raise DataError(
            f"column {name!r} holds {values[row]} in row {row + 1}, counted from 1, and held whole "
            "numbers in training; correct it, or fit again"
        )
    found = WORDS.get(kinds[0], cells.values.dtype.name)
    if kinds[0] == "O":
        row = _stranger(cells, dtype)
        raise DataError(
            f"column {name!r} holds {cells.values[row]!r:.80} in row {row + 1}, counted from 1, "
            f"and held {WORDS[kinds[1]]} in training; correct or empty the cell, or fit again"
        )
    raise DataError(
        f"column {name!r} holds {found}, and held {WORDS[kinds[1]]} in training; convert the "
        "column, or fit again"
    )


def _stranger(cells: Cells, dtype: np.dtype) -> int:
    """The first row whose text can't be of this type; the first with any text where all can."""
    there = np.flatnonzero(cells.present)
    for row in there.tolist():
        try:
            np.datetime64(cells.values[row]) if dtype.kind == "M" else float(cells.values[row])
        except ValueError:
            return int(row)
    return int(there[0])


def _renamed(lacking: list[str], names: list[str], dtypes: Mapping[str, np.dtype]) -> str:
    """Which unknown column may be the first that is lacking."""
    fresh = {name.casefold(): name for name in names if name not in dtypes}
    near = difflib.get_close_matches(lacking[0].casefold(), fresh, n=1, cutoff=0.7)
    return f" (is {fresh[near[0]]!r} meant for {lacking[0]!r}?)" if near else ""


def _some(names: list[str]) -> str:
    return ", ".join(map(repr, names[:8])) + (", …" if len(names) > 8 else "")
