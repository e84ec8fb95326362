"""`.npy` and `.npz` read safely: no pickles, and no header believed before the file's size."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from unfog.errors import ArgumentError, DataError, ResourceError
from unfog.kinds.archive import METHODS, Limits, open_zip, opened
from unfog.kinds.ndarrays import native

CHUNK = 2**24
PREFERRED = ("images", "image", "x", "X", "data", "arr_0")
NPZ_LIMITS = Limits(entries=10_000, file_bytes=2**62, total_bytes=2**62, ratio=math.inf)


@dataclass(frozen=True)
class Header:
    """What the first bytes of an `.npy` declare."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(file: IO[bytes], name: str) -> Header:
    """The header, with `file` left at the first value.

    Raises: DataError for no `.npy`, for Python objects, records, negative sizes.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers that Python 2 wrote
            version = npy.read_magic(file)
            if version == (1, 0):
                shape, fortran, dtype = npy.read_array_header_1_0(file)
            elif version == (2, 0):
                shape, fortran, dtype = npy.read_array_header_2_0(file)
            else:
                raise ValueError(f"version {version} of the format is for records")
    except Exception as error:  # the header is foreign text: numpy's parser raises many kinds
        said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"{name}: not a readable .npy array ({said}); write it again with numpy.save"
        ) from error
    if dtype.hasobject:
        raise DataError(
            f"{name}: holds Python objects (a pickle), which are never read because they can run "
            "code; save it with a number dtype, for example numpy.save(file, "
            "array.astype('float32'))"
        )
    if dtype.fields or dtype.subdtype:
        raise DataError(
            f"{name}: holds records ({dtype}); save one plain array per field in an .npz"
        )
    if any(size < 0 for size in shape):
        raise DataError(f"{name}: its header declares the shape {shape}; the file is damaged")
    return Header(tuple(int(size) for size in shape), dtype, bool(fortran))


def read_npy(path: Path) -> np.ndarray:
    """The array in one `.npy` file. Raises DataError where header and file size disagree."""
    with opened(path) as file:
        header = read_header(file, str(path))
        there = os.fstat(file.fileno()).st_size - file.tell()
        return _values(file, header, there, str(path))


def read_npz(
    path: Path, key: str | None = None, given: Iterable[str] | None = None
) -> tuple[str, np.ndarray, dict[str, np.ndarray]]:
    """The data array's name, the data, and every other array with as many rows (the columns).

    Without `key` the data is the only array of rank 2 or more, or the one of the usual names
    (images, x, data, arr_0) among several; none of those that are `given`, which are columns.
    """
    archive, headers, opener = _open_npz(path)
    with archive:
        asked = set(given or ())
        free = {n: header for n, header in headers.items() if n not in asked}
        name = data_key(path, headers if key else free or headers, key)
        arrays = {name: opener(name)}
        rows = headers[name].shape[:1]
        for other, header in headers.items():
            if other != name and header.shape[:1] == rows and header.dtype.kind in "buifUS":
                arrays[other] = native(opener(other))
    return name, arrays.pop(name), arrays


def peek(path: Path, key: str | None = None) -> Header:
    """The header of the data array in an `.npy` or `.npz`, reading no values."""
    if path.suffix.lower() == ".npy":
        with opened(path) as file:
            return read_header(file, str(path))
    archive, headers, _ = _open_npz(path)
    archive.close()
    return headers[data_key(path, headers, key)]


def data_key(path: Path, headers: dict[str, Header], key: str | None) -> str:
    """Which array of an `.npz` is the data."""
    listed = ", ".join(f"{name} {header.shape}" for name, header in headers.items()) or "none"
    if key is not None:
        if key not in headers:
            raise ArgumentError(f"{path}: no array {key!r}; there is: {listed}")
        return key
    large = [name for name, header in headers.items() if len(header.shape) >= 2]
    if len(large) == 1:
        return large[0]
    if not large and len(headers) == 1:
        return next(iter(headers))
    for name in PREFERRED:
        if name in large:
            return name
    raise DataError(
        f"{path}: which array is the data? there is: {listed}; choose one with key=NAME"
    )


def _open_npz(path: Path) -> tuple[Any, dict[str, Header], Callable[[str], np.ndarray]]:
    archive, files = open_zip(path, NPZ_LIMITS)
    infos = {info.filename.removesuffix(".npy"): info for info in files}
    headers: dict[str, Header] = {}
    starts: dict[str, int] = {}
    size = path.stat().st_size

    def read(name: str) -> np.ndarray:
        with archive.open(infos[name]) as file:
            header = read_header(file, f"{path}: {name}")
            return _values(file, header, infos[name].file_size - starts[name], f"{path}: {name}")

    try:
        for name, info in infos.items():
            # The entry's own sizes can be forged too: no deflate stream grows by more than METHODS
            # allows.
            most = METHODS[info.compress_type] * (min(info.compress_size, size) + 64)
            if info.file_size > most:
                raise DataError(
                    f"{path}: {name} claims {info.file_size} bytes but can hold {most} at most; "
                    "the file is damaged or forged"
                )
            with archive.open(info) as file:
                headers[name] = read_header(file, f"{path}: {name}")
                starts[name] = file.tell()
    except Exception as error:
        archive.close()
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: {error}; the archive is damaged: make it again") from error
    if not headers:
        archive.close()
        raise DataError(f"{path}: holds no array; write it with numpy.savez(file, images=array)")
    return archive, headers, read


def _values(file: IO[bytes], header: Header, there: int, name: str) -> np.ndarray:
    """Read the values after the header; `there` bytes are left in the file."""
    if header.nbytes != there:
        raise DataError(
            f"{name}: its header declares {header.shape} {header.dtype} ({header.nbytes} bytes) "
            f"but the file holds {there}; it is truncated or forged: write it again"
        )
    check_memory(header.nbytes, name)
    flat = np.empty(header.nbytes, dtype=np.uint8)
    view, done = memoryview(flat.data), 0
    try:
        while done < header.nbytes:
            piece = file.read(min(CHUNK, header.nbytes - done))
            if not piece:
                raise EOFError("it ends early")
            view[done : done + len(piece)] = piece
            done += len(piece)
    except Exception as error:  # zlib and zipfile raise many kinds for damaged streams
        raise DataError(
            f"{name}: can't be read ({error}); the file is damaged: write it again"
        ) from error
    array = flat.view(header.dtype) if header.nbytes else np.empty(0, header.dtype)
    return array.reshape(header.shape, order="F" if header.fortran else "C")


def check_memory(nbytes: int, name: str) -> None:
    """Raise ResourceError if `nbytes` is more than this machine has free."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        with open("/proc/meminfo") as lines:
            free = next(int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable"))
    except (OSError, ValueError, AttributeError, StopIteration):
        free = 2**33
    if nbytes > 0.8 * free:
        raise ResourceError(
            f"{name}: needs {nbytes / 2**30:.1f} GiB of memory and {free / 2**30:.1f} GiB are "
            "free; use fewer or smaller items"
        )
