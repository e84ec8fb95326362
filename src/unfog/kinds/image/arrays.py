"""Images that are arrays already: ndarrays, tensors, `.npy`, `.npz` and lists of PIL images."""

from __future__ import annotations

from typing import Any

import numpy as np

from unfog.errors import ArgumentError, DataError
from unfog.kinds.finite import check_finite
from unfog.kinds.image.decode import Refused, fit_size, from_pil, widen
from unfog.kinds.ndarrays import native

LAYOUTS = ("NHW", "NHWC", "NCHW")


def is_pil(value: Any) -> bool:
    """Whether a value is a PIL image, without importing PIL."""
    return any(cls.__module__.startswith("PIL.") for cls in type(value).__mro__)


def layout_of(shape: tuple[int, ...], asked: str | None) -> str:
    """Where the channels of an array of this shape are: "NHW", "NHWC" or "NCHW".

    One to four channels on one side only decide; otherwise an axis shorter than both others.
    Raises DataError if that doesn't tell, ArgumentError for an `asked` layout that doesn't fit.
    """
    if asked is not None:
        if asked not in LAYOUTS or len(asked) != len(shape):
            raise ArgumentError(
                f"layout={asked!r} does not fit the shape {shape}; allowed: {', '.join(LAYOUTS)}"
            )
        return asked
    if len(shape) == 3:
        return "NHW"
    if len(shape) != 4:
        raise DataError(
            f"an array of shape {shape} is no set of images; give (N, H, W) or (N, H, W, C), or "
            "use kind='array'"
        )
    _, first, middle, last = shape
    few_first, few_last = first <= 4, last <= 4
    if few_first != few_last:
        return "NCHW" if few_first else "NHWC"
    if last < min(first, middle):
        return "NHWC"
    if first < min(middle, last):
        return "NCHW"
    raise DataError(f"which axis of {shape} holds the channels? say layout='NHWC' or layout='NCHW'")


def as_images(
    array: np.ndarray, layout: str | None, notes: list[str]
) -> tuple[np.ndarray, dict[str, Any]]:
    """(N, H, W, C) uint8, uint16 or float pixels of an array, and its layout and dtype for giving
    it back.

    Integers of other types become uint8 or uint16 if their values fit, truth values 0 and 255.
    """
    found = layout_of(array.shape, layout)
    origin = {"layout": found, "dtype": array.dtype.str}
    array = native(array)
    if found == "NHW":
        array = array[..., None]
    elif found == "NCHW":
        array = np.moveaxis(array, 1, -1)
    if 0 in array.shape[1:]:
        raise DataError(f"images of shape {array.shape[1:]} have no pixels")
    if array.dtype == bool:
        array = array.astype(np.uint8) * np.uint8(255)
    elif np.issubdtype(array.dtype, np.integer):
        array = _small_integers(array, notes)
    elif not np.issubdtype(array.dtype, np.floating):
        raise DataError(f"images of type {array.dtype} can't be read; give uint8, uint16 or floats")
    elif array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float32 if array.dtype.itemsize < 4 else np.float64)
    if np.issubdtype(array.dtype, np.floating):
        check_finite(array, "these images")
    return np.ascontiguousarray(array), origin


def _small_integers(array: np.ndarray, notes: list[str]) -> np.ndarray:
    low, high = int(array.min(initial=0)), int(array.max(initial=0))
    if low < 0 or high > 65535:
        raise DataError(
            f"integer pixels from {low} to {high} fit neither 8 nor 16 bits; convert them to "
            "floats, or use kind='array'"
        )
    if array.dtype in (np.uint8, np.uint16):
        kept = array
    else:
        kept = array.astype(np.uint8 if high < 256 else np.uint16)
    most = np.iinfo(kept.dtype).max
    if 0 < high <= most // 4:
        notes.append(
            f"the pixels go up to {high} of {most} only; stretch them to the full range for a "
            "better model"
        )
    return kept


def from_pil_list(images: list[Any]) -> tuple[list[np.ndarray], Any]:
    """PIL images → arrays (H, W, C) of one form, and that form. DataError names a bad one."""
    found = []
    for place, image in enumerate(images):
        try:
            found.append(from_pil(image))
        except Refused as error:
            raise DataError(f"image {place} of the list: {error}") from error
        except OSError as error:
            raise DataError(f"image {place} of the list can't be decoded: {error}") from error
    form = found[0][1]
    for _, other in found:
        form |= other
    return [widen(array, have, form) for array, have in found], form


def resize_all(array: np.ndarray, size: tuple[int, int], resize: str) -> np.ndarray:
    """(N, H, W, C) → (N, *size, C), each channel on its own."""
    if array.shape[1:3] == size:
        return array
    return np.stack([fit_size(item, size, resize, alpha=False) for item in array])
