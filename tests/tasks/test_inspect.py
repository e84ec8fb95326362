"""Inspect says what is planted in the data, and nothing where nothing is."""

import json

import numpy as np
import pytest
from PIL import Image

import unfog
from unfog.cli import run as cli
from unfog.judge.source import directions, near_copies, suspects


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(6, 144))
    found = 128 + 25 * (rng.normal(size=(300, 6)) @ base) / 2 + 3 * rng.normal(size=(300, 144))
    return np.clip(found, 0, 255).astype(np.uint8).reshape(300, 12, 12)


def test_near_copies_are_counted_and_exact_ones_are_not():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 20)).astype("float32")
    assert near_copies(x).count == 0
    planted = np.concatenate([x, x[:30] + 0.01 * rng.normal(size=(30, 20)), x[:10]])
    found = near_copies(planted.astype("float32"))
    assert found.looked == 530
    pairs = {frozenset(pair) for pair in found.pairs.tolist()}
    assert pairs == {frozenset((i, 500 + i)) for i in range(30)}
    assert near_copies(x[:, :3]) is None  # neighbours that near happen by chance


def test_near_copies_across_two_sets():
    rng = np.random.default_rng(1)
    train, test = rng.normal(size=(400, 12)), rng.normal(size=(50, 12))
    assert near_copies(test, train).count == 0
    test[:7] = train[:7] + 0.01
    found = near_copies(test, train)
    assert found.pairs.tolist() == [[i, i] for i in range(7)]


def test_directions_of_variation_are_counted():
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(400, 5)) @ rng.normal(size=(5, 60))
    assert directions(flat.reshape(400, 6, 10)) <= 5
    assert directions(rng.normal(size=(400, 60)).reshape(400, 6, 10)) > 40


def test_columns_that_say_each_other():
    label = ["cat", "dog", "eel"] * 30
    columns = {
        "label": label,
        "animal": [word.upper() for word in label],
        "legs": [{"cat": 4, "dog": 4, "eel": 0}[word] for word in label],
        "free": list(np.random.default_rng(0).integers(0, 4, 90).tolist()),
        "file": [f"p{i}" for i in range(90)],
        "weight": np.linspace(0, 1, 90).tolist(),
        "camera": ["one"] * 90,
    }
    found = {(one.column, one.what, one.other) for one in suspects(columns)}
    assert found == {
        ("animal", "same", "label"),
        ("label", "determines", "legs"),
        ("animal", "determines", "legs"),
        ("file", "identifier", None),
        ("camera", "constant", None),
    }


def save(pictures, folder):
    folder.mkdir(parents=True)
    for number, one in enumerate(pictures):
        Image.fromarray(one).save(folder / f"{number:04d}.png")


def test_a_leak_between_a_sources_own_folders_is_found(tmp_path, pictures):
    for part, rows in (("train", pictures[:200]), ("test", pictures[190:])):
        save(rows, tmp_path / "photos" / part / "a")
    facts = unfog.inspect(tmp_path / "photos")
    assert facts["count"] == 200
    assert [(one["part"], one["count"], one["exact"]) for one in facts["leaks"]] == [
        ("test", 110, 10)
    ]
    assert any(text.startswith("leak: of 110 items") for text in facts["advice"])
    json.dumps(facts, allow_nan=False)


def test_what_is_clean_is_called_clean(tmp_path, pictures, capsys):
    save(pictures[:200], tmp_path / "photos" / "train" / "a")
    save(pictures[200:], tmp_path / "photos" / "test" / "a")
    assert cli(["inspect", str(tmp_path / "photos"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["leaks"][0]["exact"] == facts["leaks"][0]["near"]["found"] == 0
    assert facts["duplicates"] == facts["near_copies"]["found"] == 0
    assert not any("leak" in text or "imbalanced" in text for text in facts["advice"])
    assert any("are few" in text for text in facts["advice"])


def test_imbalance_missing_and_repeats_are_said(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1200, 10)).astype("float32")
    x[1100:] = x[:100]
    label = np.array(["common"] * 1180 + ["rare"] * 20)
    age = rng.normal(size=1200)
    age[:50] = np.nan
    np.savez(tmp_path / "x.npz", data=x, label=label, age=age)
    facts = unfog.inspect(tmp_path / "x.npz", reading={"key": "data"})
    said = " ".join(facts["advice"])
    assert "100 items repeat another exactly" in said
    assert "label is imbalanced: from 20 to 1180" in said
    assert "age is missing for 50 items" in said
    assert "enough to learn from" in said
    assert facts["items_a_direction"] == pytest.approx(120, rel=0.15)


def test_what_a_default_fit_takes_is_expected(capsys, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(3000, 6)))
    facts = unfog.inspect(tmp_path / "x.npy")
    fit = facts["default_fit"]
    planned = unfog.fit(
        tmp_path / "x.npy", steps=200, precision="float32", dry_run=True, quiet=True
    )
    assert fit["parameters"] == planned["parameters"]
    assert fit["memory_bytes"] == pytest.approx(planned["peak_bytes"], rel=0.2)
    assert 0.1 < fit["step_seconds"] / planned["seconds_per_step"] < 10
    assert cli(["inspect", str(tmp_path / "x.npy")]) == 0
    assert "default fit" in capsys.readouterr().out
