"""The table beside the images: `metadata.csv` or `.jsonl`, one row per file, as columns."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from unfog.errors import DataError
from unfog.kinds.archive import opened
from unfog.kinds.image.sources import Source

NAMES = ("metadata.csv", "metadata.jsonl")
KEYS = ("file_name", "file")  # the column that names the image

Row = tuple[int, dict[str, Any]]  # line, cells by column


def nearest(tables: list[str], prefix: str) -> str | None:
    """The table in the images' own common folder, or in the nearest one above it.

    Raises: DataError if that folder has both kinds.
    """
    above = [name for name in tables if prefix.startswith(_folder(name))]
    found = max(above, key=lambda name: len(_folder(name)), default=None)
    both = [name for name in above if found is not None and _folder(name) == _folder(found)]
    if len(both) > 1:
        raise DataError(f"{' and '.join(sorted(both))} are both there; remove one")
    return found


def metadata(
    source: Source, asked: str | None, tables: list[str], prefix: str, images: list[str]
) -> tuple[dict[str, list[Any]], list[str]]:
    """The table's columns, one value per image, None for an image without a row; and notes.

    Args:
        asked: a table's path on disk or in the source; the nearest `metadata.csv` or `.jsonl` of
            the source where None. On disk it may speak of more files than there are.
        images: names in the source.      prefix: the folders that they share.
    """
    inside = asked if asked in source.names else None
    if asked is not None and inside is None:
        where, rows, folders = asked, _rows(asked, _outer(asked)), ["", prefix]
    else:
        inside = inside or nearest(tables, prefix)
        if inside is None:
            return {}, []
        where = f"{source.path}/{inside}"
        folders = [_folder(inside)] + ([prefix] if asked is not None else [])
        rows = _rows(where, _inner(source, inside, where))
    key = _key(where, rows)
    places = {name: i for i, name in enumerate(images)}
    known = set(source.names)
    filled: dict[int, dict[str, Any]] = {}
    strangers = 0
    for line, cells in rows:
        named = _relative(where, line, cells.get(key))
        name = next((f + named for f in folders if f + named in known), None)
        if name is None:
            if asked is None or inside is not None:
                raise DataError(f"{where}: line {line} names {named!r}, which is not there")
            strangers += 1
        elif name in places:
            if places[name] in filled:
                raise DataError(f"{where}: line {line} names {named!r} a second time")
            filled[places[name]] = cells
    if rows and not filled and asked is not None:
        raise DataError(
            f"{where}: none of its {len(rows)} rows names an image of {source.path}, the first "
            f"{rows[0][1].get(key)!r}; give names relative to the source"
        )
    heads = list(dict.fromkeys(name for _, cells in rows for name in cells if name != key))
    columns = {
        name: _typed([filled.get(i, {}).get(name) for i in range(len(images))]) for name in heads
    }
    return columns, _notes(where, strangers, len(images) - len(filled))


def _notes(where: str, strangers: int, bare: int) -> list[str]:
    notes = []
    if strangers:
        notes.append(f"{where}: {strangers} rows name files that are not there")
    if bare:
        notes.append(f"{where}: {bare} images have no row there; their values are missing")
    return notes


def _folder(name: str) -> str:
    return name[: name.rfind("/") + 1]


def _outer(path: str) -> bytes:
    file_path = Path(path)
    if not file_path.is_file():
        raise DataError(f"metadata {path!r} is neither in the source nor a file; check the path")
    with opened(file_path) as file:
        return file.read()


def _inner(source: Source, name: str, where: str) -> bytes:
    try:
        with source.open(name) as file:
            return file.read()
    except OSError as error:
        raise DataError(f"{where}: can't be read ({error}); write it again") from error


def _rows(where: str, content: bytes) -> list[Row]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: can't be read ({error}); save it in UTF-8") from error
    lines = where.lower().endswith((".jsonl", ".ndjson"))
    return _json_rows(where, text) if lines else _csv_rows(where, text)


def _csv_rows(where: str, text: str) -> list[Row]:
    try:
        rows = list(csv.reader(io.StringIO(text), strict=True))
    except csv.Error as error:
        raise DataError(f"{where}: can't be read ({error}); save it as CSV in UTF-8") from error
    head = rows[0] if rows else []
    if not set(head) & set(KEYS):
        raise DataError(
            f"{where}: needs a column 'file_name'; it has: {', '.join(head) or 'nothing'}"
        )
    if len(set(head)) < len(head):
        raise DataError(f"{where}: two columns have the same name; rename one")
    found = []
    for line, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        if len(row) != len(head):
            raise DataError(f"{where}: line {line} has {len(row)} cells; the head has {len(head)}")
        found.append((line, {name: cell or None for name, cell in zip(head, row)}))
    return found


def _json_rows(where: str, text: str) -> list[Row]:
    found = []
    for line, row in enumerate(text.splitlines(), start=1):
        if not row.strip():
            continue
        try:
            cells = json.loads(row)
        except (json.JSONDecodeError, RecursionError) as error:
            raise DataError(f"{where}: line {line} is no JSON ({error})") from error
        if not isinstance(cells, dict):
            raise DataError(f"{where}: line {line} is no JSON object; write one per image")
        for name, value in cells.items():
            if isinstance(value, dict) or (isinstance(value, float) and not math.isfinite(value)):
                raise DataError(
                    f"{where}: line {line} has {name} = {str(value)[:40]}; give strings, finite "
                    "numbers, truth values, lists of numbers or null"
                )
        found.append((line, cells))
    return found


def _key(where: str, rows: list[Row]) -> str:
    """Which column names the images."""
    for key in KEYS:
        if all(key in cells for _, cells in rows):
            return key
    line, cells = next((line, cells) for line, cells in rows if KEYS[0] not in cells)
    raise DataError(
        f"{where}: line {line} needs a key 'file_name'; it has: {', '.join(cells) or 'nothing'}"
    )


def _relative(where: str, line: int, name: Any) -> str:
    """The name of a file, checked to stay inside the source."""
    path = PurePosixPath(name) if isinstance(name, str) and name else None
    if path is None:
        raise DataError(f"{where}: line {line} names no file")
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in path.parts[0:1]:
        raise DataError(
            f"{where}: line {line} names {name!r}, outside the folder; give relative names "
            "without '..'"
        )
    return str(path)


def _typed(cells: list[Any]) -> list[Any]:
    """Written cells as integers or numbers where all of them are, else as they stand."""
    if not all(cell is None or isinstance(cell, str) for cell in cells):
        return [int(cell) if isinstance(cell, bool) else cell for cell in cells]
    readers: tuple[Callable[[str], Any], ...] = (int, float)
    for reader in readers:
        try:
            return [None if cell is None else reader(cell) for cell in cells]
        except ValueError:
            continue
    return cells


def tidy(values: list[Any]) -> np.ndarray | list[Any]:
    """Numbers as an array, with NaN for missing ones among floats; anything else stays a list."""
    types = {type(value) for value in values}
    if types == {int}:
        return np.array(values)
    if float in types and types <= {int, float, type(None)}:
        return np.array([math.nan if value is None else value for value in values], dtype=float)
    return values
