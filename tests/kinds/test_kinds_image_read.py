"""Reading good images: modes, orientation, sizes, classes, parts, metadata, arrays."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from kinds_corpus import photos, zip_of
from PIL import Image

from unfog.errors import ArgumentError, DataError, UnknownName
from unfog.kinds import kinds
from unfog.kinds.infer import infer

read = kinds["image"].read
rng = np.random.default_rng(0)


def bytes_of(image: Image.Image, form: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def two(folder: Path, image: Image.Image, suffix: str = "png", **options) -> Path:
    folder.mkdir()
    image.save(folder / f"a.{suffix}", **options)
    image.save(folder / f"b.{suffix}", **options)
    return folder


def noise(height: int, width: int, channels: int, dtype=np.uint8) -> np.ndarray:
    return rng.integers(0, np.iinfo(dtype).max + 1, (height, width, channels), dtype=dtype)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
def test_lossless_formats_keep_every_pixel(tmp_path: Path, suffix: str) -> None:
    pixels = noise(5, 7, 3)
    options = {"lossless": True} if suffix == "webp" else {}
    items = read(two(tmp_path / "x", Image.fromarray(pixels), suffix, **options))
    assert np.array_equal(items.data, [pixels, pixels])
    assert items.names == [f"a.{suffix}", f"b.{suffix}"]
    assert items.notes == []


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_modes_are_kept(tmp_path: Path, mode: str) -> None:
    pixels = noise(6, 6, {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}[mode])
    image = Image.frombytes(mode, (6, 6), pixels.tobytes())
    assert np.array_equal(read(two(tmp_path / "x", image)).data[0], pixels)


def test_one_bit_palette_and_clear_palette(tmp_path: Path) -> None:
    grey = noise(6, 6, 1)[..., 0]
    bits = Image.fromarray(grey).convert("1")
    assert np.array_equal(read(two(tmp_path / "1", bits)).data[0, ..., 0], np.asarray(bits) * 255)
    palette = Image.fromarray(noise(6, 6, 3)).quantize(8)
    assert np.array_equal(read(two(tmp_path / "p", palette)).data[0], palette.convert("RGB"))
    clear = read(two(tmp_path / "c", palette, transparency=0)).data[0]
    assert np.array_equal(clear[..., :3], palette.convert("RGB"))
    assert np.array_equal(clear[..., 3] == 0, np.asarray(palette) == 0)


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    cmyk = Image.fromarray(noise(6, 6, 4), "CMYK")
    items = read(two(tmp_path / "x", cmyk, "tif"))
    assert np.array_equal(items.data[0], np.asarray(cmyk.convert("RGB")))
    flat = Image.new("CMYK", (8, 8), (0, 255, 255, 0))  # no cyan, all else: red
    red = read(two(tmp_path / "j", flat, "jpg", quality=95)).data[0, 4, 4].astype(int)
    assert np.abs(red - [255, 0, 0]).max() < 12


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_kept(tmp_path: Path, suffix: str) -> None:
    pixels = noise(6, 6, 1, np.uint16)
    pixels[0, :4, 0] = [0, 255, 256, 65535]
    image = Image.fromarray(pixels[..., 0])
    items = read(two(tmp_path / "x", image, suffix))
    assert items.data.dtype == np.uint16
    assert np.array_equal(items.data[1], pixels)
    resized = read(tmp_path / "x", size=3)
    assert resized.data.dtype == np.uint16
    assert abs(resized.data[0].mean() - pixels.mean()) < 12_000
    assert resized.data.max() > 255


def test_float_tiffs_are_kept(tmp_path: Path) -> None:
    pixels = rng.normal(size=(6, 6)).astype(np.float32)
    items = read(two(tmp_path / "x", Image.fromarray(pixels), "tif"))
    assert np.array_equal(items.data[0, ..., 0], pixels)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_exif_orientation_is_applied(tmp_path: Path, suffix: str) -> None:
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:, :16] = [250, 10, 10]  # left half red
    turned = np.rot90(upright)  # stored turned by 90 degrees, to be shown turned back
    exif = Image.Exif()
    exif[0x0112] = 6
    items = read(two(tmp_path / "x", Image.fromarray(turned), suffix, exif=exif))
    assert items.data.shape[1:3] == (16, 32)
    assert items.data[0, 8, 4, 0] > 200
    assert items.data[0, 8, 28, 0] < 60


def test_mixed_modes_are_widened_without_loss(tmp_path: Path) -> None:
    grey, colour, deep = noise(5, 5, 1), noise(5, 5, 4), noise(5, 5, 1, np.uint16)
    Image.fromarray(grey[..., 0]).save(tmp_path / "a.png")
    Image.fromarray(colour).save(tmp_path / "b.png")
    items = read(tmp_path)
    assert np.array_equal(items.data[0], np.concatenate([grey] * 3 + [np.full_like(grey, 255)], 2))
    assert np.array_equal(items.data[1], colour)
    assert "widened 1 of 2 images to RGB with alpha" in items.notes[0]
    Image.fromarray(deep[..., 0]).save(tmp_path / "c.png")
    items = read(tmp_path)
    assert items.data.dtype == np.uint16
    assert np.array_equal(items.data[1], colour * np.uint16(257))
    assert np.array_equal(items.data[2, ..., 0], deep[..., 0])
    assert items.data[2, ..., 3].min() == 65535


def test_animations_give_their_first_frame(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((8, 8), v, np.uint8)) for v in (0, 128, 255)]
    for name in "ab":
        frames[0].save(tmp_path / f"{name}.gif", save_all=True, append_images=frames[1:])
    items = read(tmp_path)
    assert items.data.max() == 0
    assert "the first frame of 2 images" in " ".join(items.notes)


def test_unequal_sizes_are_cropped_to_the_centre_and_said(tmp_path: Path) -> None:
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 200  # the central square
    Image.fromarray(wide).save(tmp_path / "wide.png")
    Image.fromarray(np.full((40, 40, 3), 200, np.uint8)).save(tmp_path / "even.png")
    items = read(tmp_path)
    assert items.data.shape == (2, 30, 30, 3)
    assert np.abs(items.data.astype(int) - 200).max() <= 1
    assert "cropped to the centre and resized to 30×30; ask for another" in items.notes[0]
    padded = read(tmp_path, size=30, resize="pad").data[1]
    assert padded[:9].max() == 0
    assert padded[11:19, 12:18].min() >= 199
    stretched = read(tmp_path, size=(10, 30), resize="stretch").data
    assert stretched.shape == (2, 10, 30, 3)
    assert stretched[1, :, 12:18].min() >= 190
    assert stretched[1, :, :8].max() < 20


def test_shrinking_is_antialiased(tmp_path: Path) -> None:
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    small = read(two(tmp_path / "x", Image.fromarray(board)), size=8).data
    assert np.abs(small.astype(int) - 127).max() <= 4


def test_clear_pixels_do_not_bleed(tmp_path: Path) -> None:
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[:, :8] = [255, 0, 0, 255]
    pixels[:, 8:] = [0, 255, 0, 0]  # green, but not to be seen
    small = read(two(tmp_path / "x", Image.fromarray(pixels)), size=3).data[0].astype(int)
    seen = small[..., 3] > 10
    assert small[seen][:, 1].max() <= 2


def test_sub_folders_are_classes(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        photos(tmp_path / "set" / name, 3, seed=len(name) + ord(name[0]))
    (tmp_path / "set" / "notes.txt").write_text("hello")
    items = read(tmp_path / "set", given=["label"])
    assert items.columns["label"] == ["cat"] * 3 + ["dog"] * 3
    assert items.names[0] == "cat/0000.png"
    assert "left aside 1 file of other types" in items.notes[0]
    outer = read(tmp_path)  # the shared prefix is no class
    assert outer.columns["label"] == items.columns["label"]
    assert np.array_equal(outer.data, items.data)
    with pytest.raises(UnknownName, match="did you mean 'label'"):
        read(tmp_path, given=["lable"])


def test_a_zip_is_read_like_its_folder(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        photos(tmp_path / "set" / name, 3, seed=ord(name[0]))
    members = {
        f"prefix/{path.relative_to(tmp_path)}": path.read_bytes()
        for path in sorted((tmp_path / "set").rglob("*.png"))
    }
    members["__MACOSX/._0000.png"] = b"finder"
    items = read(zip_of(tmp_path / "a.zip", members))
    folder = read(tmp_path / "set")
    assert items.fingerprint() == folder.fingerprint()
    assert items.columns == folder.columns
    assert infer(tmp_path / "a.zip") == "image"


def test_parts_are_read_one_at_a_time(tmp_path: Path) -> None:
    for part, n in (("train", 4), ("test", 2), ("valid", 3)):
        photos(tmp_path / part / "x", n, seed=n)
        photos(tmp_path / part / "y", n, seed=n + 10)
    items = read(tmp_path)
    assert items.columns["label"] == ["x"] * 4 + ["y"] * 4
    assert "only the folder 'train' was read" in items.notes[0]
    assert len(read(tmp_path, part="test")) == 4
    assert len(read(tmp_path, part="validation")) == len(read(tmp_path, part="val")) == 6
    with pytest.raises(ArgumentError, match="part='tset'"):
        read(tmp_path, part="tset")
    with pytest.raises(DataError, match="no folder 'test'"):
        read(tmp_path / "train", part="test")


def test_metadata_gives_columns(tmp_path: Path) -> None:
    photos(tmp_path / "img", 4)
    (tmp_path / "metadata.csv").write_text(
        "﻿file_name,age,kind,size\nimg/0000.png,3,cat,1.5\nimg/0002.png,5,,\nimg/0001.png,4,dog,2\n"
    )
    items = read(tmp_path, given=["age", "kind"])
    assert items.columns["kind"] == ["cat", "dog", None, None]
    assert items.columns["age"] == [3, 4, 5, None]
    assert np.array_equal(items.columns["size"], [1.5, 2, np.nan, np.nan], equal_nan=True)


@pytest.mark.parametrize(
    ("shape", "layout"),
    [((6, 8, 9), "NHW"), ((6, 8, 9, 3), "NHWC"), ((6, 3, 8, 9), "NCHW"), ((6, 5, 8, 9), "NCHW")],
)
def test_arrays_and_tensors_come_back_as_given(shape: tuple[int, ...], layout: str) -> None:
    array = rng.integers(0, 256, shape, dtype=np.uint8)
    for source in (array, torch.from_numpy(array), array / 255, array.astype(np.int64)):
        items = read(source)
        assert items.data.shape[:3] == (6, 8, 9)
        assert items.origin["layout"] == layout
        back = kinds["image"].give_back(items.data, items.origin)
        assert type(back) is type(source)
        assert back.dtype == source.dtype
        assert np.array_equal(back, source)


def test_the_channel_axis_is_asked_for_when_unclear() -> None:
    array = rng.integers(0, 256, (4, 3, 8, 3), dtype=np.uint8)
    with pytest.raises(DataError, match="layout='NHWC'"):
        read(array)
    assert read(array, layout="NCHW").data.shape == (4, 8, 3, 3)
    with pytest.raises(ArgumentError, match="does not fit"):
        read(array, layout="NHW")


def test_truth_values_are_black_and_white() -> None:
    array = rng.random((5, 6, 6)) > 0.5
    items = read(array)
    assert np.array_equal(items.data[..., 0], array * 255)
    assert np.array_equal(kinds["image"].give_back(items.data, items.origin), array)


def test_arrays_can_be_resized_and_given_columns() -> None:
    array = rng.integers(0, 256, (5, 12, 12), dtype=np.uint8)
    items = read(array, size=6, given={"label": [1, 2, 1, 2, 1], "pose": torch.zeros(5, 3)})
    assert items.data.shape == (5, 6, 6, 1)
    assert items.columns["label"] == [1, 2, 1, 2, 1]
    assert items.columns["pose"].shape == (5, 3)
    with pytest.raises(ArgumentError, match="one value per item, 5"):
        read(array, given={"label": [1]})


def test_dark_pixels_are_noted() -> None:
    assert "up to 16 of 255" in read(np.full((4, 8, 8), 16, np.uint8)).notes[0]


def test_pil_images_come_back(tmp_path: Path) -> None:
    images = [Image.fromarray(noise(8, 8, 3)) for _ in range(3)]
    assert infer(images) == "image"
    items = read(images)
    back = kinds["image"].give_back(items.data, items.origin)
    assert all(np.array_equal(one, other) for one, other in zip(images, back))
    assert all(one.mode == "RGB" for one in back)


def test_npz_has_columns(tmp_path: Path) -> None:
    array = rng.integers(0, 256, (6, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=array, labels=np.arange(6), other=np.arange(3))
    assert infer(tmp_path / "a.npz") == "image"
    items = read(tmp_path / "a.npz", given=["label"])
    assert list(items.columns) == ["labels"]
    assert items.origin["key"] == "images"


def test_real_images(real_data: Path) -> None:
    clothes = read(real_data / "images_fashion_mnist" / "test.npz", given=["label"])
    assert clothes.data.shape == (10_000, 28, 28, 1)
    assert np.bincount(clothes.columns["labels"]).tolist() == [1000] * 10
    lilies = read(real_data / "images_flowers_fewshot" / "tigerlily_80.zip", size=64)
    assert lilies.data.shape == (60, 64, 64, 3)
    assert "label" not in lilies.columns
    held_out = read(real_data / "images_flowers_fewshot" / "tigerlily_80.zip", size=64, part="test")
    assert len(held_out) == 20
    things = read(real_data / "images_cifar10" / "test.zip", given=["label"])
    assert things.data.shape == (2000, 32, 32, 3)
    assert len(set(things.columns["label"])) == 10
