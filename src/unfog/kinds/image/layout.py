"""What the places of image files mean: classes, parts, and the table beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from unfog.errors import ArgumentError, DataError
from unfog.kinds.image.metadata import NAMES, metadata, tidy
from unfog.kinds.image.sources import Source, is_image_name

PARTS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
PARTS |= {"val": "validation", "valid": "validation", "validation": "validation"}


@dataclass(frozen=True)
class Layout:
    """The image files to read, in order, and what is known about each."""

    files: list[str]
    names: list[str]
    columns: dict[str, list[Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def keep(self, positions: list[int]) -> dict[str, np.ndarray | list[Any]]:
        """The columns at these positions; numbers become arrays."""
        return {k: tidy([values[i] for i in positions]) for k, values in self.columns.items()}


def many(count: int, noun: str) -> str:
    """1 image, 2 images."""
    return f"{count} {noun}{'s' * (count != 1)}"


def lay_out(source: Source, part: str | None, table: str | None = None) -> Layout:
    """Find the images of one part, their class folders and their metadata (see `metadata`).

    A prefix that all files share is dropped. If what is left on top is `train` and `test` (or
    `val`), only one of them
    is read: `train`, or the `part` asked for. Then the top folder is the class, column "label".
    """
    images = [name for name in source.names if is_image_name(name)]
    tables = [name for name in source.names if PurePosixPath(name).name in NAMES]
    notes: list[str] = []
    others = len(source.names) - len(images) - len({*tables, table} & set(source.names))
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
    further, said = metadata(source, table, tables, prefix, images)
    columns |= further
    notes += said
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
