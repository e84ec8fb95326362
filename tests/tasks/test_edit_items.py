"""Edits of items as users have them: any size, any mask, their own type back, bit-equal parts."""

import numpy as np
import pytest
from PIL import Image

import unfog
from unfog.errors import ArgumentError, DataError, ShapeError, UnknownName
from unfog.tasks.edit.keeps import WORDS, keep_of
from unfog.tasks.edit.seen import small

FEW = {"steps": 3, "show": False}


def blobs(count, side, seed=0):
    rng = np.random.default_rng(seed)
    at = rng.uniform(0.3, 0.7, (count, 2, 1, 1)) * side
    y, x = np.mgrid[:side, :side]
    light = np.exp(-((y - at[:, 0]) ** 2 + (x - at[:, 1]) ** 2) / (side**2 / 10))
    return np.stack([255 * light, 200 * light, 40 + 0 * light], -1).round().astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    for i, one in enumerate(blobs(60, 8)):
        (root / "ab"[i % 2]).mkdir(exist_ok=True)
        Image.fromarray(one).save(root / "ab"[i % 2] / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def model(folder):
    settings = {"net": "mlp", "net.width": 32, "net.depth": 1, "space": "pca"}
    settings |= {"space.components": 6, "space.explained": None}
    return unfog.fit(folder, given=["label"], steps=60, batch=32, settings=settings, quiet=True)


LARGE = blobs(1, 32, 5)[0][:24]  # 24 × 32 pixels, the model draws 8 × 8


@pytest.mark.parametrize(
    "keep", ["left:0.3", "center", "random:0.2", "checks:5", "not:box:3,4,9,9"]
)
def test_what_is_kept_is_bit_equal_at_the_users_size(model, keep):
    made = model.edit(Image.fromarray(LARGE), "inpaint", keep=keep, seed=2, **FEW)
    (one,) = made.items
    known = keep_of(keep, LARGE.shape[:2], image=True, seed=2)
    assert one.shape == LARGE.shape
    np.testing.assert_array_equal(one[known], LARGE[known])
    assert (one[~known] != LARGE[~known]).any()
    assert isinstance(made.data[0], Image.Image)
    # beside the centred square that the model sees nothing changes
    np.testing.assert_array_equal(one[:, :4], LARGE[:, :4])
    np.testing.assert_array_equal(one[:, -4:], LARGE[:, -4:])


def test_what_the_space_cannot_hold_comes_from_the_item(model):
    """Six components hold no checkerboard; a weak variation keeps it, a strong one does not."""
    fine = blobs(1, 8, 9)
    fine[0, ::2, ::2] ^= 24
    away = {}
    for strength in (0.0, 0.02, 1.0):
        made = model.edit(fine, "vary", strength=strength, **FEW).raw
        away[strength] = np.abs(made.astype(float) - fine).mean()
    assert away[0.0] == 0
    assert away[0.02] < 2.5
    assert away[1.0] > 10


def test_an_item_of_its_own_class_is_edited_under_it(model, folder):
    made = model.edit(folder, "vary", strength=0.5, **FEW)
    assert made.columns["label"] == ["a"] * 30 + ["b"] * 30
    asked = model.edit(folder / "a" / "0.png", "vary", given={"label": "b"}, draws=2, **FEW)
    assert asked.columns["label"] == ["b", "b"]
    assert (asked.raw[0] != asked.raw[1]).any()
    with pytest.raises(UnknownName, match="'c'"):
        model.edit(folder, "vary", given={"label": "c"}, **FEW)


def test_a_result_does_not_depend_on_its_batch(model, folder):
    for task, more in (("vary", {}), ("inpaint", {"keep": "random:0.4"}), ("encode", {})):
        seed = {} if task == "encode" else {"seed": 3}
        whole = model.edit(folder, task, **more, **seed, **FEW).raw.astype(float)
        parts = model.edit(folder, task, batch=7, **more, **seed, **FEW).raw.astype(float)
        assert np.abs(whole - parts).max() <= (1 if task != "encode" else 1e-3)


def test_enlarged_pictures_have_the_block_means(model):
    x = blobs(3, 8, 7)
    made = model.edit(small(model, x, 2), "enlarge", **FEW)
    means = made.raw.reshape(3, 4, 2, 4, 2, 3).mean((2, 4))
    assert np.abs(means - small(model, x, 2)).max() <= 0.5
    assert made.facts["factor"] == 2
    assert made.facts["misfit_after"] < 0.01
    with pytest.raises(ShapeError, match="2, 3, 4"):
        model.edit(x[:, :6, :6], "enlarge", **FEW)


def test_outpainting_keeps_the_picture_in_its_place(model):
    made = model.edit(LARGE[:, 4:28], "outpaint", grow="left:0.5,top:0.5", **FEW)
    (one,) = made.items
    assert one.shape == (36, 36, 3)
    np.testing.assert_array_equal(one[12:, 12:], LARGE[:, 4:28])
    with pytest.raises(ArgumentError, match="proportions"):
        model.edit(LARGE[:, 4:28], "outpaint", grow="left:0.5", **FEW)
    with pytest.raises(UnknownName, match="did you mean 'left'"):
        model.edit(LARGE, "outpaint", grow="lefd:0.5", **FEW)


def test_many_kinds_of_source_come_back_in_their_own_type(model, tmp_path):
    import torch

    x = blobs(3, 8, 3)
    np.save(tmp_path / "x.npy", x)
    choices = {"strength": 0.5, "given": {"label": "a"}, **FEW}
    wanted = model.edit(x, "vary", **choices).raw
    assert isinstance(model.edit(x, "vary", **choices).data, np.ndarray)
    for source in (tmp_path / "x.npy", torch.from_numpy(x.transpose(0, 3, 1, 2).copy())):
        made = model.edit(source, "vary", **choices)
        np.testing.assert_array_equal(made.raw, wanted)
    assert made.data.shape == (3, 3, 8, 8)
    pictures = model.edit([Image.fromarray(one) for one in x], "vary", **choices)
    np.testing.assert_array_equal(pictures.raw, wanted)
    out = pictures.save(tmp_path / "out")
    assert sorted(p.name for p in out.iterdir()) == ["00000.png", "00001.png", "00002.png"]
    single = model.edit(Image.fromarray(x[0]), "vary", **choices).save(tmp_path / "one.png")
    np.testing.assert_array_equal(np.asarray(Image.open(single)), wanted[0])


def test_masks_by_word_and_by_file(tmp_path):
    shape = (8, 12)
    known = {word: keep_of(word, shape, image=True) for word in WORDS if word != "box"}
    assert known["left"][:, :6].all()
    assert not known["left"][:, 6:].any()
    assert known["center"].sum() == 4 * 6
    assert (known["right"] == ~known["left"]).all()
    assert known["checks"].mean() == 0.5
    np.testing.assert_array_equal(keep_of("not:top", shape, image=True), known["bottom"])
    box = keep_of("box:1,2,3,4", shape, image=True)
    assert box.sum() == 12
    assert box[1:4, 2:6].all()
    other = keep_of("random", shape, image=True, place=1)
    assert (other != known["random"]).any()
    Image.fromarray((255 * box).astype(np.uint8)).save(tmp_path / "m.png")
    np.save(tmp_path / "m.npy", box)
    for name in ("m.png", "m.npy"):
        np.testing.assert_array_equal(keep_of(str(tmp_path / name), shape, image=True), box)
    series = keep_of("first:0.25", (2, 8), image=False)
    np.testing.assert_array_equal(series.sum(1), [2, 2])
    np.testing.assert_array_equal(keep_of("entries:1", (2, 3), image=False)[:, 0], [False, True])


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        ("lift", "did you mean 'left'"),
        ("left:2", "between 0 and 1"),
        ("box:1,2", "box:TOP,LEFT,HEIGHT,WIDTH"),
        ("box:7,7,7,7", "does not lie"),
        (np.ones((8, 12)), "knows all"),
        (np.zeros((8, 12)), "knows none"),
        (np.full((8, 12), 0.5), "1 \\(or 255\\)"),
        (np.ones((3, 3)), "one of its size"),
        ("gone.png", "that is there"),
    ],
)
def test_wrong_masks(keep, said):
    with pytest.raises(ArgumentError, match=said):
        keep_of(keep, (8, 12), image=True)


def test_refusals(model, tmp_path):
    x = blobs(2, 8)
    for task, more, said in (
        ("vari", {}, "did you mean 'vary'"),
        ("vary", {"strength": 1.2}, "0, 1"),
        ("vary", {"keep": "left"}, "option of vary"),
        ("vary", {"draws": 0}, "1 or more"),
        ("inpaint", {}, "nothing is unknown"),
        ("inpaint", {"keep": "left", "method": "replace"}, "use mmps or dps"),
        ("interpolate", {"frames": 1}, "2 or more"),
        ("translate", {}, "label=cat"),
        ("deblur", {"noise": 0.0}, "above 0"),
        ("decode", {}, "noise of this model"),
    ):
        with pytest.raises(ArgumentError, match=said):
            model.edit(x, task, **more)
    with pytest.raises(ArgumentError, match="two items"):
        model.edit(x[:1], "interpolate")
    with pytest.raises(DataError, match="channels"):
        model.edit(np.zeros((2, 8, 8, 1), np.uint8), "vary")
    with pytest.raises(DataError, match="not there"):
        model.edit(tmp_path / "no.png", "vary")
    with pytest.raises(ArgumentError, match="holds one image"):
        model.edit(x, "vary", **FEW).save(tmp_path / "two.png")
