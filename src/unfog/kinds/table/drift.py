"""Drift: whether a table still has the columns and types that a codec was fitted on."""

from __future__ import annotations

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
            f"the table lacks the column {lacking[0]!r}"
            + (f" and {len(lacking) - 1} more" if len(lacking) > 1 else "")
            + f", which the model was fitted on; it has {_some(table.names)}: add it (empty cells "
            "if it is unknown and had missing cells in training)"
        )
    extra = [name for name in table.names if name not in dtypes]
    if extra:
        raise DataError(
            f"the table has the column {extra[0]!r}"
            + (f" and {len(extra) - 1} more" if len(extra) > 1 else "")
            + ", which the model was not fitted on; leave it out, or fit again with it"
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
            f"column {name!r} holds {cells.values[row]} in row {row}; numbers must be finite: "
            "correct it, or empty the cell to mark it missing"
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
            f"column {name!r} holds {values[row]} in row {row}, and held whole numbers in "
            "training; "
            "correct it, or fit again"
        )
    found = WORDS.get(kinds[0], cells.values.dtype.name)
    raise DataError(
        f"column {name!r} holds {found}, and held {WORDS[kinds[1]]} in training; convert the "
        "column, or fit again"
    )


def _some(names: list[str]) -> str:
    return ", ".join(map(repr, names[:8])) + (", …" if len(names) > 8 else "")
