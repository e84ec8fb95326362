"""Arrays and tensors: in from the user's own type, back to it, and to files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unfog.errors import ArgumentError, DataError
from unfog.kinds.scale import to_dtype
from unfog.kinds.write import whole


def is_tensor(value: Any) -> bool:
    """Whether a value is something of torch's."""
    return type(value).__module__.split(".")[0] == "torch"


def tensor_array(tensor: Any) -> tuple[np.ndarray, str]:
    """A tensor as an ndarray, and its dtype's name; bfloat16, which numpy lacks, as float32."""
    import torch

    if not isinstance(tensor, torch.Tensor):
        raise DataError(
            f"a {type(tensor).__name__} is no tensor; give a tensor, an ndarray or a file"
        )
    plain = tensor.detach().cpu()
    dtype = str(plain.dtype).removeprefix("torch.")
    if plain.dtype == torch.bfloat16:
        plain = plain.float()
    return plain.resolve_conj().numpy(), dtype


def native(array: np.ndarray) -> np.ndarray:
    """The array in this machine's byte order, contiguous."""
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False))


def save_arrays(
    array: Any, out: Path, columns: Mapping[str, Sequence[Any]], key: str, overwrite: bool
) -> Path:
    """Write one `.npy`, or one `.npz` with the columns, whole or not at all."""
    array = np.asarray(array)
    if out.suffix.lower() == ".npy" and columns:
        raise ArgumentError(
            f"{out}: an .npy holds one array and there are columns ({', '.join(columns)}); write "
            "an .npz"
        )
    with whole(out, folder=False, overwrite=overwrite) as path, path.open("wb") as file:
        if out.suffix.lower() == ".npy":
            np.save(file, array, allow_pickle=False)
        else:
            kept = {name: _column(values) for name, values in columns.items() if name != key}
            np.savez_compressed(file, allow_pickle=False, **{key: array, **kept})
    return out


def _column(values: Any) -> np.ndarray:
    """A column as a plain array; missing values become NaN among numbers and "" among strings."""
    if isinstance(values, np.ndarray) and values.dtype != object:
        return values
    listed = list(values)
    if any(isinstance(value, str) for value in listed):
        return np.array(["" if value is None else str(value) for value in listed])
    if None in listed:
        return np.array([np.nan if value is None else value for value in listed], dtype=float)
    return np.array(listed)


def restore(data: np.ndarray, origin: Mapping[str, Any]) -> Any:
    """The data in the layout and dtype that it was read in; a tensor where it was one."""
    if origin.get("layout") == "NHW":
        data = data[..., 0]
    elif origin.get("layout") == "NCHW":
        data = np.ascontiguousarray(np.moveaxis(data, -1, 1))
    dtype = np.dtype(origin.get("dtype", data.dtype))
    if dtype.kind == "b" and data.dtype == np.uint8:
        data = data > 127
    elif dtype.kind in "iu" and data.dtype.kind == "f":
        data = to_dtype(data, dtype)
    data = data.astype(dtype, copy=False)
    if origin.get("type") != "tensor":
        return data
    import torch

    return torch.from_numpy(np.ascontiguousarray(data)).to(getattr(torch, origin["tensor_dtype"]))
