"""`unfog edit` and `unfog fill` of pictures: files in, files out, one sentence for what is wrong."""

import json

import numpy as np
import pytest
from PIL import Image

from unfog.cli import run as cli


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("edit")
    rng = np.random.default_rng(0)
    for i in range(40):
        (root / "photos" / "ab"[i % 2]).mkdir(exist_ok=True, parents=True)
        pixels = np.clip(rng.normal(90 + 60 * (i % 2), 40, (8, 8)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(root / "photos" / "ab"[i % 2] / f"{i}.png")
    few = ["--steps", "3", "--set", "net=mlp", "--set", "net.width=16", "--set", "net.depth=1"]
    command = ["fit", str(root / "photos"), "-o", str(root / "run"), "--given", "label", *few]
    assert cli([*command, "--batch", "16"]) == 0
    return root


def edit(place, source, out, *more):
    return cli(["edit", f"{place}/run", str(source), "-o", str(out), "--steps", "3", *more])


@pytest.mark.parametrize(
    ("task", "more", "count"),
    [
        ("vary", ["--strength", "0.4", "--draws", "2"], 80),
        ("translate", ["--given", "label=b"], 40),
        ("interpolate", ["--frames", "3"], 117),
        ("inpaint", ["--keep", "left"], 40),
        ("outpaint", ["--grow", "0.5"], 40),
        ("deblur", ["--width", "1", "--method", "dps"], 40),
        ("denoise", ["--noise", "0.3"], 40),
    ],
)
def test_every_task_gives_pictures_back(place, tmp_path, task, more, count, capsys):
    capsys.readouterr()
    assert edit(place, place / "photos", tmp_path / "out", "--task", task, *more, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["count"] == count
    files = list((tmp_path / "out").glob("**/*.png"))
    assert len(files) == count
    assert Image.open(files[0]).size == ((16, 16) if task == "outpaint" else (8, 8))


def test_noise_goes_out_and_comes_back(place, tmp_path):
    assert edit(place, place / "photos", tmp_path / "z.npz", "--task", "encode") == 0
    assert edit(place, tmp_path / "z.npz", tmp_path / "back", "--task", "decode") == 0
    assert len(list((tmp_path / "back").glob("**/*.png"))) == 40


def test_a_single_picture_is_enlarged(place, tmp_path):
    Image.fromarray(np.full((4, 4), 99, np.uint8)).save(tmp_path / "s.png")
    out = tmp_path / "large.png"
    assert edit(place, tmp_path / "s.png", out, "--task", "enlarge") == 0
    large = np.asarray(Image.open(out)).astype(float)
    assert np.abs(large.reshape(4, 2, 4, 2).mean((1, 3)) - 99).max() <= 0.5


def test_fill_takes_pictures_and_a_mask_of_what_is_drawn(place, tmp_path):
    mask = np.zeros((8, 8), np.uint8)
    mask[2:5, 3:6] = 255
    Image.fromarray(mask).save(tmp_path / "hole.png")
    command = ["fill", f"{place}/run", str(place / "photos"), "--steps", "3"]
    out = tmp_path / "full"
    assert cli([*command, "-o", str(out), "--mask", str(tmp_path / "hole.png")]) == 0
    for name in (place / "photos").glob("*/*.png"):
        was = np.asarray(Image.open(name))
        (found,) = out.glob(f"**/{name.name}")
        now = np.asarray(Image.open(found))
        np.testing.assert_array_equal(now[mask == 0], was[mask == 0])
    assert cli([*command, "-o", str(tmp_path / "k"), "--keep", "not:center"]) == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--task", "vari"], "did you mean 'vary'"),
        (["--task", "vary", "--keep", "left"], "unknown option of vary 'keep'"),
        (["--task", "vary", "--given", "label=*"], "runs through classes"),
        (["--task", "inpaint", "--keep", "lift"], "did you mean 'left'"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(place, tmp_path, more, said, capsys):
    assert edit(place, place / "photos", tmp_path / "o", *more) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
    assert edit(place, tmp_path / "gone.png", tmp_path / "o", "--task", "vary") == 3


def test_what_is_there_is_not_replaced_unasked(place, tmp_path, capsys):
    (tmp_path / "x.npz").write_text("mine")
    assert edit(place, place / "photos", tmp_path / "x.npz", "--task", "vary") == 2
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "x.npz").read_text() == "mine"
