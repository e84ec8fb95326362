"""Reading tables: CSV, TSV, Parquet, data frames, dicts and lists of dicts → Items."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unfog.errors import ArgumentError, DataError, UnknownName
from unfog.kinds.columns import with_given
from unfog.kinds.items import Items
from unfog.kinds.table.cells import Cells, Table
from unfog.kinds.table.csvfile import read_csv
from unfog.kinds.table.frames import from_arrow, from_memory
from unfog.kinds.table.objects import Column
from unfog.kinds.table.parquet import read_parquet
from unfog.kinds.table.spelling import understand
from unfog.registry import unknown

DELIMITED = re.compile(r"\.(csv|tsv|tab|txt)(\.gz)?$", re.IGNORECASE)
PARQUET = re.compile(r"\.(parquet|pq)$", re.IGNORECASE)
FUNCTIONS = ("compute", "learn")
NAMED = 8  # columns that a note names before it counts the rest


def read(
    source: Any,
    *,
    given: Sequence[str] | Mapping[str, Any] | None = None,
    key: str | None = None,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
    types: Mapping[str, Any] | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    missing: Sequence[str] | None = None,
    limit: int | None = None,
    least: int = 2,
    functions: str = "compute",
    constraints: Sequence[str] | None = None,
) -> Items:
    """Read a table: `Items.data` is a `Table` of typed cells, missing ones marked.

    Args:
        source: a .csv, .tsv, .tab, .txt (also .gz), .parquet or .pq file, a frame of pandas or
            polars, a pyarrow.Table, a dict of equally long lists, a list of dicts.
        given: names of columns that must be there, or a dict of further columns.
        key: without effect, because a table has one part.
        strict: refuse text that is not UTF-8 instead of reading it as cp1252.
        progress: called with (columns done, columns).
        types: column -> the user's word for what it is (`roles.KINDS`): "category" keeps an almost
            numeric column as text, "continuous" and "date" refuse anything else,
            "date:day-first" and "date:month-first" settle 3/4/2020.
        delimiter, encoding: of delimited text; guessed when None.
        missing: words for a missing cell in text, besides the empty one.
        limit: rows to keep, from the first.     least: rows that there must be.
        functions: what a model does with columns that others determine: "compute" or "learn".
        constraints: what a model's rows have to obey, such as "a <= b".
    Raises: DataError for fewer rows than `least`, faults of the file (with line), infinite numbers
        and mixed types (with row and column); UnknownName for columns that aren't there.
    """
    if limit is not None and limit < 2:
        raise ArgumentError(f"limit={limit} leaves nothing to learn from; give at least 2")
    delimited = isinstance(source, str | Path) and not PARQUET.search(str(source))
    for option, value in (("delimiter", delimiter), ("encoding", encoding), ("missing", missing)):
        if value is not None and not delimited:
            raise ArgumentError(f"{option}={value!r} is for delimited text only; leave it out")
    if functions not in FUNCTIONS:
        raise ArgumentError(
            f"functions is {' or '.join(FUNCTIONS)}: what to do with columns that others "
            f"determine; got {functions!r}"
        )
    origin: dict[str, Any] = {"functions": functions, "constraints": _listed_texts(constraints)}
    if isinstance(source, str | Path):
        columns, notes = _file(
            Path(source),
            origin,
            dict(types or {}),
            strict,
            delimiter,
            encoding,
            missing,
            limit,
            progress,
        )
        name = str(source)
    else:
        origin["type"], columns, notes = from_memory(source, limit)
        name = f"this {type(source).__name__}"
    _check_names(types, columns)
    table = Table({column: read.cells for column, read in columns.items()})
    if len(table) < least:
        raise DataError(
            f"{name}: has {len(table)} rows; give at least {'two' if least == 2 else least}"
        )
    origin["types"] = dict(types or {})
    origin["columns"] = {column: read.spec for column, read in columns.items()}
    if progress is not None:
        progress(len(columns), len(columns))
    items = Items(
        kind="table",
        data=table,
        columns={column: plain(cells) for column, cells in table.columns.items()},
        notes=notes + _merged(columns),
        origin=origin,
    )
    return with_given(items, given)


def plain(cells: Cells) -> np.ndarray:
    """One column as an ndarray of plain values: NaN or None where missing, moments as ISO text."""
    values, there = cells.values, cells.present
    if values.dtype.kind == "M":
        values = np.datetime_as_string(values).astype(object)
    elif values.dtype.kind == "m":
        values = values.astype(np.int64) / 1e6
    if there.all():
        return values
    if values.dtype.kind == "f":
        return np.where(there, values, np.nan)
    holes = values.astype(object)
    holes[~there] = None
    return holes


def _file(
    path: Path,
    origin: dict[str, Any],
    types: dict[str, Any],
    strict: bool,
    delimiter: str | None,
    encoding: str | None,
    missing: Sequence[str] | None,
    limit: int | None,
    progress: Callable[[int, int], None] | None,
) -> tuple[dict[str, Column], list[str]]:
    """The columns of a file, and notes; its type goes into `origin`."""
    if not path.is_file():
        there = "is a device or a pipe" if path.exists() else "is not there"
        what = "is a folder" if path.is_dir() else there
        raise DataError(f"{path}: {what}; give a .csv, .tsv or .parquet file")
    if PARQUET.search(path.name):
        origin["type"] = "parquet"
        table, notes = read_parquet(path, limit)
        columns, _ = from_arrow(table)
        return columns, notes
    if not DELIMITED.search(path.name):
        raise DataError(
            f"{path}: tables are read from .csv, .tsv, .tab, .txt (also .gz), .parquet or .pq, not "
            f"{path.suffix!r}"
        )
    texts = read_csv(path, delimiter=delimiter, encoding=encoding, strict=strict, limit=limit)
    _check_names(types, texts.columns)
    origin |= {"type": "tsv" if texts.delimiter == "\t" else "csv", "delimiter": texts.delimiter}
    columns, absent = {}, {}
    for done, (name, cells) in enumerate(texts.columns.items()):
        spelt = understand(
            name, cells, said=_word(types.get(name)), missing=missing, delimiter=texts.delimiter
        )
        columns[name] = Column(spelt.cells, spelt.spelling, spelt.remarks)
        absent[name] = spelt.absent
        if progress is not None:
            progress(done, len(texts.columns))
    return columns, texts.notes + _absent(absent)


def _word(said: Any) -> str | None:
    """The user's word for a type; "ordinal" where levels were named with it."""
    if isinstance(said, Mapping):
        return str(next(iter(said), "")) or None
    return said if said is None or str(said).startswith("date:") else str(said).partition(":")[0]


def _check_names(types: Mapping[str, Any] | None, columns: Mapping[str, Any]) -> None:
    for name in types or {}:
        if name not in columns:
            raise UnknownName(unknown("column in types", name, columns))


def _absent(absent: Mapping[str, Mapping[str, int]]) -> list[str]:
    """One note on missing cells: how many, in which columns, spelt how."""
    counted = {name: sum(words.values()) for name, words in absent.items() if words}
    if not counted:
        return []
    words = sorted({word for each in absent.values() for word in each})
    spelt = ", ".join(repr(word) if word else "empty" for word in words)
    listed = _listed([f"{name} {count}" for name, count in counted.items()])
    return [f"missing cells ({spelt}): {listed}"]


def _merged(columns: Mapping[str, Column]) -> list[str]:
    """The columns' remarks, each said once with the columns it is true of."""
    said: dict[str, list[str]] = {}
    for name, column in columns.items():
        for remark in column.remarks:
            said.setdefault(remark, []).append(name)
    return [f"{remark}: {_listed(names)}" for remark, names in said.items()]


def _listed_texts(constraints: Sequence[str] | str | None) -> list[str]:
    return [constraints] if isinstance(constraints, str) else list(constraints or [])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
