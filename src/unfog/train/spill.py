"""Rows written once to a file without a name and read back by a map, so that memory holds none of
them: what training reads in random order when it is too large to be held.
"""

from __future__ import annotations

import errno
import math
import mmap
import os
import pathlib
import shutil
import tempfile
from typing import IO, Any

import numpy as np

from unfog.errors import ResourceError
from unfog.train.memory import size

HOLD = 2**26
"""Bytes of pages that a map keeps at most, before it lets go of them."""
AROUND = 2**16
"""Bytes that the system may map when one of them is read."""
PLACES = ("TMPDIR", "TEMP", "TMP")


def place() -> pathlib.Path:
    """Where such files lie: $TMPDIR, else /var/tmp, because /tmp is memory on many systems."""
    named = next((os.environ[name] for name in PLACES if os.environ.get(name)), None)
    if named is None and os.access("/var/tmp", os.W_OK):
        return pathlib.Path("/var/tmp")
    return pathlib.Path(tempfile.gettempdir())


class Mapped:
    """(N, *item) values in a file, or some of them in another order. Indexing copies them out.

    Attributes: dtype: of the values; one with fields makes rows of several names.
    """

    def __init__(
        self,
        file: IO[bytes],
        dtype: np.dtype,
        count: int,
        item: tuple[int, ...] = (),
        *,
        index: np.ndarray | None = None,
        values: np.ndarray | None = None,
    ):
        self.file, self.dtype, self.item, self.index = file, np.dtype(dtype), item, index
        self.count = count
        if values is None:
            self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            values = np.frombuffer(self.map, self.dtype, count * math.prod(item))
            values = values.reshape(count, *item)
        else:
            self.map = values.base if isinstance(values.base, mmap.mmap) else _map(values)
        self.values = values
        self.touched = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, *item)."""
        return (len(self), *self.item)

    @property
    def ndim(self) -> int:
        return 1 + len(self.item)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """On disk, not in memory."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.count if self.index is None else len(self.index)

    def __getitem__(self, index: Any) -> np.ndarray:
        """A copy of the values at these positions."""
        picked = index if self.index is None else self.index[index]
        found = np.array(self.values[picked])
        step = self.values.strides[0]
        whole = isinstance(picked, slice)
        rows = 1 if found.ndim < self.ndim else len(found)
        self.touched += rows * (step if whole else max(step, AROUND))
        if self.touched > HOLD:
            self.touched = 0
            if hasattr(mmap, "MADV_DONTNEED"):
                self.map.madvise(mmap.MADV_DONTNEED)
        return found

    def __iter__(self) -> Any:
        for start in range(0, len(self), 1024):
            yield from self[start : start + 1024]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of it, in memory."""
        return self[:] if dtype is None else self[:].astype(dtype)

    def take(self, index: np.ndarray) -> Mapped:
        """The values at these positions (integers), still in the file."""
        inner = index if self.index is None else self.index[index]
        return Mapped(self.file, self.dtype, self.count, self.item, index=inner, values=self.values)


def _map(values: np.ndarray) -> Any:
    """The map below an array that looks at it."""
    base: Any = values
    while isinstance(base, np.ndarray):
        base = base.base
    return base.obj if isinstance(base, memoryview) else base


class Spill:
    """A file that rows are appended to, and then mapped. It has no name, so it is gone with the
    process, however that ends.

    Args:
        dtype, item: of the values, shape of a row.     most: rows that it must have room for.
    Raises: ResourceError where the disk has no room for them.
    """

    def __init__(self, dtype: Any, item: tuple[int, ...], most: int):
        self.dtype, self.item, self.count = np.dtype(dtype), item, 0
        wanted, home = most * math.prod(item) * self.dtype.itemsize, place()
        free = shutil.disk_usage(home).free
        if wanted > 0.95 * free:
            raise ResourceError(
                f"the data takes {size(wanted)} on disk as the net reads it, and {home} has "
                f"{size(free)} free; free some, or name another place in the variable TMPDIR"
            )
        self.file = tempfile.TemporaryFile(dir=home, prefix="unfog-")  # noqa: SIM115

    def append(self, rows: np.ndarray) -> None:
        """(B, *item) more rows. Raises ResourceError where the disk is full."""
        try:
            self.file.write(np.ascontiguousarray(rows, self.dtype).data.cast("B"))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise ResourceError(
                f"{place()}: the disk is full; nothing was left behind: free some space, or name "
                "another place in the variable TMPDIR"
            ) from error
        self.count += len(rows)

    def mapped(self) -> Mapped:
        """What was appended."""
        self.file.flush()
        return Mapped(self.file, self.dtype, self.count, self.item)
