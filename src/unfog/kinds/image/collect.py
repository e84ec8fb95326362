"""Pixels of many images in one array: in memory while they are few, on disk and mapped beyond."""

from __future__ import annotations

import numpy as np

from unfog.kinds.npy import check_memory
from unfog.train.spill import Mapped, Spill

HELD = 2**27
"""Bytes of decoded pixels that are held in memory; more are written to disk and mapped."""


class Collected:
    """Images (H, W, C) of one shape and type, in the order in which they are added.

    Args:
        count: how many there can be.     name: of the source, for errors.
    Raises: ResourceError where neither memory nor disk holds so many.
    """

    def __init__(self, count: int, shape: tuple[int, ...], dtype: np.dtype, name: str):
        self.shape, self.dtype, self.count = shape, dtype, 0
        nbytes = count * int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        self.array: np.ndarray | None = None
        self.spill: Spill | None = None
        if nbytes > HELD and dtype.kind == "u":
            self.spill = Spill(dtype, shape, count)
        else:
            check_memory(nbytes, name)
            self.array = np.empty((count, *shape), dtype)

    def add(self, image: np.ndarray) -> None:
        """Another image."""
        if self.spill is not None:
            self.spill.append(image[None])
        elif self.array is not None:
            self.array[self.count] = image
        self.count += 1

    def data(self) -> np.ndarray | Mapped:
        """All that were added, (N, H, W, C)."""
        if self.spill is not None:
            return self.spill.mapped()
        assert self.array is not None
        return self.array[: self.count]


class Early:
    """Images that were decoded when their headers were read, since they are just like the first."""

    def __init__(self) -> None:
        self.places: dict[int, int] = {}
        self.kept: Collected | None = None

    def add(self, number: int, image: np.ndarray, count: int, name: str) -> None:
        """Keep the image of file `number`."""
        if self.kept is None:
            self.kept = Collected(count, image.shape, image.dtype, name)
        self.places[number] = self.kept.count
        self.kept.add(image)

    def data(self) -> np.ndarray | Mapped:
        """What was kept, by `places`."""
        return np.empty(0) if self.kept is None else self.kept.data()
