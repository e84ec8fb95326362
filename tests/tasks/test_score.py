"""Scoring rows: planted strangers are found and named; p-values, drift, files, the command line."""

import json

import numpy as np
import pandas as pd
import pytest

import unfog
from unfog.cli import run
from unfog.errors import ArgumentError, DataError, UnknownName

TINY = {"net.width": 32, "net.depth": 1}
DETECTORS = ("noised_neighbours", "knn", "diffusion_time", "denoising_error", "blend")


def frame(count, seed=0):
    """Two columns that go together, one that does not, a group, and a rare hole."""
    rng = np.random.default_rng(seed)
    size = rng.normal(size=count)
    return pd.DataFrame(
        {
            "size": size,
            "twice": 2 * size + 0.1 * rng.normal(size=count),
            "spent": np.where(rng.random(count) < 0.05, np.nan, rng.exponential(size=count)),
            "group": rng.choice(["a", "b"], count, p=[0.8, 0.2]),
            "country": "NL",
        }
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("score")
    frame(400).to_csv(folder / "rows.csv", index=False)
    return unfog.fit(
        folder / "rows.csv", out=folder / "run", steps=60, settings=TINY, quiet=True, show=False
    )


@pytest.mark.parametrize("detector", DETECTORS)
def test_planted_cells_are_found_and_named(model, detector):
    rows = frame(20, seed=1)
    rows.loc[0, "size"] = 40.0
    rows.loc[1, "group"] = "zz"
    rows.loc[2, "twice"] = np.nan
    rows.loc[3, "country"] = "DE"
    found = model.score(rows, detector=detector)
    assert list(found.data["strangest"][:4]) == ["size", "group", "twice", "country"]
    said = list(found.data["reasons"])
    assert said[0].startswith("size = 40 (usually -")
    assert "group = zz, unseen in training (usually a in" in said[1]
    assert "twice is missing and never was in training" in said[2]
    assert "country = DE, unseen in training (usually NL in 100 %)" in said[3]
    assert found.p_value[0] == 1 / (found.heldout + 1)
    assert found.score[0] == found.score.max()
    np.testing.assert_allclose(found.parts.sum(1), found.score, rtol=1e-5)


def test_a_broken_relation_is_unusual_beside_the_rest(model):
    rows = frame(20, seed=1)
    rows.loc[0, ["size", "twice"]] = [1.5, -3.0]  # each usual, never together
    found = model.score(rows, detector="knn")
    assert found.score[0] == found.score.max()
    assert found.strangest[0] in ("size", "twice")
    assert "unusual beside the rest of the row" in found.reasons[0][0]


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_row_is_scored_by_itself(model, detector):
    rows = frame(30, seed=2)
    whole = model.score(rows, detector=detector, seed=3)
    alone = model.score(rows.iloc[7:8], detector=detector, seed=3)
    np.testing.assert_allclose(alone.score[0], whole.score[7], rtol=1e-4)
    assert alone.p_value[0] == whole.p_value[7]
    twice = model.score(pd.concat([rows, rows]), detector=detector, seed=3)
    np.testing.assert_allclose(twice.score[30:], whole.score, rtol=1e-4)


def test_false_alarms_of_fresh_rows_are_near_their_rate(model):
    """80 held-out rows: the rate at 10 % has a deviation of 3.3 %; bounds at 4 deviations."""
    found = model.score(frame(1000, seed=5), detector="knn")
    assert abs((found.p_value <= 0.1).mean() - 0.1) < 0.13
    assert any("false-alarm rate of 1 % can't be kept" in note for note in found.notes)


def test_training_rows_are_counted(model):
    rows = model.items.take(model.splits.train[:3])
    own = frame(400).iloc[model.splits.train[:3]]
    assert len(rows) == 3
    assert any(note.startswith("3 of the rows were trained on") for note in model.score(own).notes)


@pytest.mark.parametrize("detector", ["noised_neighbours", "knn", "diffusion_time"])
def test_own_rows_are_compared_with_the_others(detector):
    """Strangers that the run learnt are found among its own rows, beside copies of nothing."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2)).astype(np.float32)
    x[:8] = rng.uniform(5, 9, (8, 2)) * rng.choice([-1, 1], (8, 2))
    own = unfog.fit(x, steps=5, settings={"net.width": 16}, quiet=True, show=False)
    found = own.score(detector=detector)
    assert len(found) == 400
    assert set(np.argsort(-found.score)[:8]) == set(range(8))
    held = np.sort(np.concatenate([own.splits.validation, own.splits.test]))
    order = found.score[held][:, None] <= found.score[held][None]
    np.testing.assert_allclose(found.p_value[held], order.mean(1))  # each beside itself and others
    assert "the run's own rows" in found.notes[-1]


def test_likelihood_is_for_numbers(model):
    with pytest.raises(ArgumentError, match="take 'denoising_error'"):
        model.score(frame(5), detector="likelihood")
    x = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    numbers = unfog.fit(x, steps=5, settings={"net.width": 16}, quiet=True, show=False)
    fresh = x[:4].copy()
    fresh[2, 1] = 9
    assert numbers.score(fresh, detector="likelihood").strangest[2] == "1"


def test_drift_and_wrong_names_are_named(model):
    with pytest.raises(DataError, match="lacks the column 'twice'"):
        model.score(frame(5).drop(columns="twice"))
    with pytest.raises(DataError, match="has the column 'more'"):
        model.score(frame(5).assign(more=1.0))
    with pytest.raises(DataError, match="'size' holds 'x' in row 1"):
        model.score(frame(5).assign(size="x"))
    with pytest.raises(UnknownName, match="did you mean 'knn'"):
        model.score(frame(5), detector="knnn")


def test_the_command_line_writes_what_python_says(model, tmp_path, capsys):
    source, out = tmp_path / "new.csv", tmp_path / "scores.csv"
    frame(12, seed=4).to_csv(source, index=False)
    assert run(["score", str(model.folder), str(source), "-o", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    written = pd.read_csv(out)
    found = unfog.load(model.folder).score(source)
    assert list(written.columns) == ["row", "score", "p_value", "strangest", "reasons"]
    np.testing.assert_allclose(written["score"], found.score, rtol=1e-6)
    np.testing.assert_allclose(written["p_value"], found.p_value, rtol=1e-6)
    assert told["count"] == 12
    assert told["strangest"][0]["row"] == int(found.score.argmax())
    with pytest.raises(ArgumentError, match="exists already"):
        found.save(out)
    assert run(["score", str(model.folder), str(source), "--detector", "knnn"]) == 2


def test_vectors_with_missing_values_and_other_shapes():
    x = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    model = unfog.fit(x, steps=5, settings={"net.width": 16}, quiet=True, show=False)
    fresh = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    fresh[0, 2], fresh[1, 1] = 9, np.nan
    for detector in DETECTORS:
        found = model.score(fresh, detector=detector)
        assert found.strangest[:2] == ["2", "1"]
        assert found.p_value[0] == 1 / (found.heldout + 1)
    grids = np.random.default_rng(0).normal(size=(40, 3, 5)).astype(np.float32)
    other = unfog.fit(grids, steps=2, settings={"net.width": 8}, quiet=True, show=False)
    with pytest.raises(ArgumentError, match="tables and arrays of vectors"):
        other.score(grids)


def test_data_that_is_gone_is_said(tmp_path):
    model = unfog.fit(
        frame(60), out=tmp_path / "run", steps=2, settings=TINY, quiet=True, show=False
    )
    model.score(frame(3, seed=1))
    with pytest.raises(DataError, match="data in memory"):
        unfog.load(tmp_path / "run").score(frame(3))
