"""Reading tables: CSV, TSV, Parquet, data frames, dicts and lists of dicts → Items."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from unfog.errors import ArgumentError, DataError, UnknownName
from unfog.kinds.columns import with_given
from unfog.kinds.items import Items
from unfog.kinds.npy import check_memory
from unfog.kinds.table import textparts
from unfog.kinds.table.cells import Cells, Table
from unfog.kinds.table.constraints import texts_of
from unfog.kinds.table.csvfile import read_csv
from unfog.kinds.table.frames import from_arrow, from_memory
from unfog.kinds.table.objects import Column
from unfog.kinds.table.parquet import CELL, read_parquet
from unfog.kinds.table.parts import PARQUET, Parts
from unfog.kinds.table.spelling import understand
from unfog.kinds.table.streamed import MANY, SAMPLE, Streamed, sampled, some_rows
from unfog.kinds.table.textparts import TextParts, decided
from unfog.registry import unknown

DELIMITED = re.compile(r"\.(csv|tsv|tab|txt)(\.gz)?$", re.IGNORECASE)
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
    sample: bool = False,
    functions: str = "compute",
    constraints: Sequence[str] | None = None,
) -> Items:
    """Read a table: `Items.data` is a `Table` of typed cells, missing ones marked.

    Args:
        source: a .csv, .tsv, .tab, .txt (also .gz), .parquet or .pq file, a folder of Parquet
            files, a frame of pandas or polars, a pyarrow.Table, a dict of equally long lists, a
            list of dicts.
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
        sample: of a file (or folder) of Parquet with more than 250 000 rows, read 100 000 at random
            into memory; `Items.rest` reads all in pieces.
        functions: what a model does with columns that others determine: "compute" or "learn".
        constraints: what a model's rows have to obey, such as "a <= b".
    Raises: DataError for fewer rows than `least`, faults of the file (with line), infinite numbers
        and mixed types (with row and column); UnknownName for columns that aren't there.
    """
    if limit is not None and limit < 2:
        raise ArgumentError(f"limit={limit} leaves nothing to learn from; give at least 2")
    path = Path(source) if isinstance(source, str | Path) else None
    parted = path is not None and (PARQUET.search(path.name) or path.is_dir())
    delimited = path is not None and not parted
    for option, value in (("delimiter", delimiter), ("encoding", encoding), ("missing", missing)):
        if value is not None and not delimited:
            raise ArgumentError(f"{option}={value!r} is for delimited text only; leave it out")
    if functions not in FUNCTIONS:
        raise ArgumentError(
            f"functions is {' or '.join(FUNCTIONS)}: what to do with columns that others "
            f"determine; got {functions!r}"
        )
    origin: dict[str, Any] = {"functions": functions, "constraints": texts_of(constraints)}
    rest: Streamed | None = None
    if path is not None and parted and (path.is_dir() or (sample and path.is_file())):
        columns, notes, rest = _parted(path, types or {}, limit, sample, progress)
        origin["type"], name = "parquet", str(source)
    elif path is not None and sample and _large(path, encoding):
        text = TextParts.cut(
            path, delimiter=delimiter, encoding=encoding, missing=missing, limit=limit
        )
        columns, notes, rest = _texts(text, types or {}, progress)
        origin |= {"type": "tsv" if text.delimiter == "\t" else "csv", "delimiter": text.delimiter}
        name = str(source)
    elif path is not None:
        columns, notes = _file(
            path,
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
        rest=rest,
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


def _parted(
    path: Path,
    types: Mapping[str, Any],
    limit: int | None,
    sample: bool,
    progress: Callable[[int, int], None] | None,
) -> tuple[dict[str, Column], list[str], Streamed | None]:
    """The columns of Parquet in one file or several, or of some of their rows; notes; all rows."""
    import pyarrow as pa

    parts = Parts.open(path, limit)
    if not sample or parts.count <= MANY:
        if path.is_file():
            table, notes = read_parquet(path, limit)
            return from_arrow(table)[0], notes, None
        check_memory(CELL * parts.count * len(parts.names), str(path))
        table = pa.concat_tables(parts.pieces(), promote_options="permissive")
        return from_arrow(table)[0], [f"{len(parts.paths)} Parquet files are one table"], None
    _check_names(types, dict.fromkeys(parts.names))
    some, rest = sampled(parts, types, progress)
    return from_arrow(some)[0], [_unheld(parts.count)], rest


def _unheld(count: int) -> str:
    return (
        f"{count} rows are not held: {SAMPLE} at random stand for them where the codec is "
        "fitted and parts are split, and all others train, read in pieces"
    )


def _large(path: Path, encoding: str | None) -> bool:
    """Whether this is text that is read in pieces: large, not packed, lines ending in one byte."""
    if not re.search(r"\.(csv|tsv|tab|txt)$", path.name, re.IGNORECASE) or not path.is_file():
        return False
    with path.open("rb") as file:
        wide = file.read(2) in (b"\xff\xfe", b"\xfe\xff") or "16" in (encoding or "")
    return path.stat().st_size > textparts.BIG and not wide and "32" not in (encoding or "")


def _texts(
    text: TextParts, types: Mapping[str, Any], progress: Callable[[int, int], None] | None
) -> tuple[dict[str, Column], list[str], Streamed | None]:
    """Columns of some rows of large delimited text, typed; notes; all rows, typed alike."""
    import pyarrow as pa

    _check_names(types, dict.fromkeys(text.names))
    few, columns, said = text.count <= MANY, {}, {}
    some = pa.concat_tables(text.pieces()) if few else some_rows(text)
    for name in text.names:
        word = _word(types.get(name))
        spelt = understand(
            name,
            some.column(name).combine_chunks(),
            said=word,
            missing=text.missing,
            delimiter=text.delimiter,
        )
        columns[name] = Column(spelt.cells, spelt.spelling, spelt.remarks)
        said[name] = decided(spelt.spelling, spelt.cells, word)
    if few:
        return columns, text.notes, None
    _, rest = sampled(replace(text, said=said), types, progress)
    for name, column in columns.items():
        want = rest.dtypes[name]
        if (column.cells.values.dtype.kind, want.kind) == ("i", "f"):
            cells = Cells(column.cells.values.astype(want), column.cells.present)
            columns[name] = replace(column, cells=cells)
    return columns, [*text.notes, _unheld(text.count)], rest


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


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
