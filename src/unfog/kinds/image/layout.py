"""What the places of image files mean: classes, parts, and the columns of `metadata.csv`."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from unfog.errors import ArgumentError, DataError
from unfog.kinds.image.sources import Source, is_image_name

PARTS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
PARTS |= {"val": "validation", "valid": "validation", "validation": "validation"}
METADATA = "metadata.csv"


@dataclass(frozen=True)
class Layout:
    """The image files to read, in order, and what is known about each."""

    files: list[str]
    names: list[str]
    columns: dict[str, list[Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def keep(self, positions: list[int]) -> dict[str, np.ndarray | list[Any]]:
        """The columns at these positions; numbers become arrays."""
        return {k: _tidy([values[i] for i in positions]) for k, values in self.columns.items()}


def many(count: int, noun: str) -> str:
    """1 image, 2 images."""
    return f"{count} {noun}{'s' * (count != 1)}"


def lay_out(source: Source, part: str | None) -> Layout:
    """Find the images of one part, their class folders and their metadata.

    A prefix that all files share is dropped. If what is left on top is `train` and `test` (or
    `val`), only one of them
    is read: `train`, or the `part` asked for. Then the top folder is the class, column "label".
    """
    images = [name for name in source.names if is_image_name(name)]
    tables = [name for name in source.names if PurePosixPath(name).name == METADATA]
    notes: list[str] = []
    others = len(source.names) - len(images) - len(tables)
    if not images:
        allowed = "PNG, JPEG, WebP, TIFF, BMP or GIF"
        if others:
            raise DataError(
                f"{source.path}: has {many(others, 'file')} but no image; give {allowed} files"
            )
        raise DataError(f"{source.path}: is empty; put images ({allowed}) into it")
    if others:
        notes.append(f"left aside {many(others, 'file')} of other types")
    prefix = _shared(images)
    prefix, images = _choose_part(source, prefix, images, part, notes)
    names = [name.removeprefix(prefix) for name in images]
    columns: dict[str, list[Any]] = {}
    labels = [name.split("/")[0] if "/" in name else None for name in names]
    if any(labels):
        bare = labels.count(None)
        if bare:
            notes.append(f"{many(bare, 'image')} outside the class folders without a label")
        columns["label"] = labels
    table = _nearest_table(tables, prefix)
    if table:
        columns |= _metadata(source, table, images)
    return Layout(images, names, columns, notes)


def _shared(names: list[str]) -> str:
    """The folders that all names start with, up to and with the slash."""
    folders = [PurePosixPath(name).parts[:-1] for name in names]
    first = min(folders)
    last = max(folders)
    same = 0
    while same < min(len(first), len(last)) and first[same] == last[same]:
        same += 1
    return "".join(f"{part}/" for part in first[:same])


def _choose_part(
    source: Source, prefix: str, images: list[str], part: str | None, notes: list[str]
) -> tuple[str, list[str]]:
    tops = {name.removeprefix(prefix).split("/")[0] for name in images}
    parts = {PARTS.get(top.lower()): top for top in tops}
    there = None not in parts and len(parts) > 1
    if part is not None and PARTS.get(part) is None:
        raise ArgumentError(f"part={part!r} is unknown; there is: train, validation, test")
    if not there:
        if part is not None and PARTS[part] != "train":
            raise DataError(f"{source.path}: has no folder {part!r} beside a folder 'train'")
        return prefix, images
    asked = PARTS[part or "train"]
    if asked not in parts:
        raise DataError(
            f"{source.path}: has no part {asked!r}; there is: {', '.join(sorted(tops))}"
        )
    top = parts[asked]
    inside = [name for name in images if name.startswith(f"{prefix}{top}/")]
    notes.append(
        f"only the folder {top!r} was read; the other {len(images) - len(inside)} images "
        f"({', '.join(sorted(tops - {top}))}) were not looked at"
    )
    return _shared(inside), inside


def _nearest_table(tables: list[str], prefix: str) -> str | None:
    """The `metadata.csv` in the images' own common folder, or in the nearest one above it."""
    above = [name for name in tables if prefix.startswith(name.removesuffix(METADATA))]
    return max(above, key=len, default=None)


def _metadata(source: Source, table: str, images: list[str]) -> dict[str, list[Any]]:
    """The columns of `metadata.csv`, one value per image; None for an image without a row."""
    where = f"{source.path}/{table}"
    try:
        with source.open(table) as file:
            text = file.read().decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{where}: can't be read ({error}); save it as CSV in UTF-8") from error
    if not rows or "file_name" not in rows[0]:
        has = ", ".join(rows[0]) if rows else "nothing"
        raise DataError(f"{where}: needs a column 'file_name'; it has: {has}")
    head = rows[0]
    if len(set(head)) < len(head):
        raise DataError(f"{where}: two columns have the same name; rename one")
    at = head.index("file_name")
    places = {name: i for i, name in enumerate(images)}
    filled: dict[int, list[str]] = {}
    folder = table.removesuffix(METADATA)
    known = set(source.names)
    for line, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        if len(row) != len(head):
            raise DataError(f"{where}: line {line} has {len(row)} cells; the head has {len(head)}")
        path = PurePosixPath(row[at])
        if path.is_absolute() or ".." in path.parts or "\\" in row[at] or ":" in path.parts[0:1]:
            raise DataError(
                f"{where}: line {line} names {row[at]!r}, outside the folder; give relative names "
                "without '..'"
            )
        name = folder + str(path)
        if name not in known:
            raise DataError(f"{where}: line {line} names {row[at]!r}, which is not there")
        if name in places:
            if places[name] in filled:
                raise DataError(f"{where}: line {line} names {row[at]!r} a second time")
            filled[places[name]] = row
    return {
        name: _typed([filled[i][c] if i in filled else "" for i in range(len(images))])
        for c, name in enumerate(head)
        if c != at
    }


def _typed(cells: list[str]) -> list[Any]:
    """Cells as integers or numbers where all of them are, else as strings; an empty one is None."""
    readers: tuple[Callable[[str], Any], ...] = (int, float)
    for reader in readers:
        try:
            return [reader(cell) if cell else None for cell in cells]
        except ValueError:
            continue
    return [cell or None for cell in cells]


def _tidy(values: list[Any]) -> np.ndarray | list[Any]:
    """Numbers as an array, with NaN for missing ones among floats; anything else stays a list."""
    types = {type(value) for value in values}
    if types == {int}:
        return np.array(values)
    if float in types and types <= {int, float, type(None)}:
        return np.array([math.nan if value is None else value for value in values], dtype=float)
    return values
