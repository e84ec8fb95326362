"""Zip archives, streamed member by member with limits and never extracted."""

from __future__ import annotations

import stat
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from unfog.errors import DataError

METHODS = {
    zipfile.ZIP_STORED: 1,  # the most bytes that one stored byte can become
    zipfile.ZIP_DEFLATED: 1040,
}


@dataclass(frozen=True)
class Limits:
    """What an archive may ask for.

    Attributes:
        entries: members.
        directory: bytes of its table of contents, which is read before anything else.
        file_bytes, total_bytes: unpacked bytes of one member and of all.
        ratio: unpacked over packed bytes of one member above 1 MiB.
    """

    entries: int = 500_000
    directory: int = 2**27
    file_bytes: int = 2**28
    total_bytes: int = 2**38
    ratio: float = 200.0


def open_zip(path: Path, limits: Limits) -> tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]:
    """The open archive and its regular files, every one of them checked by its entry.

    Raises: DataError for what is not a zip, for a path that leaves the archive, links, devices,
    encryption,
        and anything beyond `limits`.
    """
    _check_directory(path, limits)
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError(
            f"{path}: not a readable zip archive ({error}); it may be truncated: make it again"
        ) from error
    try:
        files = [info for info in archive.infolist() if not info.is_dir()]
        total = packed = 0
        for info in files:
            _check_entry(path, info, limits)
            total += info.file_size
            packed += info.compress_size
        if packed > path.stat().st_size:
            raise DataError(
                f"{path}: its members hold {packed} packed bytes and the file has fewer, so they "
                "overlap, which marks a decompression bomb: make the archive again"
            )
        if len(files) > limits.entries or total > limits.total_bytes:
            raise DataError(
                f"{path}: {len(files)} members of {total} bytes together; at most "
                f"{limits.entries} members and {limits.total_bytes} bytes are read from an "
                "archive: split it, or give a folder"
            )
        if len({info.filename for info in files}) < len(files):
            raise DataError(f"{path}: two members have the same name; make the archive again")
    except DataError:
        archive.close()
        raise
    return archive, files


def opened(path: Path) -> IO[bytes]:
    """The open file. Raises DataError where it isn't there, can't be read, or is a pipe or a
    device, which may never end.
    """
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "a device or a pipe"
        raise DataError(f"{path}: is {what}, not a file; copy what it holds to a file")
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror}); check the path") from error


def _check_entry(path: Path, info: zipfile.ZipInfo, limits: Limits) -> None:
    name = info.filename
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\\" in name or (parts and parts[0].endswith(":")):
        raise DataError(
            f"{path}: member {name!r} points outside the archive; only relative names without "
            "'..' are read"
        )
    mode = stat.S_IFMT(info.external_attr >> 16)
    if mode not in (0, stat.S_IFREG):
        raise DataError(
            f"{path}: member {name!r} is a link or a device; only regular files are read"
        )
    if info.flag_bits & 1:
        raise DataError(f"{path}: member {name!r} is encrypted; give an archive without a password")
    if info.compress_type not in METHODS:
        raise DataError(
            f"{path}: member {name!r} is packed with a method other than store or deflate"
        )
    if info.file_size > limits.file_bytes:
        raise DataError(
            f"{path}: member {name!r} unpacks to {info.file_size} bytes; at most "
            f"{limits.file_bytes}"
        )
    ratio = info.file_size / max(info.compress_size, 1)
    if info.file_size > 2**20 and ratio > limits.ratio:
        raise DataError(
            f"{path}: member {name!r} unpacks to {ratio:.0f} times its size; at most "
            f"{limits.ratio:.0f} times is read, because more marks a decompression bomb"
        )


def _check_directory(path: Path, limits: Limits) -> None:
    """Refuse a huge table of contents by the end record, before Python reads it into memory."""
    with opened(path) as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 65_557))
        tail = file.read(65_557)
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) < at + 22:
            raise DataError(f"{path}: not a readable zip archive, or truncated; make it again")
        entries, directory = struct.unpack_from("<HI", tail, at + 10)
        locator = tail[max(0, at - 20) : at]
        if locator[:4] == b"PK\x06\x07":
            (where,) = struct.unpack_from("<Q", locator, 8)
            if where + 56 > size:
                raise DataError(f"{path}: not a readable zip archive, or truncated; make it again")
            file.seek(where)
            entries, directory = struct.unpack_from("<32xQQ", file.read(56))
    if entries > limits.entries or directory > min(limits.directory, size):
        raise DataError(
            f"{path}: its table of contents has {entries} entries in {directory} bytes; at most "
            f"{limits.entries} entries are read: split the archive, or give a folder"
        )
