"""16 bits per colour in PNG files, which Pillow cuts to 8: read and written whole."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import IO

import numpy as np

MAGIC = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # colour type → channels; 3 is a palette and never 16 bits
ADAM7 = (  # x, y of the first pixel of each pass; its steps in x, y
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
DIRECTORY = 2**20  # bytes of one chunk beside the pixels
ORIENTED = {  # EXIF orientation → flip rows, flip columns, then swap the axes
    2: (False, True, False),
    3: (True, True, False),
    4: (True, False, False),
    5: (False, False, True),
    6: (True, False, True),
    7: (True, True, True),
    8: (False, True, True),
}


class Damaged(ValueError):
    """A PNG that breaks its own format; the message is the reason in a few words."""


@dataclass(frozen=True)
class Head:
    """What an IHDR chunk says."""

    width: int
    height: int
    colour: int
    interlaced: bool

    @property
    def channels(self) -> int:
        return CHANNELS[self.colour]

    @property
    def passes(self) -> list[tuple[int, int, int, int, int, int]]:
        """x, y, steps, and (height, width) of the pixels of each pass that has some."""
        whole = ((0, 0, 1, 1),)
        found = []
        for x, y, dx, dy in ADAM7 if self.interlaced else whole:
            height, width = -((y - self.height) // dy), -((x - self.width) // dx)
            if height > 0 and width > 0:
                found.append((x, y, dx, dy, height, width))
        return found


def pixels(file: IO[bytes], max_pixels: int) -> np.ndarray:
    """A 16-bit grey or colour PNG as uint16 (H, W, C), as stored: EXIF orientation not applied.

    A transparent colour (tRNS) becomes an alpha channel. Never reads more than the file claims to
    hold, nor unpacks more than the pixels that its header declares.
    Raises: Damaged, for what is no whole 16-bit PNG.
    Ref: W3C 2003, Portable Network Graphics specification, second edition.
    """
    if file.read(8) != MAGIC:
        raise Damaged("not a PNG")
    head: Head | None = None
    clear: bytes | None = None
    packed: list[bytes] = []
    while True:
        name, body = _chunk(file)
        if name == b"IHDR":
            head = _head(body, max_pixels)
        elif head is None:
            raise Damaged("no header")
        elif name == b"IDAT":
            packed.append(body)
        elif name == b"tRNS":
            clear = body
        elif name == b"IEND":
            break
    planes = _unpacked(b"".join(packed), head)
    if clear is None or head.colour not in (0, 2) or len(clear) != 2 * head.channels:
        return planes
    shown = (planes != np.frombuffer(clear, ">u2").astype(np.uint16)).any(axis=-1, keepdims=True)
    return np.concatenate([planes, shown.astype(np.uint16) * np.uint16(65535)], axis=-1)


def _chunk(file: IO[bytes]) -> tuple[bytes, bytes]:
    """The next chunk's name and body; the body of one that is not needed is empty."""
    start = file.read(8)
    if len(start) < 8:
        raise Damaged("it ends early")
    length, name = struct.unpack(">I4s", start)
    if name not in (b"IHDR", b"IDAT", b"tRNS", b"IEND"):
        file.seek(length + 4, 1)
        return name, b""
    if name != b"IDAT" and length > DIRECTORY:
        raise Damaged(f"a chunk {name!r} of {length} bytes")
    body, check = file.read(length), file.read(4)
    if len(body) < length or len(check) < 4:
        raise Damaged("it ends early")
    if zlib.crc32(name + body) != struct.unpack(">I", check)[0]:
        raise Damaged(f"the chunk {name!r} is damaged")
    return name, body


def _head(body: bytes, max_pixels: int) -> Head:
    if len(body) != 13:
        raise Damaged("a header of another size")
    width, height, bits, colour, method, filters, interlaced = struct.unpack(">IIBBBBB", body)
    if bits != 16 or colour not in CHANNELS or method or filters or interlaced > 1:
        raise Damaged("not 16 bits per colour")
    if not 0 < width * height <= max_pixels:
        raise Damaged(f"{width}×{height} pixels, more than the limit of {max_pixels}")
    return Head(width, height, colour, bool(interlaced))


def _unpacked(packed: bytes, head: Head) -> np.ndarray:
    """(H, W, C) uint16 of the zlib stream."""
    step = 2 * head.channels
    sizes = [height * (1 + width * step) for *_, height, width in head.passes]
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(packed, sum(sizes) + 1)
    except zlib.error as error:
        raise Damaged(f"its pixels can't be unpacked ({error})") from error
    if len(raw) != sum(sizes):
        raise Damaged(f"its pixels unpack to {len(raw)} bytes or more, not to {sum(sizes)}")
    out = np.empty((head.height, head.width, head.channels), np.uint16)
    at = 0
    for (x, y, dx, dy, height, width), size in zip(head.passes, sizes):
        rows = np.frombuffer(raw, np.uint8, size, at).reshape(height, 1 + width * step)
        at += size
        plain = _unfiltered(rows[:, 0], rows[:, 1:].reshape(height, width, step))
        out[y::dy, x::dx] = plain.reshape(height, width, head.channels, 2).view(">u2")[..., 0]
    return out


def _unfiltered(kinds: np.ndarray, raw: np.ndarray) -> np.ndarray:
    """Undo the row filters of (H, W, bytes per pixel), one diagonal of pixels at a time.

    A pixel needs its left, upper and upper left neighbours only, so all pixels with the same
    row + column are independent of each other.
    """
    if kinds.max() > 4:
        raise Damaged(f"a row filter {int(kinds.max())}, which does not exist")
    height, width, step = raw.shape
    if not kinds.any():
        return np.ascontiguousarray(raw)
    out = np.empty_like(raw)
    kind = kinds[:, None]
    last = before = np.zeros((height + 1, step), np.int16)  # row r of a diagonal stands at r + 1
    for diagonal in range(height + width - 1):
        low, high = max(0, diagonal - width + 1), min(height, diagonal + 1)
        rows = np.arange(low, high)
        columns = diagonal - rows
        left, up, corner = last[low + 1 : high + 1], last[low:high], before[low:high]
        how = kind[low:high]
        guess = left + up - corner
        a, b, c = np.abs(guess - left), np.abs(guess - up), np.abs(guess - corner)
        paeth = np.where((a <= b) & (a <= c), left, np.where(b <= c, up, corner))
        added = np.select([how == 1, how == 2, how == 3], [left, up, (left + up) // 2], paeth)
        made = (raw[rows, columns] + np.where(how == 0, 0, added)) & 255
        out[rows, columns] = made
        before, last = last, np.zeros_like(last)
        last[low + 1 : high + 1] = made
    return out


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """(H, W, C) turned as the EXIF orientation (1 to 8) says."""
    rows, columns, swap = ORIENTED.get(orientation, (False, False, False))
    array = array[::-1] if rows else array
    array = array[:, ::-1] if columns else array
    return np.ascontiguousarray(array.swapaxes(0, 1) if swap else array)


def written(array: np.ndarray) -> bytes:
    """A PNG of uint16 (H, W, C), 1 to 4 channels: grey, grey with alpha, RGB, RGB with alpha."""
    height, width, channels = array.shape
    colour = {count: kind for kind, count in CHANNELS.items()}[channels]
    rows = np.ascontiguousarray(array.astype(">u2")).view(np.uint8).reshape(height, width, -1)
    less = rows.copy()
    less[:, 1:] -= rows[:, :-1]  # filter 1: the difference from the pixel to the left, modulo 256
    lines = np.concatenate(
        [np.ones((height, 1), np.uint8), less.reshape(height, -1)], axis=1
    ).tobytes()
    head = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return MAGIC + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
