"""Reading arrays: `.npy`, `.npz`, ndarrays, tensors and nested lists → Items."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unfog.errors import DataError
from unfog.kinds.columns import with_given
from unfog.kinds.finite import check_finite
from unfog.kinds.items import Items
from unfog.kinds.ndarrays import is_tensor, native, tensor_array
from unfog.kinds.npy import read_npy, read_npz


def read(
    source: Any,
    *,
    given: Sequence[str] | Mapping[str, Any] | None = None,
    key: str | None = None,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Items:
    """Read numbers (N, ...) of any rank from 1 after the sample axis, in their own dtype.

    Args:
        source: `.npy`, `.npz`, an ndarray, a tensor, or a list of arrays or numbers of one shape.
        given: names of columns that must be there, or a dict of further columns.
        key: the array of an `.npz`; its other arrays with N rows are columns.
        strict: without effect, because nothing is ever skipped here.
        progress: called once, when all is read.
    Raises: DataError for fewer than two items, complex numbers, objects, text, NaN or infinite
    values, and damaged
        files; UnknownName for a column that isn't there.
    """
    origin: dict[str, Any] = {}
    columns: dict[str, Any] = {}
    if isinstance(source, str | Path):
        path = Path(source)
        name = str(path)
        origin["type"] = path.suffix.lower().removeprefix(".")
        if origin["type"] == "npz":
            origin["key"], array, columns = read_npz(path, key)
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
    if progress is not None:
        progress(len(array), len(array))
    return with_given(Items(kind="array", data=array, columns=columns, origin=origin), given)


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
    check_finite(array, name)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    return native(array)
