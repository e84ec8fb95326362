"""Tuning a run, picking within a budget, answers at any time, fitted schedules."""

import json
import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch

import unfog
from unfog.cli import run as cli
from unfog.errors import ArgumentError, RunError
from unfog.maths.randomness import BatchRng
from unfog.sample.tuning import distances
from unfog.tasks import anytime as rounds
from unfog.tasks import tuning
from unfog.tasks.fit import fit
from unfog.tasks.pick import duration, sizes_for
from unfog.tasks.schedule import states_of


def learnt(data, out, **choices):
    settings = {"train.looks": 0, "net.width": 32, **choices.pop("settings", {})}
    steps = choices.pop("steps", 250)
    return fit(data, out=out, steps=steps, batch=32, settings=settings, quiet=True, **choices)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 3)) * 2
    return (centres[rng.integers(4, size=600)] + 0.3 * rng.normal(size=(600, 3))).astype("f4")


@pytest.fixture(scope="module")
def plain(data, tmp_path_factory):
    return learnt(data, tmp_path_factory.mktemp("runs") / "plain")


@pytest.fixture(scope="module")
def run(plain, tmp_path_factory):
    model = unfog.load(plain.save(tmp_path_factory.mktemp("runs") / "tuned"))
    model.tune([4, 6], trajectories=128, budget=600.0, show=False)  # it ends by itself
    return model


def state(model, seed=5, count=48, **how):
    return model.sample(count, seed=seed, show=False, **how).state


def off(model, **how):
    """Mean distance from where the flow itself ends, over the spread."""
    exact = state(model, steps=100, solver="threestep", grid="angle")
    spread = exact.std(0).square().mean().sqrt()
    return float(distances(state(model, **how), exact).mean() / spread)


def test_tuned_is_kept_where_it_is_better_and_used_by_default(run):
    known = run.tunings[0]
    assert set(known.solvers) == {4, 6}
    assert known.measure == "share"
    for steps in (4, 6):
        mine = known.tuned_at(steps)
        assert mine.error < min(e.error for e in known.entries if not e.tuned and e.calls <= steps)
        assert off(run, steps=steps) < off(run, steps=steps, solver="unipc", grid="linear")
    drawn = run.sample(4, steps=4, show=False)
    assert drawn.pick.solver == "tuned"
    assert drawn.pick.calls == 4
    own = run.sample(4, steps=4, solver=run.config.solver["name"], show=False)
    assert own.pick is None
    assert run.sample(4, steps=5, show=False).pick is None
    assert run.sample(4, steps=4, eta=0.5, show=False).pick is None


def test_a_loaded_run_samples_the_same_and_an_altered_file_is_refused(run, tmp_path):
    again = unfog.load(run.save(tmp_path / "copy"))
    assert torch.equal(state(again, steps=6), state(run, steps=6))
    path = again.folder / tuning.FILE
    content = json.loads(path.read_text())
    content["tunings"][0]["solvers"]["4"][0]["weights"][0] += 1
    path.write_text(json.dumps(content))
    with pytest.raises(RunError, match=r"tuned\.json"):
        unfog.load(again.folder)


def test_tuning_goes_with_the_weights_that_it_was_made_for(run, data, tmp_path):
    model = unfog.load(run.save(tmp_path / "copy"))
    manifest = json.loads((model.folder / "manifest.json").read_text())
    assert tuning.FILE in manifest["files"]
    del manifest["files"][tuning.FILE]  # as whatever rewrites a run leaves it
    (model.folder / "manifest.json").write_text(json.dumps(manifest))
    assert unfog.load(model.folder).tunings == []
    content = json.loads((model.folder / tuning.FILE).read_text())
    content["weights"] = "0" * 64
    (model.folder / tuning.FILE).write_text(json.dumps(content))
    from unfog.model import files
    from unfog.tasks.runfolder import READ

    files.write_manifest(model.folder, [*READ, tuning.FILE])
    assert unfog.load(model.folder).tunings == []


def test_calls_are_counted_and_the_error_is_as_expected(run, monkeypatch):
    asked = []
    predict = run.net.answer
    monkeypatch.setattr(run.net, "answer", lambda *a, **k: asked.append(1) or predict(*a, **k))
    expected, true = [], []
    for nfe in (1, 2, 3, 4, 6, 9, 16, 40):
        asked.clear()
        pick = run.sample(48, seed=5, nfe=nfe, show=False).pick
        assert len(asked) == pick.calls <= nfe
        expected.append(math.log(pick.error))
        true.append(math.log(off(run, nfe=nfe)))
        assert pick.beyond == (nfe > 32)
    assert np.corrcoef(expected, true)[0, 1] > 0.95
    assert sorted(expected, reverse=True) == expected


def test_a_tolerance_takes_the_fewest_calls(run):
    known = run.tunings[0]
    tol = 1.01 * known.tuned_at(6).error
    pick = run.sample(8, tol=tol, show=False).pick
    assert pick.error <= tol
    assert not any(e.error <= tol for e in known.entries if e.calls < pick.calls)
    least = min(e.error for e in known.entries)
    assert run.sample(8, tol=least / 4, show=False).pick is None  # steps of their own length
    with pytest.raises(ArgumentError, match="tol lies in"):
        run.sample(8, tol=2.0)


def test_a_budget_is_met_and_more_time_is_never_worse(run):
    import time

    errors = []
    for budget in ("60ms", "400ms"):
        run.sample(32, budget=budget, show=False)  # measures first
        begun = time.perf_counter()
        pick = run.sample(32, budget=budget, show=False).pick
        assert time.perf_counter() - begun < 3 * duration(budget)  # of a busy machine
        assert pick.seconds <= duration(budget)
        errors.append(pick.error)
    assert errors[1] <= errors[0]
    with pytest.raises(ArgumentError, match="too short for 32 samples"):
        run.sample(32, budget="0.01ms")


def test_without_a_table_a_quick_one_is_measured_once(plain, monkeypatch):
    pick = plain.sample(8, nfe=8, show=False).pick
    assert 0 < pick.error < 1
    assert plain.tunings == []
    monkeypatch.setattr("unfog.tasks.tune._table", None)  # not again
    assert plain.sample(8, nfe=8, show=False).pick == pick
    assert not (plain.folder / tuning.FILE).exists()


def test_wrong_requests_are_told_what_is_allowed(run):
    for choices, words in (
        ({"nfe": 4, "steps": 4}, "exclude each other"),
        ({"nfe": 4, "solver": "heun"}, "picks solver"),
        ({"nfe": 0}, "1 or more"),
        ({"budget": "soon"}, "50ms"),
        ({"solver": "tuned", "steps": 9}, r"\[4, 6\]"),
        ({"solver": "tuned", "steps": 4, "eta": 0.3}, "leave out solver"),
    ):
        with pytest.raises(ArgumentError, match=words):
            run.sample(4, show=False, **choices)
    with pytest.raises(ArgumentError, match="from 1 to"):
        run.tune([0])
    with pytest.raises(ArgumentError, match="needs conditions"):
        run.tune([4], scale=2.0)


def test_durations_and_batches():
    assert duration("50ms") == 0.05
    assert duration("2s") == duration(2) == 2.0
    assert sizes_for(1) == [1]
    assert sizes_for(64) == [4, 16, 64]
    assert sizes_for(5000)[-1] == 512


def test_anytime_improves_from_the_same_noise_until_it_settles(run):
    exact = state(run, steps=100, solver="threestep", grid="angle", seed=3)
    answers = list(run.anytime(48, seed=3, show=False))
    calls = [answer.pick.calls for answer in answers]
    # the median: a sample on the border between two modes may go either way
    away = [float(distances(answer.state, exact).median()) for answer in answers]
    assert calls[0] == 2
    assert all(b <= 2 * a or b <= 2 ** (i + 2) for i, (a, b) in enumerate(pairwise(calls)))
    assert all(b < 1.25 * a for a, b in pairwise(away) if a > 0.01), away  # 48 samples
    assert away[-1] < 0.02 * away[0]
    assert len(answers) < 10  # settled, not worn out
    with pytest.raises(ArgumentError, match="leave out steps"):
        next(run.anytime(4, steps=3))


def test_the_verbs(run, tmp_path, capsys, monkeypatch):
    folder = run.save(tmp_path / "run")
    assert cli(["tune", str(folder), "--calls", "4", "--budget", "1s", "--trajectories", "16"]) == 0
    assert "calls" in capsys.readouterr().out
    out = tmp_path / "out.npy"
    assert cli(["sample", str(folder), "-n", "8", "-o", str(out), "--nfe", "4", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["calls"] <= 4
    assert said["expected_error"] > 0
    assert cli(["sample", str(folder), "-o", str(out), "--nfe", "4", "--budget", "1s"]) == 2
    assert cli(["sample", str(folder), "-o", str(tmp_path / "a.npy"), "--anytime", "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["ended"] == "settled"
    assert cli(["tune", str(folder), "--calls", "some"]) == 2

    whole = rounds.anytime

    def stopped(*given, **choices):
        for number, answer in enumerate(whole(*given, **choices)):
            if number == 2:
                raise KeyboardInterrupt
            yield answer

    monkeypatch.setattr("unfog.tasks.anytime.anytime", stopped)
    kept = tmp_path / "b.npy"
    assert cli(["sample", str(folder), "-n", "8", "-o", str(kept), "--anytime", "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["ended"], said["calls"]) == ("stopped", 4)
    assert np.load(kept).shape == (8, 3)


def test_shards_are_those_of_the_whole_tuned_draw(run, tmp_path, capsys):
    whole = run.sample(40, steps=4, seed=2, batch=10, show=False).raw
    parts = []
    for part in range(2):
        asked = ["-n", "40", "--steps", "4", "--seed", "2", "--batch", "10"]
        shard = ["sample", str(run.folder), "-o", str(tmp_path / "s"), "--shard", f"{part}/2"]
        assert cli([*shard, *asked]) == 0
        folder = next((tmp_path / "s").glob(f"shard-{part:05d}*"))
        parts.append(np.load(next(folder.glob("*.npy"))))
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)


def test_a_table_with_categories_is_measured_as_clouds(tmp_path):
    rng = np.random.default_rng(0)
    group = rng.integers(3, size=400)
    frame = pd.DataFrame(
        {"x": group + 0.2 * rng.normal(size=400), "g": np.array(list("abc"))[group]}
    )
    model = learnt(frame, tmp_path / "run", steps=60, settings={"train.known": 0})
    pick = model.sample(16, nfe=4, show=False).pick
    assert pick.measure == "sliced"
    assert pick.error > model.quick[0].floor > 0
    assert model.quick[0].solvers == {}
    assert model.fit_schedule(steps=6, write=False).measure == "prediction"
    with pytest.raises(ArgumentError, match="categories are drawn by chance"):
        model.fit_schedule("landing", write=False)


def test_guidance_counts_twice_and_is_tuned_for_by_itself(data, tmp_path):
    labels = (data[:, 0] > 0).astype(int)
    frame = pd.DataFrame({**{f"c{i}": data[:, i] for i in range(3)}, "side": labels.astype(str)})
    model = learnt(frame, tmp_path / "run", given=["side"], steps=60, settings={"train.known": 0})
    asked = {"side": "1"}
    pick = model.sample(8, given=asked, scale=2.0, nfe=8, show=False).pick
    assert pick.calls <= 8
    assert pick.steps <= 4
    assert not pick.exact
    with pytest.raises(ArgumentError, match="no budget can be kept"):
        model.sample(8, given={"c0": ">=0"}, budget="1s")
    with pytest.raises(ArgumentError, match="twice a step"):
        model.sample(8, given=asked, scale=2.0, nfe=1)
    sides = ["0", "1"] * 12
    model.tune([4], given={"side": sides}, scale=2.0, trajectories=16, budget=1.0, show=False)
    assert model.tunings[0].guided == 2.0
    pick = model.sample(8, given=asked, scale=2.0, nfe=8, show=False).pick
    assert pick.exact
    assert model.sample(8, steps=4, show=False).pick is None


def test_fitted_times_become_the_runs_own_and_leave_the_tuning(run, tmp_path, capsys):
    model = unfog.load(run.save(tmp_path / "copy"))
    before = state(model, steps=6)
    found = model.fit_schedule("prediction", steps=12)
    assert found.worst["fitted"] <= 1.5
    assert found.worst["fitted"] < min(v for n, v in found.worst.items() if n != "fitted")
    again = unfog.load(model.folder)
    assert again.config.grid["name"] == "fitted"
    assert again.config.grid["knots"] == list(found.knots)
    assert torch.equal(state(again, steps=6), before)  # the tuned solver has its own times
    assert off(again, steps=12) < off(run, steps=12, solver=run.config.solver)
    assert cli(["schedule", str(model.folder), "--dry-run", "--steps", "5", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["knots"]) == 6
    assert unfog.load(model.folder).config.grid["knots"] == list(found.knots)
    assert cli(["schedule", str(model.folder), "--measure", "loss"]) == 3  # its data was in memory
    with pytest.raises(ArgumentError, match="landing, prediction, posterior, loss"):
        model.fit_schedule("score")


def test_times_fitted_by_landing_land_nearer_on_other_noise(run, tmp_path, capsys):
    model = unfog.load(run.save(tmp_path / "copy"))
    found = model.fit_schedule(steps=8, budget=20)
    assert found.measure == "landing"
    assert len(found.knots) == 9
    assert found.landed["fitted"] <= min(found.landed.values())
    assert found.landed["fitted"] < 0.9 * found.landed["the run's own"]
    solver = run.config.solver
    fitted = off(model, steps=8, solver=solver, grid={"name": "fitted", "knots": found.knots})
    assert fitted < 0.9 * off(model, steps=8, solver=solver, grid=run.config.grid)
    assert model.config.reasons[-1].startswith("8 times fitted by landing: samples end ")
    command = ["schedule", str(model.folder), "--dry-run", "--steps", "4", "--budget", "1s"]
    assert cli([*command, "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["landed"]) >= {"fitted", "linear"}


def test_times_are_fitted_to_data_too(plain):
    found = plain.fit_schedule("posterior", steps=8, write=False)
    assert found.worst["fitted"] <= 1.5 < found.worst["angle"]
    assert plain.config.grid["name"] != "fitted"


def test_times_fitted_by_loss_lie_at_even_shares_of_it(plain):
    knots = plain.fit_schedule("loss", steps=8, write=False).knots
    x, path = states_of(plain)[:256], plain.net.path
    errors = []
    for t in knots[:-1]:
        at = torch.tensor(t, dtype=torch.float64)
        x_t = path.corrupt(x, at, rng=BatchRng(5)).x_t
        errors.append(float((plain.net.predict(x_t, at) - x).square().mean().sqrt()))
    shares = -np.diff([*errors, 0.0]) / errors[0]
    np.testing.assert_allclose(shares, 1 / 8, atol=0.06)


def test_fit_measures_the_data_where_times_and_grid_are_fitted(data, tmp_path):
    settings = {"times": "fitted", "grid": "fitted"}
    model = learnt(data, tmp_path / "run", settings=settings)
    again = unfog.load(model.folder)
    knots = again.config.grid["knots"]
    assert again.config.times["knots"] == knots
    assert len(knots) == min(again.config.sampling_steps, 24) + 1
    assert any("fitted to the posterior" in said for said in again.config.reasons)
    assert np.isfinite(again.sample(8, show=False).raw).all()
