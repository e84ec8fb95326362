"""Bad pictures and archives beyond `tests/kinds`: refused by name, in no time and no memory."""

from __future__ import annotations

import gzip
import io
import os
import pathlib
import resource
import stat
import struct
import tarfile
import time
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from unfog.cli import run as cli
from unfog.errors import DataError
from unfog.kinds import kinds
from unfog.kinds.infer import infer

read = kinds["image"].read
rng = np.random.default_rng(0)
PIXELS = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, *extra: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes((1 + 3 * min(width, 99)) * min(height, 99))))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(extra) + body + chunk(b"IEND", b"")


def gif(width: int, height: int, frames: int = 1, frame: tuple[int, int] | None = None) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "GIF")
    body = bytearray(stream.getvalue())
    body[6:10] = struct.pack("<HH", width, height)
    at = body.index(b",", 13)
    one = bytearray(body[at:-1])
    if frame:
        one[5:9] = struct.pack("<HH", *frame)
    return bytes(body[:at] + bytes(one) * frames + b";")


def saved(form: str, image: Image.Image | None = None, **options: object) -> bytearray:
    stream = io.BytesIO()
    (image or Image.fromarray(PIXELS)).save(stream, form, **options)
    return bytearray(stream.getvalue())


def jpeg(width: int, height: int) -> bytes:
    body = saved("JPEG")
    at = body.index(b"\xff\xc0") + 5
    body[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(body)


def webp(width: int, height: int) -> bytes:
    body = saved("WEBP", lossless=True)
    at = body.index(b"VP8L") + 9
    rest = struct.unpack("<I", body[at : at + 4])[0] & 0xF0000000
    body[at : at + 4] = struct.pack("<I", rest | (width - 1) | (height - 1) << 14)
    return bytes(body)


def tiff(width: int, height: int) -> bytes:
    body = saved("TIFF")
    (at,) = struct.unpack_from("<I", body, 4)
    for place in range(at + 2, at + 2 + 12 * struct.unpack_from("<H", body, at)[0], 12):
        tag = struct.unpack_from("<H", body, place)[0]
        if tag in (256, 257):
            struct.pack_into("<HII", body, place + 2, 4, 1, width if tag == 256 else height)
    return bytes(body)


def bmp(width: int, height: int) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 154, 0, 0, 54) + head + bytes(100)


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MiB


def folder(place: pathlib.Path, suffix: str, body: bytes) -> pathlib.Path:
    """Two good pictures and a bad one."""
    place.mkdir()
    for name in "ab":
        Image.fromarray(PIXELS).save(place / f"{name}.png")
    (place / f"bad.{suffix}").write_bytes(body)
    return place


ZEROS = bytes(100_000_000)
BAD = {  # row 22, what is no picture; row 23, what claims or unpacks to too much
    "empty": ("png", b"", "not an image"),
    "one byte": ("jpg", b"\xff", "not an image"),
    "a page": ("jpg", b"<html><body>404</body></html>", "not an image"),
    "PostScript": ("png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "not an image"),
    "SVG": ("png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
    "PNG of 0 pixels": ("png", png(0, 8), ""),
    "GIF of 0 pixels": ("gif", gif(0, 0, frame=(0, 0)), ""),
    "JPEG of 0 pixels": ("jpg", jpeg(0, 8), ""),
    "BMP of 0 pixels": ("bmp", bmp(0, 8), ""),
    "TIFF of 0 pixels": ("tif", tiff(0, 0), ""),
    "PNG cut": ("png", bytes(saved("PNG")[:-30]), ""),
    "JPEG cut": ("jpg", bytes(saved("JPEG")[:-30]), ""),
    "GIF cut": ("gif", bytes(saved("GIF")[:-30]), ""),
    "WebP cut": ("webp", bytes(saved("WEBP", lossless=True)[:-30]), ""),
    "TIFF cut": ("tif", bytes(saved("TIFF")[:-90]), ""),
    "BMP cut": ("bmp", bytes(saved("BMP")[:-30]), ""),
    "PNG of 400 Mpx": ("png", png(20_000, 20_000), "pixels, more than the limit of 64000000"),
    "PNG of 120 Mpx": ("png", png(12_000, 10_000), "pixels, more than the limit of 64000000"),
    "JPEG of 400 Mpx": ("jpg", jpeg(20_000, 20_000), "400000000 pixels, more than the limit"),
    "WebP of 256 Mpx": ("webp", webp(16_000, 16_000), "pixels, more than the limit"),
    "TIFF of 400 Mpx": ("tif", tiff(20_000, 20_000), "pixels, more than the limit"),
    "TIFF of 16 Epx": ("tif", tiff(4 * 10**9, 4 * 10**9), "pixels, more than the limit"),
    "BMP of 400 Mpx": ("bmp", bmp(20_000, 20_000), "pixels, more than the limit"),
    "BMP of negative width": ("bmp", bmp(-8, 8), ""),
    "GIF of 400 Mpx": ("gif", gif(20_000, 20_000), "pixels, more than the limit"),
    "GIF with a frame of 3.6 Gpx": ("gif", gif(8, 8, frame=(60_000, 60_000)), ""),
    "APNG of 400 Mpx": (
        "png", png(20_000, 20_000, chunk(b"acTL", struct.pack(">II", 1000, 0))), "more than"
    ),
    "a colour profile of 100 MB": (
        "png", png(8, 8, chunk(b"iCCP", b"a\0\0" + zlib.compress(ZEROS))), "too large"
    ),
    "a text of 100 MB": (
        "png", png(8, 8, chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(ZEROS))), "too large"
    ),
    "many texts": (
        "png",
        png(8, 8, *[chunk(b"zTXt", b"a\0\0" + zlib.compress(ZEROS[:900_000]))] * 100),
        "Too much memory",
    ),
    "values that are not finite": (
        "tif", bytes(saved("TIFF", Image.fromarray(np.full((8, 8), np.nan, np.float32)))), "finite"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_pictures_are_named(tmp_path: pathlib.Path, name: str) -> None:
    suffix, body, said = BAD[name]
    place = folder(tmp_path / "set", suffix, body)
    memory, begun = peak(), time.process_time()
    with pytest.raises(DataError, match=rf"1 of 3 .*bad\.{suffix} \(.*{said}") as caught:
        read(place)
    assert "\n" not in str(caught.value)
    assert peak() - memory < 60
    assert time.process_time() - begun < 2


def test_animations_of_endless_frames_give_their_first(tmp_path: pathlib.Path, recwarn) -> None:
    """Frames are never counted by decoding them; what Pillow only warns of stays quiet."""
    endless = chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))
    control = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 8, 8, 0, 0, 1, 1, 0, 0))
    (tmp_path / "a.png").write_bytes(png(8, 8, endless, control))
    (tmp_path / "b.png").write_bytes(png(8, 8, chunk(b"acTL", struct.pack(">II", 0, 0))))
    (tmp_path / "c.gif").write_bytes(gif(8, 8, frames=20_000))
    begun = time.process_time()
    items = read(tmp_path)
    assert items.data.shape == (3, 8, 8, 3)
    assert "first frame of 2 images" in " ".join(items.notes)
    assert time.process_time() - begun < 2
    assert not recwarn.list


def test_colour_spaces_become_the_rgb_that_pillow_shows(tmp_path: pathlib.Path) -> None:
    """Row 24: CMYK, LAB, YCbCr, palettes; a JPEG called .png is what it is."""
    four = Image.fromarray(np.dstack([PIXELS, PIXELS[..., 0]]), "CMYK")
    pictures = {
        "cmyk.tif": saved("TIFF", four),
        "lab.tif": saved("TIFF", Image.frombytes("LAB", (8, 8), PIXELS.tobytes())),
        "ycbcr.tif": saved("TIFF", Image.fromarray(PIXELS).convert("YCbCr")),
        "palette.png": saved("PNG", Image.fromarray(PIXELS).convert("P")),
        "really.png": saved("JPEG"),
    }
    for name, body in pictures.items():
        (tmp_path / name).write_bytes(body)
    items = read(tmp_path)
    assert items.data.shape == (5, 8, 8, 3)
    for pixels, name in zip(items.data, items.names):
        shown = np.asarray(Image.open(io.BytesIO(pictures[name])).convert("RGB"))
        assert np.array_equal(pixels, shown), name


def test_sixteen_bits_stay_what_they_are_beside_eight(tmp_path: pathlib.Path) -> None:
    """Row 24: scaled, never clipped: 0, 255, 256 and 65535 stay apart."""
    deep = np.array([[0, 255], [256, 65535]], np.uint16).repeat(4, 0).repeat(4, 1)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save(tmp_path / "plain.png")
    items = read(tmp_path)
    assert items.data.dtype == np.uint16
    assert np.array_equal(items.data[0][..., 0], deep)
    assert (items.data[1] == 65535).all()


@pytest.mark.parametrize("suffix", ["npy", "npz", "zip", "csv", "csv.gz", "parquet"])
@pytest.mark.parametrize("what", ["pipe", "device"])
def test_pipes_and_devices_are_not_waited_for(
    tmp_path: pathlib.Path, suffix: str, what: str, capsys
) -> None:
    """Row 25: as a source of any kind, from the command line too; reading one would never end."""
    path = tmp_path / f"x.{suffix}"
    if what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(DataError, match="is a device or a pipe"):
        kinds[infer(path)].read(path)
    assert cli(["fit", str(path), "-o", str(tmp_path / "run")]) == 3
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "run" / "config.json").exists()


def test_trees_that_loop_or_leave(tmp_path: pathlib.Path) -> None:
    """Row 25: links to oneself, to each other, to a parent; sockets' kin; names with '..'."""
    place = folder(tmp_path / "set", "png", bytes(saved("PNG")))
    (tmp_path / "outside.png").write_bytes(saved("PNG"))
    links = {
        "self.png": "self.png",
        "up": "..",
        "here": ".",
        "absolute.png": str(tmp_path / "outside.png"),
        "relative.png": "../outside.png",
        "device.png": "/dev/zero",
    }
    for name, target in links.items():
        (place / name).symlink_to(target)
        with pytest.raises(DataError, match=name):
            read(place)
        (place / name).unlink()
    (place / "first.png").symlink_to("second.png")
    (place / "second.png").symlink_to("first.png")
    with pytest.raises(DataError, match="to itself"):
        read(place)
    for name in ("first.png", "second.png"):
        (place / name).unlink()
    for name in ("sub/../../outside.png", str(tmp_path / "outside.png"), "~/a.png", "C:\\a.png"):
        (place / "metadata.csv").write_text(f"file_name,x\na.png,1\n{name},2\n")
        with pytest.raises(DataError, match=r"outside the folder|which is not there"):
            read(place)


# Row 26: archives.


def test_members_that_overlap_are_refused(tmp_path: pathlib.Path) -> None:
    """Many entries that share one packed stream: each is small, all together are not."""
    body = bytes(saved("BMP", Image.fromarray(np.zeros((60, 60, 3), np.uint8))))
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(50):
            archive.writestr(f"{i:02d}.bmp", body)
        first = archive.filelist[0]
        for info in archive.filelist:
            info.header_offset = first.header_offset
    whole = path.read_bytes()
    directory = whole.index(b"PK\x01\x02")
    one = whole[: whole.index(b"PK\x03\x04", 4)]
    end = bytearray(whole[whole.rindex(b"PK\x05\x06") :])
    struct.pack_into("<I", end, 16, len(one))
    path.write_bytes(one + whole[directory : whole.rindex(b"PK\x05\x06")] + end)
    with zipfile.ZipFile(path) as archive:
        assert len(archive.infolist()) == 50
    with pytest.raises(DataError, match=r"overlap|can't be used"):
        read(path)


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFBLK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_archives(tmp_path: pathlib.Path, mode: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", bytes(saved("PNG")))
        info = zipfile.ZipInfo("b.png")
        info.external_attr = (mode | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="link or a device"):
        read(tmp_path / "a.zip")


def test_sizes_that_an_archive_lies_about(tmp_path: pathlib.Path) -> None:
    """A member that says it is small and unpacks to 100 MB is cut where it said it ends."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(saved("PNG")))
        archive.writestr("b.png", ZEROS)
    body = bytearray(path.read_bytes())
    for magic, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", body, body.rindex(magic) + at, 5000)
    path.write_bytes(body)
    memory = peak()
    with pytest.raises(DataError, match=r"b\.png"):
        read(path)
    assert peak() - memory < 60


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tars_are_not_opened(tmp_path: pathlib.Path, mode: str) -> None:
    suffix = mode.replace("w", "tar").replace(":", ".")
    path = tmp_path / f"a.{suffix}"
    with tarfile.open(path, mode) as archive:
        info = tarfile.TarInfo("../../evil.png")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"evil"))
    with pytest.raises(DataError, match=r"can't be read; allowed: a folder or \.zip"):
        infer(path)
    assert not (tmp_path.parent / "evil.png").exists()
    path.rename(tmp_path / "a.zip")
    with pytest.raises(DataError, match="not a readable zip"):
        read(tmp_path / "a.zip")


def test_a_packed_table_that_is_a_bomb(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"0,0\n" * 25_000_000, 9))
    memory = peak()
    with pytest.raises(DataError, match="200 times its size"):
        kinds["table"].read(path)
    assert peak() - memory < 200


def test_a_folder_of_a_hundred_thousand_names_is_listed_quickly(tmp_path: pathlib.Path) -> None:
    """Files that are no pictures are counted, not opened."""
    place = folder(tmp_path / "set", "txt", b"notes")
    begun = time.process_time()
    for i in range(5000):
        os.mknod(place / f"{i}.txt")
    assert len(read(place)) == 2
    assert time.process_time() - begun < 3
