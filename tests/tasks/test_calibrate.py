"""Calibrated marginals of a run: measured at its end, used in plain draws, bound to its weights."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import kstest

import unfog
from unfog.errors import ArgumentError, RunError
from unfog.maths.grids import grids
from unfog.model import files
from unfog.sample.correlations import correlations
from unfog.tasks import runfolder
from unfog.tasks.calibrate import FEWEST, FILE, frequencies, rows_of, step_counts
from unfog.tasks.fit import again
from unfog.tasks.report.commands import settings

STEPS = 350


def frame():
    rng = np.random.default_rng(0)
    size = rng.gamma(2.0, size=3000)
    grade = np.where(size + rng.normal(size=3000) > 2, "large", "small")
    colour = rng.choice(["red", "green", "blue"], 3000, p=[0.7, 0.2, 0.1])
    return pd.DataFrame({"size": size, "price": size * 2 + rng.normal(size=3000), "grade": grade,
                         "colour": colour})  # fmt: skip


@pytest.fixture(scope="module")
def rows():
    return frame()


def learnt(rows, out, steps=STEPS, **settings):
    settings = {"net.width": 32, "train.looks": 0, **settings}
    return unfog.fit(rows, out=out, steps=steps, batch=512, lr=1e-4, settings=settings, quiet=True)


@pytest.fixture(scope="module")
def run(rows, tmp_path_factory):
    return learnt(rows, tmp_path_factory.mktemp("runs") / "run")


def apart(model, seed=3):
    """How far drawn states are from the training ones: numbers of N(0, 1), levels of their rate."""
    steps = None if model.marginals else model.config.plain_steps
    state = model.sample(6000, seed=seed, steps=steps, show=False).state
    numbers = [kstest(column.numpy(), "norm").statistic for column in state["num"].t()]
    levels = [
        float((torch.bincount(column, minlength=len(goal)) / len(column) - goal).abs().sum() / 2)
        for column, goal in zip(state["cat"].t(), rates(model))
    ]
    return float(np.mean(numbers)), float(np.mean(levels))


def rates(model):
    states, _ = again(model.folder, frame()).states
    return frequencies(model.config, states)["cat"]


def test_columns_of_a_short_run_are_as_in_the_data(run):
    after = np.mean([apart(run, seed) for seed in range(3)], axis=0)
    kept, run.marginals = run.marginals, None
    try:
        before = np.mean([apart(run, seed) for seed in range(3)], axis=0)
    finally:
        run.marginals = kept
    assert max(after) < 0.02
    assert before[0] > 1.3 * after[0]
    assert before[1] > 1.4 * after[1]


def test_it_is_stored_listed_and_read_back(run):
    assert run.config.train.calibrate >= FEWEST
    assert FILE in files.listed(run.folder)
    first, again = (one.sample(40, show=False).state for one in (run, unfog.load(run.folder)))
    assert all(torch.equal(first[name], again[name]) for name in first)


def same(run, **choices):
    """Whether draws are those of a run that was not calibrated."""
    kept, run.marginals = run.marginals, None
    try:
        plain = run.sample(30, seed=4, show=False, **choices).state
    finally:
        run.marginals = kept
    found = run.sample(30, seed=4, show=False, **choices).state
    return all(torch.equal(plain[name], found[name]) for name in plain)


@pytest.fixture(scope="module")
def quick(rows, tmp_path_factory):
    """A flow map of a short run, which has seen much too little."""
    folder = tmp_path_factory.mktemp("maps")
    rows.to_csv(folder / "rows.csv", index=False)
    learnt(folder / "rows.csv", folder / "run", 60)
    return unfog.distill(folder / "run", out=folder / "quick", steps=120, quiet=True, show=False)


def test_a_flow_map_is_right_in_one_two_and_four_jumps(quick):
    """Every number's law, its correlations, and each level's frequency."""
    states, _ = again(quick.folder, frame()).states
    goal = correlations(states["num"])[0, 1]
    loaded = unfog.load(quick.folder)
    assert sorted(loaded.marginals) == step_counts(quick.config) == [1, 2, 4]
    assert loaded.config.train.calibrate >= FEWEST
    for steps in (1, 2, 4):
        state = loaded.sample(6000, seed=3, steps=steps, show=False).state
        assert max(kstest(column.numpy(), "norm").statistic for column in state["num"].t()) < 0.025
        assert float(correlations(state["num"])[0, 1] - goal) == pytest.approx(0, abs=0.03)
        for column, rate in zip(state["cat"].t(), rates(quick)):
            found = torch.bincount(column, minlength=len(rate)) / len(column)
            assert float((found - rate).abs().max()) < 0.03
        assert not same(quick, steps=steps)
    for asked in ({"steps": 3}, {"steps": 8}, {"steps": 2, "solver": "heun"}):
        assert same(quick, **asked), asked
    assert not same(quick)


def test_an_ordinary_run_is_measured_as_it_draws_and_no_more(run):
    config = run.config
    assert list(run.marginals) == step_counts(config) == [config.plain.steps] == [12]
    assert config.sampling_steps == 20
    assert not any(one.mixes for one in run.marginals.values())
    names = files.read_tensors(run.folder / FILE)
    assert not any("steps" in name or "mixes" in name for name in names)


def test_only_plain_draws_are_corrected(run):
    assert not same(run)
    assert not same(run, steps=run.config.plain_steps, batch=7)
    for asked in ({"steps": 9}, {"steps": run.config.sampling_steps}, {"solver": "euler"},
                  {"eta": 0.5}, {"reveal": "confidence"}, {"given": {"grade": "large"}},
                  {"grid": "karras"}):  # fmt: skip
        assert same(run, **asked), asked


def test_other_weights_are_not_corrected_by_it(run, tmp_path):
    other = run.save(tmp_path / "other")
    weights = files.read_tensors(other / "model.safetensors")
    name = next(n for n, v in weights.items() if v.is_floating_point())
    weights[name] = weights[name] + 1e-3
    files.write_tensors(other / "model.safetensors", weights)
    runfolder.sign(other)
    assert unfog.load(other).marginals is None


def test_other_times_are_measured_again_or_not_corrected(rows, run, tmp_path):
    rows.to_csv(tmp_path / "rows.csv", index=False)
    model = learnt(tmp_path / "rows.csv", tmp_path / "run")
    before = set(model.marginals[model.config.plain_steps].scores)
    assert model.fit_schedule("prediction").measure == model.fit_schedule().measure
    assert model.config.plain.grid == model.config.grid
    times = set(model.marginals[model.config.plain_steps].scores)
    config = model.config
    cut = grids.build(config.plain.grid)(model.net.path, config.plain.steps)
    assert times == {round(t, 6) for t in cut[1:].tolist()} != before
    assert len(times) == 12
    loaded = unfog.load(model.folder)
    assert set(loaded.marginals[loaded.config.plain_steps].scores) == times
    assert max(apart(loaded)) < 0.02
    gone = unfog.load(run.save(tmp_path / "copy"))  # its data was in memory
    gone.fit_schedule("prediction")
    assert gone.marginals is None
    assert "no longer calibrated" in gone.config.reasons[-1]
    assert unfog.load(gone.folder).marginals is None


def test_an_altered_file_is_refused(run, tmp_path):
    other = run.save(tmp_path / "other")
    path = other / FILE
    path.write_bytes(path.read_bytes()[:-4] + bytes(4))
    with pytest.raises(RunError, match="marginals"):
        unfog.load(other)


def test_it_can_be_left_out_and_short_runs_have_none(rows, tmp_path):
    for name, steps, chosen in (("off", STEPS, {"train.calibrate": 0}), ("short", 20, {})):
        model = learnt(rows, tmp_path / name, steps, **chosen)
        assert model.marginals is None
        assert not (tmp_path / name / FILE).exists()
        content = json.loads((tmp_path / name / "config.json").read_text())
        assert content["train"]["calibrate"] == 0


def test_other_kinds_refuse_it():
    points = np.random.default_rng(0).normal(size=(60, 2))
    with pytest.raises(ArgumentError, match="tables"):
        unfog.fit(points, steps=5, settings={"train.calibrate": 3000}, quiet=True)


def test_rows_are_as_many_as_the_time_allows(run):
    config = run.config
    most = config.model_copy(update={"train": config.train.model_copy(update={"calibrate": 9000})})
    assert rows_of(most, 1e9) == 9000
    assert rows_of(most, 1e3) == 0
    some = rows_of(most, 1e6)
    assert FEWEST <= some < 9000
    looking = most.model_copy(update={"reveal": {"name": "confidence"}})
    assert rows_of(looking, 1e9) == 0


def test_frequencies_are_those_of_the_training_states(run):
    codes = torch.tensor([[0, 1], [0, 2], [1, 2], [0, 2]])
    sizes = run.config.fields["cat"]["sizes"]
    found = frequencies(run.config, {"num": torch.zeros(4, 2), "cat": codes})["cat"]
    assert [len(shares) for shares in found] == sizes
    assert found[0].tolist()[:2] == [0.75, 0.25]
    assert found[1].tolist() == [0.0, 0.25, 0.75]


def test_a_draw_takes_the_steps_that_were_measured_where_none_are_asked_for(rows, run, tmp_path):
    def drawn(model, **asked):
        return model.sample(64, seed=5, show=False, **asked).state

    def alike(one, two):
        return all(torch.equal(one[name], two[name]) for name in one)

    config = run.config
    assert alike(drawn(run), drawn(run, steps=config.plain.steps))
    asked = {"given": {"grade": "large"}}  # corrections are for plain draws, and so are few steps
    assert alike(drawn(run, **asked), drawn(run, **asked, steps=config.sampling_steps))
    assert "12 steps (20 where anything is asked)" in (run.folder / "README.md").read_text()
    chosen = learnt(rows, tmp_path / "chosen", sampling_steps=12)
    assert chosen.config.plain is None
    assert settings(chosen.config)["plain"] is None  # said, as a table's default is not that
    assert settings(config)["plain"] == {"steps": 12, "grid": {"name": "linear"}}
    assert list(chosen.marginals) == [12]
    plain = learnt(rows, tmp_path / "plain", **{"train.calibrate": 0})
    assert plain.marginals is None
    assert alike(drawn(plain), drawn(plain, steps=20))
