"""Bad images and archives: one sentence, nothing decoded, nothing extracted, little memory."""

from __future__ import annotations

import os
import resource
import stat
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from kinds_corpus import photos, png_of, zip_of
from PIL import Image

from unfog.errors import ArgumentError, DataError, UnknownName
from unfog.kinds import kinds
from unfog.kinds.archive import Limits, open_zip

read = kinds["image"].read


def truncate(path: Path) -> None:
    body = path.read_bytes()
    path.write_bytes(body[: len(body) // 2])


def sentence(error: pytest.ExceptionInfo) -> str:
    said = str(error.value)
    assert "\n" not in said
    assert error.value.exit_code in (2, 3)
    return said


def test_an_empty_folder_and_one_without_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is empty") as error:
        read(tmp_path)
    sentence(error)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match="1 file but no image"):
        read(tmp_path)
    photos(tmp_path, 1)
    with pytest.raises(DataError, match="only 1 image"):
        read(tmp_path)
    with pytest.raises(DataError, match="give the folder"):
        read(tmp_path / "0000.png")


def test_a_truncated_jpeg_is_skipped_up_to_one_in_a_hundred(tmp_path: Path) -> None:
    photos(tmp_path, 100, suffix="jpg", size=32)
    truncate(tmp_path / "0042.jpg")
    items = read(tmp_path)
    assert len(items) == 99
    assert "0042.jpg" not in items.names
    assert items.names[42] == "0043.jpg"
    intact = np.asarray(Image.open(tmp_path / "0043.jpg"))
    assert np.array_equal(items.data[42], intact)
    assert "skipped 1 of 100 images: 0042.jpg (" in items.notes[-1]
    with pytest.raises(DataError, match=r"strict.* 0042\.jpg") as error:
        read(tmp_path, strict=True)
    sentence(error)
    truncate(tmp_path / "0007.jpg")
    with pytest.raises(DataError, match=r"2 of 100 .* 0007\.jpg .*0042\.jpg"):
        read(tmp_path)


def test_one_bad_file_of_few_is_refused(tmp_path: Path) -> None:
    photos(tmp_path, 99, suffix="png")
    (tmp_path / "0042.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 of 99 .*at most 1 %.* 0042\.png \(not an image"):
        read(tmp_path)


@pytest.mark.parametrize("fault", ["flip", "text", "zero", "cut"])
def test_damaged_files_are_named(tmp_path: Path, fault: str) -> None:
    photos(tmp_path, 5, size=32)
    path = tmp_path / "0003.png"
    body = bytearray(path.read_bytes())
    if fault == "flip":
        body[len(body) // 2] ^= 255
    elif fault == "text":
        body = bytearray(b"this is not an image at all")
    elif fault == "zero":
        body = bytearray(png_of(0, 10))
    else:
        del body[-400:]
    path.write_bytes(body)
    with pytest.raises(DataError, match=r"0003\.png"):
        read(tmp_path)


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    photos(tmp_path, 3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for width, height in ((20_000, 20_000), (12_000, 10_000), (8_001, 8_000)):
        (tmp_path / "bomb.png").write_bytes(png_of(width, height))
        with pytest.raises(DataError, match=r"bomb\.png") as error:
            read(tmp_path)
        sentence(error)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100 * 1024  # KiB; 400 megapixels of RGB would be 1.2 GB
    (tmp_path / "bomb.png").unlink()
    with pytest.raises(DataError, match="8×8 pixels, more than the limit of 63"):
        read(tmp_path, max_pixels=63)


def test_a_huge_text_chunk_is_refused(tmp_path: Path) -> None:
    import zlib

    photos(tmp_path, 3)
    body = b"k\0\0" + zlib.compress(bytes(200_000_000), 9)
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body
    chunk += struct.pack(">I", zlib.crc32(b"zTXt" + body))
    good = (tmp_path / "0001.png").read_bytes()
    (tmp_path / "0001.png").write_bytes(good[:33] + chunk + good[33:])
    with pytest.raises(DataError, match=r"0001\.png"):
        read(tmp_path)


def test_links_and_devices(tmp_path: Path) -> None:
    inside = photos(tmp_path / "set", 3)
    outside = photos(tmp_path / "other", 1, seed=9) / "0000.png"
    (inside / "again.png").symlink_to(inside / "0000.png")
    assert len(read(inside)) == 4
    cases = {"leaves": outside, "to a folder": inside, "leads nowhere": tmp_path / "gone.png"}
    for said, target in cases.items():
        link = inside / "link.png"
        link.symlink_to(target)
        with pytest.raises(DataError, match=said) as error:
            read(inside)
        sentence(error)
        link.unlink()
    os.mkfifo(inside / "pipe.png")
    with pytest.raises(DataError, match="device or a pipe"):
        read(inside)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../secret.png", "outside the folder"),
        ("/etc/passwd.png", "outside the folder"),
        ("gone.png", "line 3 names 'gone.png', which is not there"),
        ("0000.png", "second time"),
    ],
)
def test_metadata_stays_inside(tmp_path: Path, name: str, said: str) -> None:
    photos(tmp_path, 3)
    (tmp_path / "metadata.csv").write_text(f"file_name,x\n0000.png,1\n{name},2\n")
    with pytest.raises(DataError, match=said):
        read(tmp_path)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "needs a column 'file_name'"),
        (b"name,x\n0000.png,1\n", "it has: name, x"),
        (b"file_name,x\n0000.png,1,2\n", "line 2 has 3 cells"),
        (b"file_name,x,x\n0000.png,1,2\n", "same name"),
        (b"file_name,x\n0000.png,\xe9\n", "UTF-8"),
    ],
)
def test_bad_metadata(tmp_path: Path, body: bytes, said: str) -> None:
    photos(tmp_path, 3)
    (tmp_path / "metadata.csv").write_bytes(body)
    with pytest.raises(DataError, match=said):
        read(tmp_path)


def a_png(tmp_path: Path) -> bytes:
    return (photos(tmp_path / "one", 1) / "0000.png").read_bytes()


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "x/../../a.png", "..\\a.png", "C:/a.png"])
def test_archives_that_reach_outside(tmp_path: Path, name: str) -> None:
    body = a_png(tmp_path)
    path = zip_of(tmp_path / "a.zip", {"b.png": body, "c.png": body, name: body})
    with pytest.raises(DataError, match="outside the archive") as error:
        read(path)
    sentence(error)
    assert not (tmp_path / "a.png").exists()
    assert not (tmp_path.parent / "a.png").exists()


def test_archives_with_links(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", {"a.png": a_png(tmp_path)})
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("link.png")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="link or a device"):
        read(path)


def test_archive_bombs(tmp_path: Path) -> None:
    body = a_png(tmp_path)
    path = zip_of(tmp_path / "a.zip", {"a.png": body, "b.png": body, "bomb.png": bytes(2**23)})
    with pytest.raises(DataError, match=r"bomb\.png.* times its size"):
        read(path)
    with pytest.raises(DataError, match="3 entries"):
        open_zip(path, Limits(entries=2))
    with pytest.raises(DataError, match="together"):
        open_zip(path, Limits(total_bytes=1000, ratio=1e9))
    with pytest.raises(DataError, match="unpacks to"):
        open_zip(path, Limits(file_bytes=1000))


def test_a_million_entries_are_refused_before_they_are_listed(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", {"a.png": a_png(tmp_path)})
    body = bytearray(path.read_bytes())
    at = body.rfind(b"PK\x05\x06")
    zip64 = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 10**6, 10**6, 46 * 10**6, 0)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, at, 1)
    path.write_bytes(body[:at] + zip64 + locator + body[at:])
    with pytest.raises(DataError, match="1000000 entries"):
        read(path)


def test_archives_that_are_damaged(tmp_path: Path) -> None:
    body = a_png(tmp_path)
    path = zip_of(tmp_path / "a.zip", {f"{i}.png": body for i in range(5)})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="truncated"):
        read(path)
    path.write_bytes(b"no zip at all")
    with pytest.raises(DataError, match="not a readable zip"):
        read(path)
    broken = bytearray(whole)
    broken[60] ^= 255
    path.write_bytes(broken)
    with pytest.raises(DataError, match=r"0\.png"):
        read(path)
    encrypted = bytearray(whole)
    encrypted[whole.rfind(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(encrypted)
    with pytest.raises(DataError, match="encrypted"):
        read(path)


def test_wrong_arguments(tmp_path: Path) -> None:
    photos(tmp_path, 3)
    with pytest.raises(UnknownName, match="did you mean 'crop'"):
        read(tmp_path, resize="corp")
    for size in (0, -1, 2.5, (1, 2, 3), 10**6):
        with pytest.raises(ArgumentError, match="size="):
            read(tmp_path, size=size)
    with pytest.raises(ArgumentError, match="part="):
        read(np.zeros((4, 8, 8), np.uint8), part="test")


def test_float_images_must_be_finite() -> None:
    images = np.zeros((4, 8, 8), np.float32)
    images[2, 3, 4] = np.nan
    with pytest.raises(DataError, match=r"1 values in 1 of 4 items .*\(2, 3, 4, 0\)"):
        read(images)
    with pytest.raises(DataError, match="fit neither"):
        read(np.full((4, 8, 8), -1))
    with pytest.raises(DataError, match="complex64"):
        read(np.zeros((4, 8, 8), np.complex64))
