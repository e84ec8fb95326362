"""Delimited text read strictly: every column as text, nothing padded and nothing guessed at."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unfog.errors import ArgumentError, DataError
from unfog.kinds.npy import CHUNK, check_memory

DELIMITERS = (",", ";", "\t", "|")
SPOKEN = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
SNIFFED = 2**16  # characters at the start of a file that the delimiter is guessed from
RATIO = 200  # most that a packed file may grow by …
FREELY = 2**26  # … beyond so many bytes
HEAVIER = 6  # a parsed table takes about this many times its file


@dataclass(frozen=True)
class Texts:
    """A file of delimited text, cut into columns.

    Attributes:
        columns: name -> a pyarrow array of N strings without nulls, exactly as in the file.
        delimiter, encoding: how the file is written.      notes: what was mended or guessed.
    """

    columns: dict[str, Any]
    delimiter: str
    encoding: str
    notes: list[str]


def read_csv(
    path: Path,
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
    strict: bool = False,
    limit: int | None = None,
) -> Texts:
    """Cut a file (`.gz` too) into columns of text. Names come from its first line; blank lines are
    skipped, but in a file of one column, where they are empty cells.

    Args:
        delimiter: one character; guessed among , ; tab and | when None.
        encoding: UTF-8, or by its mark UTF-16, when None; cp1252 where it is neither and `strict`
            is not set.
        limit: rows to keep, from the first.
    Raises: DataError with the line for NUL bytes, rows of another length, unbalanced quotes, names
        that occur twice, wrong encodings; for an empty file and for a header without rows.
    """
    name = str(path)
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise ArgumentError(
            f"delimiter {delimiter!r} is not one character; give for example ',' or ';'"
        )
    text, encoding, notes = _decoded(_bytes(path), name, encoding, strict)
    if not text.strip():
        raise DataError(f"{name}: is empty; a table needs a line of names and at least two rows")
    tabs = re.search(r"\.(tsv|tab)(\.gz)?$", name.lower()) is not None
    cut = delimiter or sniff(text[:SNIFFED], tabs)
    if delimiter is None and cut != ("\t" if tabs else ","):
        notes.append(f"cells are separated by {SPOKEN[cut]}")
    parsed = parse(text, cut, name, limit)
    notes += parsed.notes
    if len(next(iter(parsed.columns.values()), ())) == 0:
        raise DataError(f"{name}: has a line of names and no rows; a table needs at least two rows")
    return replace(parsed, encoding=encoding, notes=notes)


def _bytes(path: Path) -> bytes:
    size = path.stat().st_size
    check_memory(HEAVIER * size, str(path))
    if path.suffix.lower() != ".gz":
        return path.read_bytes()
    pieces, total = [], 0
    try:
        with gzip.open(path) as file:
            while piece := file.read(CHUNK):
                pieces.append(piece)
                total += len(piece)
                if total > FREELY and total > RATIO * size:
                    raise DataError(
                        f"{path}: unpacks to more than {RATIO} times its size, which marks a "
                        "decompression bomb; unpack it yourself if it is what you meant"
                    )
                check_memory(HEAVIER * total, str(path))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: can't be unpacked ({error}); it is damaged: make it again"
        ) from error
    return b"".join(pieces)


def _line(raw: bytes | str, position: int) -> int:
    """The number of the line that a position lies in, counted from 1."""
    before = raw[:position].decode("latin-1") if isinstance(raw, bytes) else raw[:position]
    return len(re.findall(r"\r\n|\r|\n", before)) + 1


def _decoded(
    raw: bytes, name: str, encoding: str | None, strict: bool
) -> tuple[str, str, list[str]]:
    """The text without its mark, how it was encoded, and notes."""
    used = encoding or "utf-8"
    if encoding is None and raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        used = "utf-16"
    notes = [f"the text is {used}"] if used == "utf-16" and encoding is None else []
    try:
        text = raw.decode(used)
    except LookupError as error:
        raise ArgumentError(
            f"unknown encoding {encoding!r}; give for example 'utf-8', 'cp1252' or 'utf-16'"
        ) from error
    except UnicodeDecodeError as error:
        where = f"{name}: line {_line(raw, error.start)} is not {used}"
        fix = "give the right one, for example encoding='cp1252', or write the file as UTF-8"
        if encoding is not None or strict or used != "utf-8":
            raise DataError(f"{where}; {fix}") from error
        try:
            text, used = raw.decode("cp1252"), "cp1252"
        except UnicodeDecodeError:
            raise DataError(f"{where}, and not cp1252 either; {fix}") from error
        notes.append(
            f"line {_line(raw, error.start)} is not UTF-8; the file was read as cp1252 (Western "
            "European): give encoding= if letters look wrong"
        )
    nul = text.find("\0")
    if nul >= 0:
        raise DataError(
            f"{name}: line {_line(text, nul)} holds a NUL byte; the file is damaged or in another "
            "encoding: write it again, or give encoding='utf-16'"
        )
    return text.removeprefix("\ufeff"), used, notes


def sniff(start: str, tabs: bool) -> str:
    """The delimiter under which most of the first rows have as many cells as the header."""
    start = start.lstrip("\r\n")
    if len(start) >= SNIFFED - 2:
        start = start[: start.rfind("\n") + 1] or start
    best, most = "\t" if tabs else ",", (0.0, 0)
    for cut in ("\t", ",", ";", "|") if tabs else DELIMITERS:
        widths: list[int] = []
        try:
            for row in csv.reader(io.StringIO(start, newline=""), delimiter=cut):
                if row:
                    widths.append(len(row))
        except csv.Error:
            pass
        if not widths or widths[0] < 2:
            continue
        alike = sum(width == widths[0] for width in widths) / len(widths)
        if (alike, widths[0]) > most:
            best, most = cut, (alike, widths[0])
    return best


def parse(text: str, cut: str, name: str, limit: int | None) -> Texts:
    """The columns; where quotes stand after a space, the space is no part of the cell."""
    first: Texts | DataError
    try:
        first = _rows(text, cut, name, limit, skip=False)
    except DataError as error:
        first = error
    if f'{cut} "' in text and (isinstance(first, DataError) or _spaced(first)):
        with contextlib.suppress(DataError):
            return _rows(text, cut, name, limit, skip=True)
    if isinstance(first, DataError):
        raise first
    return first


def _spaced(texts: Texts) -> bool:
    """Whether a cell begins with a space and a quote."""
    import pyarrow.compute as pc

    return any(pc.any(pc.starts_with(c, ' "')).as_py() for c in texts.columns.values())


def _rows(text: str, cut: str, name: str, limit: int | None, *, skip: bool) -> Texts:
    """Names from the first line, then the columns: by pyarrow where no cell is quoted."""
    rows = _numbered(text, cut, name, skip)
    _, first = next(rows)
    names, notes = _names(first, name)
    plain = '"' not in text and len(names) > 1 and text.count("\r") == text.count("\r\n")
    columns = _quick(text, len(names), cut) if plain else None
    if columns is None:
        columns = _careful(rows, names, cut, name, limit)
    if limit is not None and len(columns[0]) > limit:
        columns = [column.slice(0, limit) for column in columns]
        notes.append(f"only the first {limit} rows were read, as asked")
    return Texts(dict(zip(names, columns)), cut, "utf-8", notes)


def _numbered(text: str, cut: str, name: str, skip: bool) -> Iterator[tuple[int, list[str]]]:
    """Rows that aren't blank, with the number of the line that each starts in."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=cut, strict=True, skipinitialspace=skip
    )
    start, wide = 1, 0
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"{name}: the row that starts in line {start} has unbalanced quotes ({error}); "
                'close the quote, and write a quote inside a quoted cell twice ("")'
            ) from error
        blank = not row or (len(row) == 1 and not row[0].strip())
        if wide == 1 or not blank:
            wide = wide or len(row)
            yield start, row or [""]
        start = reader.line_num + 1


def _names(row: Sequence[str], name: str) -> tuple[list[str], list[str]]:
    """The columns' names, without spaces around them and each of them once."""
    names, notes = [cell.strip() for cell in row], []
    numbers = [cell for cell in names if re.fullmatch(r"[+-]?\d*\.?\d+([eE][+-]?\d+)?", cell)]
    if len(numbers) >= len(names) / 2 and not all(cell.isdigit() for cell in numbers):
        raise DataError(
            f"{name}: its first line holds numbers ({', '.join(numbers[:4])}), so the names are "
            "missing; put a line of column names first"
        )
    if 0 < len(numbers) < len(names):
        notes.append(
            f"some names are numbers ({', '.join(numbers[:4])}): if the file has no line of names, "
            "put one first"
        )
    for i, cell in enumerate(names):
        if not cell:
            fresh = f"column_{i + 1}"
            while fresh in names:
                fresh += "_"
            names[i] = fresh
            notes.append(f"column {i + 1} has no name; it is called {fresh!r}")
    twice = sorted({cell for cell in names if names.count(cell) > 1})
    if twice:
        places = ", ".join(
            f"{one!r} (columns {', '.join(str(i + 1) for i, n in enumerate(names) if n == one)})"
            for one in twice[:5]
        )
        raise DataError(
            f"{name}: columns share a name: {places}; rename them, or put a line of names first if "
            "there is none"
        )
    return names, notes


def _quick(text: str, width: int, cut: str) -> list[Any] | None:
    """The columns by pyarrow, of text that has no quotes; None if it has a fault to be named."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    text = re.sub(r"\A(?:[ \t]*\r?\n)+", "", text)
    body = text[text.index("\n") + 1 :] if "\n" in text else ""
    if not body.strip():
        return [pa.array([], pa.string())] * width
    keys = [str(i) for i in range(width)]
    try:
        table = arrow_csv.read_csv(
            pa.py_buffer(body.encode()),
            read_options=arrow_csv.ReadOptions(column_names=keys),
            parse_options=arrow_csv.ParseOptions(delimiter=cut, quote_char=False),
            convert_options=arrow_csv.ConvertOptions(
                column_types={key: pa.large_string() for key in keys},
                strings_can_be_null=False,
                null_values=[],
            ),
        )
    except pa.ArrowException:
        return None
    return [table.column(key).combine_chunks() for key in keys]


def _careful(
    rows: Iterator[tuple[int, list[str]]], names: list[str], cut: str, name: str, limit: int | None
) -> list[Any]:
    """The columns row by row, each checked for its length."""
    import pyarrow as pa

    kept: list[list[str]] = []
    for line, row in rows:
        if len(row) != len(names):
            raise DataError(
                f"{name}: line {line} has {len(row)} cells and the first line has {len(names)} "
                f"names (cells are separated by {SPOKEN.get(cut, repr(cut))}); mend that line, or "
                "give delimiter= if another character separates the cells"
            )
        kept.append(row)
        if limit is not None and len(kept) > limit:
            break
    if len(names) == 1:
        while kept and not kept[-1][0]:
            kept.pop()  # blank lines at the end of a file of one column
    if not kept:
        return [pa.array([], pa.large_string()) for _ in names]
    return [pa.array(column, pa.large_string()) for column in zip(*kept)]
