"""Items to be edited, as the user has them: from a single file on, at their own size."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unfog.errors import ArgumentError, DataError
from unfog.kinds.image.arrays import as_images, is_pil
from unfog.kinds.image.decode import MAX_PIXELS, Form, Refused, from_pil, pixels, widen
from unfog.kinds.image.layout import lay_out
from unfog.kinds.image.sources import Folder, Zip, is_image_name
from unfog.kinds.ndarrays import is_tensor, native, tensor_array
from unfog.kinds.npy import read_npy, read_npz


@dataclass(frozen=True)
class Source:
    """N items, not necessarily of one size.

    Attributes:
        items: raw arrays, (H, W, C) of images, in the model's dtype and number of channels.
        columns: name -> N values.     names: N file names, or None.
        origin: how to give the user's type back.
    """

    items: list[np.ndarray]
    columns: dict[str, Any] = field(default_factory=dict)
    names: list[str] | None = None
    origin: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.items)


def read(codec: Any, kind: str, source: Any, reading: Mapping[str, Any]) -> Source:
    """Read one item or many: files, folders, archives, arrays, tensors, PIL images.

    Args:
        codec: of the model; items are brought to its dtype and channels, never to its size.
        reading: how the training data were read; `key` and `layout` apply where they fit.
    Raises: DataError for nothing, for files that are no images, for pixels that the model can't
        hold.
    """
    path = pathlib.Path(source) if isinstance(source, str | pathlib.Path) else None
    if path is not None and not path.exists():
        raise DataError(f"{path}: is not there; check the path")
    if kind == "image":
        found = _images(codec, source, path, reading)
    else:
        found = _arrays(codec, source, path, reading)
    if not len(found):
        raise DataError("there is nothing to edit: the source holds no items")
    return found


def _images(codec: Any, source: Any, path: pathlib.Path | None, reading: Mapping[str, Any]) -> Any:
    if path is not None and (path.is_dir() or path.suffix.lower() == ".zip"):
        with Folder(path) if path.is_dir() else Zip(path) as files:
            found = lay_out(files, reading.get("part") if _parted(files.names) else None, None)
            arrays = [_file(codec, files, name) for name in found.files]
        columns = dict(found.keep(list(range(len(arrays)))))
        return Source(arrays, columns, found.names, _filed(codec))
    if path is not None and is_image_name(path.name):
        with Folder(path.parent) as files:
            return Source([_file(codec, files, path.name)], {}, [path.name], _filed(codec))
    if is_pil(source) or (isinstance(source, list | tuple) and source and is_pil(source[0])):
        pictures = [source] if is_pil(source) else list(source)
        arrays = [_formed(codec, *from_pil(one), "this PIL image") for one in pictures]
        return Source(arrays, {}, None, {**_filed(codec), "type": "pil"})
    array, columns, origin = _numbers(source, path, reading)
    channels = codec.shape[2]
    layout = reading.get("layout")
    if array.ndim == (2 if channels == 1 and layout != "NHWC" else 3):
        array = array[None]
    data, how = as_images(array, layout, [])
    data = _typed(codec, data, "these images")
    if data.shape[3] != channels:
        raise DataError(f"these images have {data.shape[3]} channels; the model's have {channels}")
    return Source(list(data), columns, None, {**origin, **how})


def _parted(names: list[str]) -> bool:
    return any(name.split("/")[0].lower() in ("train", "test", "validation") for name in names)


def _filed(codec: Any) -> dict[str, Any]:
    """The origin of images from files."""
    form = _form(codec)
    modes = {8: ("RGB" if form.colour else "L") + ("A" if form.alpha else "")}
    modes |= {16: "I;16" if form.channels == 1 else "", 32: "F" if form.channels == 1 else ""}
    return {"type": "folder", "layout": "NHWC", "dtype": codec.dtype, "form": modes[form.bits]}


def _form(codec: Any) -> Form:
    channels = codec.shape[2]
    if channels > 4:
        raise DataError(f"the model's images have {channels} channels; give them as an array")
    bits = {"uint8": 8, "uint16": 16}.get(codec.dtype, 32)
    return Form(colour=channels >= 3, alpha=channels in (2, 4), bits=bits)


def _file(codec: Any, files: Any, name: str) -> np.ndarray:
    try:
        with files.open(name) as file:
            array, have = pixels(file, MAX_PIXELS)
    except (Refused, OSError) as error:
        raise DataError(f"{files.path / name}: {error}") from error
    return _formed(codec, array, have, str(files.path / name))


def _formed(codec: Any, array: np.ndarray, have: Form, name: str) -> np.ndarray:
    want = _form(codec)
    if have | want != want:
        raise DataError(f"{name} is {have}, and the model draws {want}; convert it first")
    return widen(array, have, want).astype(codec.dtype, copy=False)


def _typed(codec: Any, data: np.ndarray, name: str) -> np.ndarray:
    """In the model's dtype, where that holds every value."""
    dtype = np.dtype(codec.dtype)
    typed = data.astype(dtype, copy=False)
    if dtype.kind in "biu" and not np.array_equal(typed, data):
        raise DataError(f"{name} hold {data.dtype} values that the model's {dtype} can't")
    if data.dtype == np.uint8 and dtype == np.uint16:
        raise DataError(f"{name} are of 8 bits, the model's of 16; multiply them by 257 first")
    return typed


def _numbers(
    source: Any, path: pathlib.Path | None, reading: Mapping[str, Any]
) -> tuple[np.ndarray, dict[str, Any], dict[str, Any]]:
    """An array as it is, further columns, and where it came from."""
    if path is not None and path.suffix.lower() == ".npz":
        key, array, columns = read_npz(path)
        origin: dict[str, Any] = {"type": "npz", "key": key}
    elif path is not None and path.suffix.lower() == ".npy":
        array, columns, origin = read_npy(path), {}, {"type": "npy"}
    elif path is not None:
        raise DataError(f"{path}: give a folder, .zip, .npz, .npy or an image file")
    elif is_tensor(source):
        array, name = tensor_array(source)
        columns, origin = {}, {"type": "tensor", "tensor_dtype": name}
    else:
        array, columns, origin = np.asarray(source), {}, {"type": "ndarray"}
    if array.dtype.kind not in "buif":
        raise DataError(f"an array of {array.dtype} holds no numbers that a model could edit")
    return native(array), columns, {**origin, "dtype": array.dtype.str}


def _arrays(codec: Any, source: Any, path: pathlib.Path | None, reading: Mapping[str, Any]) -> Any:
    array, columns, origin = _numbers(source, path, reading)
    if array.ndim == len(codec.shape):
        array = array[None]
    if array.ndim != len(codec.shape) + 1:
        raise ArgumentError(
            f"the model's items have the shape {tuple(codec.shape)}; got an array {array.shape}"
        )
    if np.isinf(array).any() if array.dtype.kind == "f" else False:
        raise DataError("the array holds infinite values")
    return Source(list(_typed(codec, array, "these items")), columns, None, origin)
