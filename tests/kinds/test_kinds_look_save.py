"""Looking and saving: what is written reads back the same, whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unfog.errors import ArgumentError, DataError, ResourceError
from unfog.kinds import kinds
from unfog.kinds.array.look import in_pairs
from unfog.nets import nets

image, array = kinds["image"], kinds["array"]
rng = np.random.default_rng(0)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_folders_read_back(tmp_path: Path, channels: int) -> None:
    data = rng.integers(0, 256, (6, 5, 7, channels), dtype=np.uint8)
    columns = {"label": ["b", "a", "b", "a", "b", "a"], "age": [1, 2, 3, 4, 5, 6]}
    out = image.save(data, tmp_path / "out", columns=columns)
    items = image.read(out, given=["label", "age"])
    order = [int(name.split("/")[1][:5]) for name in items.names]
    assert np.array_equal(items.data, data[order])
    assert items.columns["label"] == [columns["label"][i] for i in order]
    assert np.array_equal(items.columns["age"], np.array(columns["age"])[order])


def test_deep_and_float_images_read_back(tmp_path: Path) -> None:
    deep = rng.integers(0, 65536, (3, 5, 5, 1), dtype=np.uint16)
    assert np.array_equal(image.read(image.save(deep, tmp_path / "deep")).data, deep)
    real = rng.normal(size=(3, 5, 5, 1)).astype(np.float32)
    assert np.array_equal(image.read(image.save(real, tmp_path / "real")).data, real)
    with pytest.raises(DataError, match=r"write an \.npz"):
        image.save(np.zeros((3, 5, 5, 5), np.uint16), tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_arrays_read_back_by_suffix(tmp_path: Path) -> None:
    data = rng.integers(0, 256, (6, 5, 7, 1), dtype=np.uint8)
    origin = {"type": "npz", "key": "pictures", "layout": "NHW", "dtype": "|u1"}
    path = image.save(data, tmp_path / "a.npz", columns={"label": [1] * 6}, origin=origin)
    with np.load(path) as loaded:
        assert np.array_equal(loaded["pictures"], data[..., 0])
        assert loaded["label"].tolist() == [1] * 6
    path = image.save(data, tmp_path / "a.npy")
    assert np.array_equal(np.load(path), data)
    numbers = rng.normal(size=(6, 3))
    assert np.array_equal(np.load(array.save(numbers, tmp_path / "n.npy")), numbers)
    folder = array.save(numbers, tmp_path / "folder", columns={"kind": ["a", None] * 3})
    assert folder == tmp_path / "folder" / "samples.npz"
    items = array.read(folder)
    assert np.array_equal(items.data, numbers)
    assert items.columns["kind"].tolist() == ["a", ""] * 3
    with pytest.raises(ArgumentError, match=r"write an \.npz"):
        array.save(numbers, tmp_path / "m.npy", columns={"kind": ["a"] * 6})


def test_what_exists_is_kept(tmp_path: Path) -> None:
    data = rng.integers(0, 256, (2, 4, 4, 1), dtype=np.uint8)
    out = image.save(data, tmp_path / "out")
    with pytest.raises(ArgumentError, match="exists already"):
        image.save(data[:1], out)
    image.save(data[:1], out, overwrite=True)
    assert [path.name for path in out.iterdir()] == ["00000.png"]
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(ArgumentError, match=r"thesis\.txt, which unfog did not write"):
        image.save(data, out, overwrite=True)
    (tmp_path / "empty").mkdir()
    image.save(data, tmp_path / "empty")
    array.save(np.ones((2, 2)), tmp_path / "a.npy")
    with pytest.raises(ArgumentError, match="exists already"):
        array.save(np.ones((2, 2)), tmp_path / "a.npy")
    with pytest.raises(ArgumentError, match=r"not '\.csv'"):
        array.save(np.ones((2, 2)), tmp_path / "a.csv")
    with pytest.raises(ArgumentError, match="same file name"):
        image.save(data, tmp_path / "twice", names=["a.png", "a.jpg"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "empty", "out"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = rng.integers(0, 256, (4, 4, 4, 1), dtype=np.uint8)
    kept = image.save(data, tmp_path / "out")
    calls = []

    def full(self, path, *rest, **more):
        calls.append(path)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        Path(path).write_bytes(b"x")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(ResourceError, match="disk is full"):
        image.save(data, tmp_path / "new")
    calls.clear()
    with pytest.raises(ResourceError, match="disk is full"):
        image.save(data, kept, overwrite=True)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert np.array_equal(image.read(kept).data, data)


def test_labels_cannot_leave_the_folder(tmp_path: Path) -> None:
    data = rng.integers(0, 256, (3, 4, 4, 1), dtype=np.uint8)
    image.save(data, tmp_path / "out", columns={"label": ["../../evil", "..", "/abs"]})
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert len(list((tmp_path / "out").rglob("*.png"))) == 3


def test_the_sheet_shows_each_class_in_its_row(tmp_path: Path) -> None:
    data = np.zeros((6, 8, 8, 1), np.uint8)
    labels = ["dark", "light", "dark", "light", "light", "dark"]
    data[[1, 3, 4]] = 255
    image.look(data, labels=labels, path=tmp_path / "a.png", columns=3)
    sheet = np.asarray(Image.open(tmp_path / "a.png").convert("L")).astype(int)
    right = sheet[:, -3 * 68 :]
    rows = np.array_split(right, 2)
    assert (rows[0] < 20).mean() > 0.8
    assert (rows[1] > 250).mean() > 0.8
    assert sheet.shape[0] == 2 * 68 + 4  # 8 pixels enlarged to 64 each, without smoothing
    assert set(np.unique(right)) <= {0, 245, 255}


@pytest.mark.parametrize("shape", [(20, 3), (20, 2, 30), (20, 4, 8, 8), (20, 2, 4, 5, 6), (20, 1)])
def test_arrays_can_be_looked_at(tmp_path: Path, shape: tuple[int, ...]) -> None:
    data = rng.normal(size=shape)
    figure = array.look(data, labels=[i % 2 for i in range(20)], path=tmp_path / "a.png")
    drawn = np.asarray(Image.open(tmp_path / "a.png").convert("L"))
    assert drawn.std() > 10
    first = figure.axes[0]
    if len(shape) == 3:
        assert np.array_equal(first.lines[1].get_ydata(), data[0, 1])
    elif len(shape) > 3:
        middle = data[0, 0] if len(shape) == 4 else data[0, 0, 2]
        assert np.array_equal(first.images[0].get_array(), middle)
    with pytest.raises(ArgumentError, match="labels"):
        array.look(data, labels=[1])
    with pytest.raises(ArgumentError, match="no items"):
        array.look(data[:0])


def test_long_vectors_are_lines_and_short_ones_scatter_plots() -> None:
    wave = np.sin(np.arange(40) / 5)[None] * np.ones((3, 1))
    drawn = kinds["array"].look(wave)
    assert [tuple(axes.lines[0].get_ydata()) for axes in drawn.axes[:3]] == [tuple(wave[0])] * 3
    assert not any(axes.lines for axes in kinds["array"].look(wave[:, :5]).axes)


@pytest.mark.parametrize("shape", [(40,), (2, 50), (16, 16), (1, 12, 12)])
def test_an_item_is_drawn_with_its_partner(shape: tuple[int, ...]) -> None:
    mine, theirs = np.zeros((10, *shape)), np.ones((10, *shape))
    axes = in_pairs(mine, theirs).axes
    lines = [[line.get_ydata().mean() for line in one.lines] for one in axes]
    maps = [float(one.images[0].get_array().mean()) for one in axes if one.images]
    assert lines == [[1, 0]] * 8 or maps == [0] * 8 + [1] * 8
    assert bool(maps) == (len(shape) > 1 and shape[0] != 2)


def test_defaults_are_few_and_reasoned() -> None:
    small = image.defaults((1, 8, 8), 1500)
    assert small["net"]["name"] == "unet"
    assert len(small["net"]["mult"]) == 2
    assert any("copy" in text for text in image.defaults((3, 64, 64), 60)["warnings"])
    pixels, waves, many = (image.defaults((3, s, s), n) for s, n in ((32, 60), (64, 60), (32, 500)))
    assert (pixels["net"]["name"], pixels["space"]) == ("unet", {"name": "identity"})
    assert waves["space"] == {"name": "wavelet", "levels": 1}
    assert (many["net"]["name"], many["space"]["name"]) == ("mlp", "pca")
    assert array.defaults((3,), 1000)["net"]["name"] == "mlp"
    assert array.defaults((4, 16, 16), 1000)["net"]["name"] == "unet"
    assert array.defaults((4, 16, 16), 999)["space"]["name"] == "pca"
    assert array.defaults((3,), 10)["batch"] == 10


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("image", (1, 8, 8)),
        ("image", (3, 28, 30)),
        ("image", (4, 64, 64)),
        ("image", (1, 3, 5)),
        ("array", (3,)),
        ("array", (4, 16, 16)),
        ("array", (2, 40)),
        ("array", (2, 3, 3)),
    ],
)
def test_the_default_net_takes_the_state(kind: str, shape: tuple[int, ...]) -> None:
    made = kinds[kind].defaults(shape, 100)["net"]
    net = nets.make(made.pop("name"), shape=shape, **made)
    state = torch.randn(2, *shape)
    assert net(state, torch.full((2,), 0.5)).shape == state.shape
