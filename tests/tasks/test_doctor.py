"""The doctor on real short runs: a planted fault is named, a healthy run is left alone, and nothing
of the run is touched.
"""

import hashlib
import json
import pathlib
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import unfog
from unfog.cli import run
from unfog.judge.doctor import signs
from unfog.tasks.doctor.gather import clock_of, recipe_of

ROOT = pathlib.Path(__file__).resolve().parents[2]
SMALL = {"net.width": 64, "net.depth": 2, "train.looks": 0}


def clusters(count, seed=0):
    """Two noisy rings in the plane, one a class."""
    rng = np.random.default_rng(seed)
    label, turn = rng.integers(0, 2, count), rng.random(count) * 2 * np.pi
    x = np.stack([np.cos(turn), np.sin(turn)], 1) * (1 + label[:, None])
    return (x + 0.08 * rng.normal(size=x.shape)).astype(np.float32), label


def fitted(folder, *, data=None, given="label", steps=500, columns=None, **settings):
    x, label = clusters(800) if data is None else data
    np.savez(folder / "items.npz", data=x, label=label, **(columns or {}))
    return unfog.fit(
        folder / "items.npz",
        out=folder / "run",
        given=given,
        steps=steps,
        batch=128,
        lr=settings.pop("lr", 3e-3),
        settings={**SMALL, **settings},
        device="cpu",
        quiet=True,
        show=False,
    )


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    return fitted(tmp_path_factory.mktemp("healthy"))


def contents(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "doctor.json"
    }


def test_a_healthy_run_has_no_fault_and_is_not_touched(healthy):
    before, weights = contents(healthy.folder), next(healthy.net.parameters()).clone()
    found = healthy.doctor()
    assert found.healthy, str(found)
    assert contents(healthy.folder) == before
    assert bool((next(healthy.net.parameters()) == weights).all())
    saved = json.loads((healthy.folder / "doctor.json").read_text())
    assert saved["healthy"]
    assert saved["findings"] == []
    assert len(saved["margins"]) + len(saved["not_read"]) == len(signs.names())


def test_whose_objective_a_run_has(healthy):
    assert recipe_of(healthy) == "flow"
    other = SimpleNamespace(
        config=healthy.config.model_copy(update={"weight": {"name": "sigmoid"}})
    )
    assert recipe_of(other) is None


def test_the_same_run_has_the_same_facts(healthy):
    assert healthy.doctor().facts == unfog.load(healthy.folder, device="cpu").doctor().facts


def test_what_the_clock_of_a_run_saw(healthy, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(healthy.folder, folder)
    looks = [
        {"watch": "clock", "step": 100, "copying": [], "quiet": True},
        {"watch": "clock", "step": 200, "copying": ["copies"], "quiet": False},
    ]
    (folder / "looks.jsonl").write_text("".join(json.dumps(line) + "\n" for line in looks))
    model = unfog.load(folder, device="cpu")
    assert (clock_of(model).step, clock_of(model).kept) == (200, None)
    said = "stopped at step 200: copying began (…); weights from step 100 are kept"
    model.config = model.config.model_copy(update={"reasons": [said]})
    assert (clock_of(model).step, clock_of(model).kept) == (200, 100)
    assert (clock_of(healthy).step, clock_of(healthy).kept) == (None, None)


PLANTED = {
    "under_fitting": {"steps": 15},
    "step_too_large": {"lr": 0.5, "steps": 200},
    "step_too_small": {"lr": 1e-5, "steps": 200},
    "guidance_too_strong": {"scale": 10.0},
    "wrong_objective": {"times.high": 0.4, "steps": 200},
    "condition_ignored": {"train.dropout": 0.9999, "steps": 300},
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_setting_is_named(name, tmp_path):
    found = fitted(tmp_path, **PLANTED[name]).doctor()
    assert name in [one.name for one in found.findings][:2], str(found)


def test_copies_across_the_parts_are_named(tmp_path):
    x, label = clusters(400)
    twice = np.concatenate([x, x * (1 + 1e-5)]).astype(np.float32)
    model = fitted(tmp_path, data=(twice, np.concatenate([label, label])), steps=50)
    assert model.doctor().findings[0].name == "duplicates"


def test_an_identifier_as_condition_is_named(tmp_path):
    codes = np.array([f"item{i}" for i in range(800)])
    model = fitted(tmp_path, given="code", columns={"code": codes}, steps=50)
    assert model.doctor().findings[0].name == "label_leak"


def test_codes_for_missing_values_are_named_with_their_item(tmp_path):
    x, label = clusters(800)
    x[17, 1] = -9999
    found = fitted(tmp_path, data=(x, label), steps=50).doctor().findings[0]
    assert found.name == "wrong_scale"
    assert "entry 1 of item 17" in found.fix


def test_a_source_in_other_units_and_one_of_training_items(healthy, tmp_path):
    x, label = clusters(800)
    np.savez(tmp_path / "scaled.npz", data=x * 255, label=label)
    assert healthy.doctor(tmp_path / "scaled.npz").findings[0].name == "wrong_scale"
    np.savez(tmp_path / "same.npz", data=x[:200], label=label[:200])
    assert healthy.doctor(tmp_path / "same.npz").findings[0].name == "duplicates"
    fresh, other = clusters(300, seed=9)
    np.savez(tmp_path / "fresh.npz", data=fresh, label=other)
    assert healthy.doctor(tmp_path / "fresh.npz").healthy


def test_few_rows_of_a_table_with_levels_that_training_lacks(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.normal(size=40), "kind": [f"k{i % 19}" for i in range(40)]})
    frame.to_csv(tmp_path / "rows.csv", index=False)
    model = unfog.fit(tmp_path / "rows.csv", steps=30, settings=SMALL, quiet=True, show=False)
    assert model.doctor().findings[0].name == "too_few_data"


def test_on_the_command_line(healthy, tmp_path, capsys):
    assert run(["doctor", str(healthy.folder), "--strict", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["healthy"]
    x, label = clusters(800)
    np.savez(tmp_path / "scaled.npz", data=x * 255, label=label)
    asked = ["doctor", str(healthy.folder), str(tmp_path / "scaled.npz"), "--strict"]
    assert run(asked) == 6
    said = capsys.readouterr().out
    assert said.startswith("1. wrong scale: the source's mean lies")
    assert "   fix: give the source in the units" in said


def test_the_page_names_every_sign():
    page = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
    for row in signs:
        assert f"| `{row.name}` | {row.summary}" in page, row.name
