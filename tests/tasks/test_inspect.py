"""Inspect says what is planted in the data, and nothing where nothing is."""

import json

import numpy as np
import pytest
from PIL import Image

import unfog
from unfog.cli import run as cli
from unfog.kinds.items import Items
from unfog.kinds.splits import split
from unfog.kinds.table.cells import Cells, Table
from unfog.tasks.inspect import OF_KIND


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(6, 144))
    found = 128 + 25 * (rng.normal(size=(300, 6)) @ base) / 2 + 3 * rng.normal(size=(300, 144))
    return np.clip(found, 0, 255).astype(np.uint8).reshape(300, 12, 12)


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


def test_a_tables_missing_cells_are_counted_by_column():
    there = np.arange(40) % 4 > 0
    table = Table(
        {
            "age": Cells(np.arange(40.0), np.ones(40, bool)),
            "town": Cells(np.array(["a", "b"] * 20, dtype=object), there),
        }
    )
    items = Items(kind="table", data=table)
    facts = OF_KIND["table"](items, split(items, seed=0))
    assert facts["item"] == [2]
    assert facts["cells"]["age"] == {"type": "number", "missing": 0}
    assert facts["cells"]["town"]["missing"] == 10
    assert facts["cells"]["town"]["classes"] == {"b": 20, "a": 10}
