"""Reading arrays: `.npy`, `.npz`, ndarrays, tensors and nested lists → Items."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from unfog.errors import ArgumentError, DataError
from unfog.kinds.array.angles import declared, placed
from unfog.kinds.array.axes import channel_axis, channels_first, rings
from unfog.kinds.array.missing import check_numbers, unsure
from unfog.kinds.columns import with_given
from unfog.kinds.items import Items
from unfog.kinds.ndarrays import is_tensor, native, tensor_array
from unfog.kinds.npy import read_npy, read_npz


def read(
    source: Any,
    *,
    given: Sequence[str] | Mapping[str, Any] | None = None,
    key: str | None = None,
    layout: str | None = None,
    angle: Mapping[int, str] | Sequence[Any] | str | int | None = None,
    periodic: Sequence[int] | str | int | None = None,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Items:
    """Read numbers (N, ...) of any rank from 1 after the sample axis, in their own dtype.

    Args:
        source: `.npy`, `.npz`, an ndarray, a tensor, or a list of arrays or numbers of one shape.
        given: names of columns that must be there, or a dict of further columns.
        key: the array of an `.npz`; its other arrays with N rows are columns.
        layout: the axes by letters, N first: "NHW" a grid of one channel, "NHWC" channels last,
            "NL" one series; without it see `axes.channel_axis`.
        angle: channels (entries, for items of rank 1) that are angles: [2], {2: "deg"} or
            "0,3:turn"; radians unless said.
        periodic: axes of the array that are closed to a ring, such as longitude; 0 is the items'.
        strict: without effect, because nothing is ever skipped here.
        progress: called once, when all is read.
    NaN is a missing value. What is missing, and how axes were understood, stands in the notes.
    Raises: DataError for fewer than two items, complex numbers, objects, text, infinite values,
        and damaged files; ArgumentError for a declaration that doesn't fit; UnknownName for a
        column that isn't there.
    """
    origin: dict[str, Any] = {}
    columns: dict[str, Any] = {}
    if isinstance(source, str | Path):
        path = Path(source)
        name = str(path)
        origin["type"] = path.suffix.lower().removeprefix(".")
        if origin["type"] == "npz":
            origin["key"], array, columns = read_npz(path, key, given)
        elif origin["type"] == "npy":
            array = read_npy(path)
        else:
            raise DataError(f"{path}: arrays are read from .npy or .npz, not {path.suffix!r}")
    elif is_tensor(source):
        name = "this tensor"
        array, origin["tensor_dtype"] = tensor_array(source)
        origin["type"] = "tensor"
    else:
        name = f"this {type(source).__name__}"
        origin["type"] = "ndarray" if isinstance(source, np.ndarray) else "list"
        array = _as_array(source, name)
    origin["dtype"] = array.dtype.str
    array = _usable(array, name)
    notes: list[str] = []
    _understand(array, layout, angle, periodic, origin, notes)
    if progress is not None:
        progress(len(array), len(array))
    items = Items(kind="array", data=array, columns=columns, notes=notes, origin=origin)
    return with_given(items, given)


def _understand(
    array: np.ndarray,
    layout: str | None,
    angle: Any,
    periodic: Sequence[int] | str | int | None,
    origin: dict[str, Any],
    notes: list[str],
) -> None:
    """What the codec has to know of all the items, as JSON, into `origin`; defaults left out."""
    shape = array.shape[1:]
    channel = channel_axis(shape, layout, notes)
    if channel != 0:
        origin["channel"] = channel
    grid = channels_first(array, channel)
    angles = placed(grid, declared(angle), notes)
    if angles:
        origin["angles"] = [asdict(one) for one in angles]
    found = rings(len(shape), channel, _axes(periodic))
    if found:
        origin["periodic"] = found
    missing = unsure(grid, notes)
    if missing:
        origin["missing"] = missing


def _axes(periodic: Sequence[int] | str | int | None) -> list[int]:
    """[1, 2] of [1, 2], "1,2" or 1. Raises ArgumentError."""
    if periodic is None:
        return []
    listed: list[Any] = [periodic] if isinstance(periodic, str | int) else list(periodic)
    texts = [text for one in listed for text in str(one).split(",") if text.strip()]
    try:
        return [int(text) for text in texts]
    except ValueError:
        raise ArgumentError(
            f"periodic={periodic!r} are no axes; give numbers, 1 for the first after the items'"
        ) from None


def _as_array(source: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(source)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{name}: its items have different shapes; give items of one shape"
        ) from error


def _usable(array: np.ndarray, name: str) -> np.ndarray:
    """The array, native and contiguous, if a model can be fitted to it. Raises DataError."""
    if array.dtype == object:
        raise DataError(
            f"{name}: holds Python objects; give numbers of one type and one shape per item"
        )
    if np.issubdtype(array.dtype, np.complexfloating):
        raise DataError(
            f"{name}: complex numbers can't be learnt directly; give numpy.stack([a.real, "
            "a.imag], axis=1) instead"
        )
    if array.dtype.kind not in "buif":
        raise DataError(
            f"{name}: holds {array.dtype} values; only integers, floats and truth values are read"
        )
    if array.ndim < 2:
        raise DataError(
            f"{name}: has the shape {array.shape}; give (N, ...) with the items first: "
            "array.reshape(-1, 1) makes N items of one number"
        )
    if 0 in array.shape[1:]:
        raise DataError(f"{name}: has the shape {array.shape}, so its items are empty")
    if len(array) < 2:
        raise DataError(
            f"{name}: has {len(array)} items in the shape {array.shape}; give at least two"
        )
    check_numbers(array, name)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    return native(array)
