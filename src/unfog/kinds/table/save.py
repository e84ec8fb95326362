"""Writing tables to CSV, TSV and Parquet, whole or not at all."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unfog.errors import ArgumentError
from unfog.kinds.table.back import to_arrow
from unfog.kinds.table.cells import Cells, Table
from unfog.kinds.table.objects import of_array, of_objects
from unfog.kinds.table.parquet import write_parquet
from unfog.kinds.table.spelling import texts
from unfog.kinds.write import whole

DELIMITED = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
PARQUET = (".parquet", ".pq")
SUFFIXES = {"parquet": ".parquet", "tsv": ".tsv"}


def save(
    data: Table,
    out: str | Path,
    *,
    columns: Mapping[str, Sequence[Any]] | None = None,
    names: Sequence[str] | None = None,
    origin: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a table to .csv, .tsv or .parquet (by the suffix of `out`); a folder gets `samples.csv`
    (`.tsv`, `.parquet` where the data came from one).

    Text is UTF-8; numbers, dates, truth values and missing cells are spelt as they were read.
    Parquet has a checksum on every page. Returns the path written.

    Args:
        columns: further columns; those that the table has already are left out.
        names: without effect, because rows have no file names.
        origin: `Items.origin`.
    Raises: ArgumentError for another suffix, or where `out` exists and `overwrite` is not given.
    """
    out, origin = Path(out), dict(origin or {})
    table = _with(data, columns or {})
    suffix = out.suffix.lower()
    if suffix in (*DELIMITED, *PARQUET) and not out.is_dir():
        with whole(out, folder=False, overwrite=overwrite) as path:
            _write(table, path, origin)
        return out
    if suffix and not out.is_dir():
        raise ArgumentError(
            f"{out}: tables are written to .csv, .tsv, .parquet or a folder, not {out.suffix!r}"
        )
    name = f"samples{SUFFIXES.get(str(origin.get('type')), '.csv')}"
    with whole(out, folder=True, overwrite=overwrite) as folder:
        _write(table, folder / name, origin)
    return out / name


def _with(data: Table, columns: Mapping[str, Sequence[Any]]) -> Table:
    """The table and the columns that it lacks. Raises ArgumentError for another length."""
    cells: dict[str, Cells] = dict(data.columns)
    for name, values in columns.items():
        if name in cells:
            continue
        if len(values) != len(data):
            raise ArgumentError(f"column {name!r} has {len(values)} values for {len(data)} rows")
        if isinstance(values, np.ndarray):
            cells[name] = of_array(name, values).cells
        else:
            cells[name] = of_objects(name, list(values)).cells
    return Table(cells)


def _write(table: Table, path: Path, origin: Mapping[str, Any]) -> None:
    specs: Mapping[str, Mapping[str, Any]] = origin.get("columns", {})
    suffix = path.suffix.lower()
    if suffix in PARQUET:
        write_parquet(path, to_arrow(table, specs))
        return
    delimiter, written = spelt(table, suffix, origin)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(table.names)
        writer.writerows(zip(*written))


def spelt(table: Table, suffix: str, origin: Mapping[str, Any]) -> tuple[str, list[list[str]]]:
    """The delimiter, and the columns as texts, for a file with this suffix."""
    specs: Mapping[str, Mapping[str, Any]] = origin.get("columns", {})
    delimiter = DELIMITED[suffix]
    if suffix == ".csv" and origin.get("type") == "csv":
        delimiter = str(origin.get("delimiter", delimiter))
    # Marks inside numbers would be taken for the delimiter, or for another mark when read again.
    plain = delimiter == "," or delimiter != origin.get("delimiter")
    return delimiter, [
        texts(cells, specs.get(name, {}), plain=plain) for name, cells in table.columns.items()
    ]
