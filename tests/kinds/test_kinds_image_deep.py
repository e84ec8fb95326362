"""16 bits per colour, read and written whole; broken files refused; orientation and odd modes."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from unfog.errors import DataError
from unfog.kinds import kinds
from unfog.kinds.image import png
from unfog.kinds.image.decode import pixels

image = kinds["image"]
rng = np.random.default_rng(0)
COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}


def deep(height: int, width: int, channels: int) -> np.ndarray:
    """Random 16-bit pixels, smooth enough that filters matter."""
    steps = rng.integers(-900, 900, (height, width, channels)).cumsum(0).cumsum(1)
    return (steps % 65536).astype(np.uint16)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def filtered(rows: np.ndarray, step: int, kinds_of_rows: list[int]) -> bytes:
    """Rows of bytes filtered by the specification's own words, byte by byte."""
    made, above = b"", bytes(rows.shape[1])
    for kind, row in zip(kinds_of_rows, rows):
        line = row.tobytes()
        out = bytearray([kind])
        for i, value in enumerate(line):
            a = line[i - step] if i >= step else 0
            b, c = above[i], above[i - step] if i >= step else 0
            p = a + b - c
            near = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            out.append((value - (0, a, b, (a + b) // 2, near)[kind]) & 255)
        made += bytes(out)
        above = line
    return made


def encoded(array: np.ndarray, *, interlaced: bool = False, extra: bytes = b"") -> bytes:
    height, width, channels = array.shape
    head = struct.pack(">IIBBBBB", width, height, 16, COLOURS[channels], 0, 0, int(interlaced))
    body = b""
    for x, y, dx, dy in png.ADAM7 if interlaced else [(0, 0, 1, 1)]:
        part = array[y::dy, x::dx]
        if part.size:
            rows = np.ascontiguousarray(part.astype(">u2")).view(np.uint8)
            rows = rows.reshape(len(part), -1)
            body += filtered(rows, 2 * channels, [i % 5 for i in range(len(part))])
    packed = zlib.compress(body)
    return (
        png.MAGIC
        + chunk(b"IHDR", head)
        + extra
        + chunk(b"IDAT", packed[:40])
        + chunk(b"IDAT", packed[40:])
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (11, 7), (16, 33)])
@pytest.mark.parametrize("interlaced", [False, True])
def test_every_filter_and_pass_gives_the_pixels_back(size, channels, interlaced) -> None:
    array = deep(*size, channels)
    made, form = pixels(io.BytesIO(encoded(array, interlaced=interlaced)))
    assert np.array_equal(made, array)
    assert (form.bits, form.channels) == (16, channels)


def test_pillow_agrees_on_the_upper_byte() -> None:
    array = deep(20, 30, 3)
    for body in (encoded(array), encoded(array, interlaced=True), png.written(array)):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(body))), array >> 8)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_folders_of_deep_pngs_come_back_whole(tmp_path: Path, channels: int) -> None:
    array = np.stack([deep(9, 12, channels) for _ in range(4)])
    array[0, 0, 0] = 65535
    image.save(array, tmp_path / "out")
    items = image.read(tmp_path / "out")
    assert items.data.dtype == np.uint16
    assert np.array_equal(items.data, array)
    assert items.notes == []
    codec = image.codec.fit(items)
    assert np.array_equal(codec.decode(codec.encode(items.data)), array)


def test_a_clear_colour_becomes_alpha() -> None:
    array = deep(5, 6, 3)
    array[2, 3] = [1, 2, 3]
    clear = chunk(b"tRNS", struct.pack(">3H", 1, 2, 3))
    made, form = pixels(io.BytesIO(encoded(array, extra=clear)))
    assert form.alpha
    assert np.array_equal(made[..., :3], array)
    assert np.array_equal(made[..., 3] == 0, (array == [1, 2, 3]).all(-1))
    grey = deep(4, 4, 1)
    grey[1, 1] = 7
    made, _ = pixels(io.BytesIO(encoded(grey, extra=chunk(b"tRNS", struct.pack(">H", 7)))))
    assert made.shape == (4, 4, 2)
    assert made[1, 1, 1] == 0


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP", "deep"])
def test_every_orientation_is_applied_as_pillow_does(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    block = np.kron(rng.integers(0, 256, (2, 3, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    stream = io.BytesIO()
    if form == "deep":
        wide = block.astype(np.uint16) * 257
        extra = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\x00\x00"))
        stream.write(encoded(wide, extra=extra))
    else:
        options = {"lossless": True} if form == "WEBP" else {}
        Image.fromarray(block).save(stream, form, exif=exif, **options)
    stream.seek(0)
    right = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(stream.getvalue()))))
    made, _ = pixels(stream)
    if form == "deep":
        made = (made >> 8).astype(np.uint8)
    assert np.array_equal(made, right)
    assert made.shape[:2] == ((24, 16) if orientation >= 5 else (16, 24))


def deep_tiff(array: np.ndarray, order: str, packed: bool, predictor: bool) -> bytes:
    """A TIFF of 16-bit RGB(A) in two strips, by hand."""
    height, width, count = array.shape
    rows = [array[: height // 2], array[height // 2 :]]
    strips = []
    for part in rows:
        values = part.copy()
        if predictor:
            values[:, 1:] -= part[:, :-1]
        body = values.astype(f"{order}u2").tobytes()
        strips.append(zlib.compress(body) if packed else body)
    tags: list[tuple[int, int, list[int]]] = [
        (256, 3, [width]),
        (257, 3, [height]),
        (258, 3, [16] * count),
        (259, 3, [8 if packed else 1]),
        (262, 3, [2]),
        (273, 4, [0, 0]),
        (277, 3, [count]),
        (278, 3, [height // 2]),
        (279, 4, [len(body) for body in strips]),
        (284, 3, [1]),
        (317, 3, [2 if predictor else 1]),
        *([(338, 3, [2])] if count == 4 else []),
    ]
    start = 8 + 2 + 12 * len(tags) + 4
    long = {258: start}
    bits = struct.pack(f"{order}{count}H", *[16] * count)
    long |= {273: start + 8, 279: start + 16}
    first = start + 24
    tags[5] = (273, 4, [first, first + len(strips[0])])
    out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    out += struct.pack(f"{order}H", len(tags))
    for tag, kind, values in tags:
        out += struct.pack(f"{order}HHI", tag, kind, len(values))
        if tag in long:
            out += struct.pack(f"{order}I", long[tag])
        else:
            out += struct.pack(f"{order}{'HI'[kind == 4]}", values[0]).ljust(4, b"\0")
    out += bytes(4) + bits.ljust(8, b"\0")
    for tag in (5, 8):
        out += struct.pack(f"{order}2I", *tags[tag][2])
    return out + b"".join(strips)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("count", [3, 4])
@pytest.mark.parametrize(("packed", "predictor"), [(False, False), (True, False), (True, True)])
def test_deep_tiffs_are_read_whole(order, count, packed, predictor) -> None:
    array = deep(10, 7, count)
    body = deep_tiff(array, order, packed, predictor)
    made, form = pixels(io.BytesIO(body))
    assert (form.bits, form.channels) == (16, count)
    assert np.array_equal(made, array)


def test_deep_tiffs_that_only_pillow_unpacks_are_said_to_be_reduced(tmp_path: Path) -> None:
    """An alpha that colours were multiplied with: Pillow reads it, at 8 bits."""
    array = np.full((4, 4, 4), 0xABCD, np.uint16)
    array[..., 3] = 65535
    body = deep_tiff(array, "<", False, False)
    multiplied = body.replace(
        struct.pack("<HHII", 338, 3, 1, 2), struct.pack("<HHII", 338, 3, 1, 1)
    )
    assert multiplied != body
    for name in "ab":
        (tmp_path / f"{name}.tif").write_bytes(multiplied)
    items = image.read(tmp_path)
    assert (items.data[..., :3] == 0xAB).all()
    assert "16 bits per colour" in items.notes[0]


def test_broken_deep_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    array = deep(12, 12, 3)
    whole = encoded(array)
    at = whole.index(b"IDAT")
    rows = b"".join(b"\7" + bytes(72) for _ in range(12))
    head = whole[: whole.index(b"IDAT") - 4]
    end = chunk(b"IEND", b"")
    bodies = {
        "short": whole[:-40],
        "bit": whole[: at + 12] + bytes([whole[at + 12] ^ 1]) + whole[at + 13 :],
        "filter": head + chunk(b"IDAT", zlib.compress(rows)) + end,
        "bomb": head + chunk(b"IDAT", zlib.compress(bytes(10**7))) + end,
        "few": head + chunk(b"IDAT", zlib.compress(bytes(100))) + end,
        "none": head + end,
        "tiff": deep_tiff(array, "<", True, False)[:-30],
    }
    for name, body in bodies.items():
        folder = tmp_path / name
        folder.mkdir()
        for n in "ab":
            (folder / f"{n}.{'tif' if name == 'tiff' else 'png'}").write_bytes(body)
        with pytest.raises(DataError, match="can't be used") as error:
            image.read(folder)
        assert "\n" not in str(error.value)
    large = png.MAGIC + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 16, 2, 0, 0, 0))
    with pytest.raises(png.Damaged, match="more than the limit"):
        png.pixels(io.BytesIO(large + end), 10**6)


def test_deep_and_plain_files_together_are_widened(tmp_path: Path) -> None:
    first, second = deep(6, 6, 3), rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    (tmp_path / "a.png").write_bytes(png.written(first))
    Image.fromarray(second).save(tmp_path / "b.png")
    items = image.read(tmp_path)
    assert np.array_equal(items.data, [first, second * np.uint16(257)])
    assert "widened 1 of 2" in items.notes[0]


def test_resizing_keeps_the_depth(tmp_path: Path) -> None:
    flat = np.full((12, 12, 3), 40_123, np.uint16)
    for n in "ab":
        (tmp_path / f"{n}.png").write_bytes(png.written(flat))
    assert np.unique(image.read(tmp_path, size=5).data).tolist() == [40_123]


@pytest.mark.parametrize("channels", [5, 12])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_many_channels_from_arrays(tmp_path: Path, channels: int, dtype) -> None:
    array = (rng.random((6, 9, 10, channels)) * 200).astype(dtype)
    np.savez(tmp_path / "a.npz", images=array)
    items = image.read(tmp_path / "a.npz", layout="NHWC")
    codec = image.codec.fit(items)
    assert codec.state_shape == (channels, 9, 10)
    assert np.abs(codec.decode(codec.encode(items.data)).astype(float) - array).max() < 1e-3
    image.look(items.data, path=tmp_path / "a.png")
