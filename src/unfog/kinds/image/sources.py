"""Where image files lie: a folder or one zip archive, seen as relative names that can be opened."""

from __future__ import annotations

import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol, Self

from unfog.errors import DataError
from unfog.kinds.archive import Limits, open_zip

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif")


def is_image_name(name: str) -> bool:
    """Whether the suffix is one of an image file."""
    return name.lower().endswith(SUFFIXES)


class Source(Protocol):
    """Named files that can be opened one at a time."""

    path: Path
    names: list[str]

    def open(self, name: str) -> IO[bytes]:
        """The file's bytes. Raises OSError."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


class Folder:
    """All files below a folder, hidden ones left aside.

    Raises: DataError for a link that leaves the folder or leads to a folder, and for devices and
    pipes.
    """

    def __init__(self, path: Path):
        self.path = path
        self.root = path.resolve()
        self.names = sorted(self._walk(self.root, ""))

    def _walk(self, folder: Path, prefix: str) -> Iterator[str]:
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            raise DataError(f"{folder}: can't be read ({error.strerror})") from error
        for entry in entries:
            if entry.name.startswith("."):
                continue
            name = prefix + entry.name
            if entry.is_symlink():
                self._check_link(Path(entry.path))
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(Path(entry.path), f"{name}/")
            elif stat.S_ISREG(entry.stat().st_mode):
                yield name
            else:
                raise DataError(f"{entry.path}: is a device or a pipe, not a file; remove it")

    def _check_link(self, link: Path) -> None:
        try:
            target = link.resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"{link}: is a link that leads nowhere or to itself; remove it"
            ) from error
        if not target.is_relative_to(self.root):
            raise DataError(
                f"{link}: is a link that leaves {self.path}; copy the file there instead"
            )
        if target.is_dir():
            raise DataError(
                f"{link}: is a link to a folder, which could loop; copy the folder instead"
            )

    def open(self, name: str) -> IO[bytes]:
        return open(f"{self.root}/{name}", "rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class Zip:
    """All files in one zip archive, hidden ones left aside; nothing is extracted."""

    def __init__(self, path: Path, limits: Limits | None = None):
        self.path = path
        self.archive, files = open_zip(path, limits or Limits())
        self.infos: dict[str, zipfile.ZipInfo] = {}
        for info in sorted(files, key=lambda info: info.filename):
            parts = info.filename.split("/")
            if not any(part.startswith(".") or part == "__MACOSX" for part in parts):
                self.infos[info.filename] = info
        self.names = list(self.infos)

    def open(self, name: str) -> IO[bytes]:
        try:
            with self.archive.open(self.infos[name]) as file:
                # asked for all, zipfile would unpack whatever there is before it looks at the size
                return io.BytesIO(file.read(self.infos[name].file_size))
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise OSError(f"damaged in the archive: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.archive.close()
