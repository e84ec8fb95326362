"""Which kind of data is this? Decided from the source alone, before anything large is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unfog.errors import DataError
from unfog.kinds import kinds
from unfog.kinds.image.arrays import is_pil
from unfog.kinds.image.sources import is_image_name
from unfog.kinds.npy import peek
from unfog.kinds.table.parts import parquet_files

ALLOWED = (
    "a folder or .zip of images (PNG, JPEG, WebP, TIFF, BMP, GIF), .npy, .npz, .csv, .tsv, "
    ".parquet, a folder of .parquet"
)
TABLES = (".csv", ".tsv", ".tab", ".csv.gz", ".tsv.gz", ".tab.gz", ".parquet", ".pq")


def infer(source: Any, kind: str | None = None, *, key: str | None = None) -> str:
    """The registry name of the kind of `source`; `kind` overrides the guess.

    Folders, zip archives and PIL images are images; so is an array of uint8 with the shape (N, H,
    W) or (N, H, W, C) with C = 1, 3 or 4. Every other array is an array. CSV, TSV and Parquet
    files, folders with Parquet files in them, data frames, dicts of lists and lists of dicts are
    tables.

    Raises: UnknownName for an unknown kind; DataError for a path that isn't there or a file of
    another type.
    """
    if kind is not None:
        return kinds[kind].name
    if isinstance(source, str | Path):
        return _of_path(Path(source), key)
    if isinstance(source, list | tuple):
        if not source:
            raise DataError("the list is empty; give at least two items")
        if all(is_pil(one) for one in source):
            return "image"
        first = source[0]
        if all(isinstance(one, Mapping) for one in source):
            return "table"
        if isinstance(first, Mapping | str | bytes):
            raise _unreadable(f"a list of {type(first).__name__}")
        return _of_array((len(source), *np.shape(first)), getattr(first, "dtype", np.float64))
    if is_pil(source):
        raise DataError("one image can't be learnt from; give a list of at least two")
    # Asked of the class, because a lazy frame works its columns out when asked for them.
    if hasattr(type(source), "columns") or hasattr(type(source), "column_names"):
        return "table"
    if isinstance(source, Mapping):
        if source and all(
            hasattr(one, "__len__") and not isinstance(one, str) for one in source.values()
        ):
            return "table"
        raise _unreadable("a dict of single values")
    if hasattr(source, "shape") and hasattr(source, "dtype"):
        return _of_array(tuple(source.shape), source.dtype)
    raise _unreadable(f"a {type(source).__name__}")


def _of_path(path: Path, key: str | None) -> str:
    if not path.exists():
        near = "" if path.parent.is_dir() else f" (nor is the folder {path.parent})"
        raise DataError(f"{path}: is not there{near}; check the path")
    suffix = path.suffix.lower()
    if path.is_dir() and parquet_files(path):
        return "table"
    if path.is_dir() or suffix == ".zip" or is_image_name(path.name):
        return "image"
    if suffix in (".npy", ".npz"):
        header = peek(path, key)
        return _of_array(header.shape, header.dtype)
    if path.name.lower().endswith(TABLES):
        return "table"
    what = f"files of type {path.suffix!r}" if suffix else "files without a suffix"
    raise DataError(f"{path}: {what} can't be read; allowed: {ALLOWED}")


def _of_array(shape: tuple[int, ...], dtype: Any) -> str:
    bytes_only = str(dtype) in ("uint8", "torch.uint8")
    pictures = len(shape) == 3 or (len(shape) == 4 and shape[-1] in (1, 3, 4))
    return "image" if bytes_only and pictures else "array"


def _unreadable(what: str) -> DataError:
    return DataError(
        f"{what} can't be read; the kinds are {', '.join(kinds.names())}: give an ndarray, a "
        f"tensor, a list of PIL images, a data frame, {ALLOWED}"
    )
