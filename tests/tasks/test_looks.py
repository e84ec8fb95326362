"""Watchers look at even shares of a run, may end it, and may choose its weights."""

import json

import numpy as np
import pytest
import torch

from unfog.errors import Stopped
from unfog.model import files
from unfog.tasks import learn as learning
from unfog.tasks.fit import fit
from unfog.tasks.looks import Looks, Seen, seen


class Witness:
    """Counts its looks, may keep or stop at one of them, and remembers a weight of each."""

    name = "witness"

    def __init__(self, stop=None, keep=None):
        self.stop_at, self.keep_at = stop, keep
        self.count, self.weights = 0, []

    def look(self, sight):
        self.count += 1
        self.weights.append(next(sight.model.parameters()).detach().clone())
        assert not sight.model.training
        stop = "seen enough" if self.count == self.stop_at else None
        return Seen({"share": sight.share}, stop=stop, keep=self.count == self.keep_at)

    def prefer(self):
        return None if self.keep_at is None else f"the weights of look {self.keep_at}"

    def facts(self):
        return {"count": self.count}

    def restore(self, facts):
        self.count = facts["count"]


@pytest.fixture
def data():
    return np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)


def run(data, out, monkeypatch, witness, steps=40, **more):
    monkeypatch.setattr(learning, "watchers_of", lambda prepared: [witness])
    settings = {"net.width": 16, "train.looks": 4, **more.pop("settings", {})}
    return fit(data, out=out, steps=steps, batch=16, settings=settings, quiet=True, **more)


def test_looks_come_at_even_shares_and_are_logged(data, tmp_path, monkeypatch):
    run(data, tmp_path / "run", monkeypatch, Witness())
    lines = seen(tmp_path / "run", "witness")
    assert [line["step"] for line in lines] == [10, 20, 30, 40]
    assert [line["share"] for line in lines] == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(("steps", "count"), [(7, 3), (3, 12), (1000, 7), (5, 0)])
def test_as_many_looks_as_asked_at_most_one_a_step_the_last_at_the_end(tmp_path, steps, count):
    looks, found = Looks(tmp_path, [Witness()], count), []
    for step in range(1, steps + 1):
        if looks.due(step, steps):
            found.append(step)
            looks.passed(step, steps)
    assert len(found) == min(steps, count)
    assert not found or found[-1] == steps


def test_a_watcher_ends_the_run_with_a_whole_run_folder(data, tmp_path, monkeypatch):
    model = run(data, tmp_path / "run", monkeypatch, Witness(stop=2))
    assert model.config.train.steps == 20
    files.check_manifest(tmp_path / "run")
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["step"] == 20


def test_the_weights_that_a_watcher_kept_are_the_runs(data, tmp_path, monkeypatch):
    witness = Witness(keep=2)
    model = run(data, tmp_path / "run", monkeypatch, witness)
    assert torch.equal(next(model.net.parameters()), witness.weights[1])
    assert not torch.equal(witness.weights[1], witness.weights[3])
    assert "the weights of look 2" in model.config.reasons


def test_watching_changes_no_weight(data, tmp_path, monkeypatch):
    watched = run(data, tmp_path / "a", monkeypatch, Witness())
    alone = run(data, tmp_path / "b", monkeypatch, Witness(), settings={"train.looks": 0})
    for one, other in zip(watched.net.parameters(), alone.net.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_stopped_run_goes_on_with_its_looks(data, tmp_path, monkeypatch):
    class Interrupted(Witness):
        def look(self, sight):
            found = super().look(sight)
            if self.count == 2:
                signal.raise_signal(signal.SIGTERM)
            return found

    import signal

    source = tmp_path / "x.npy"
    np.save(source, data)
    with pytest.raises(Stopped):
        run(source, tmp_path / "run", monkeypatch, Interrupted())
    witness = Witness()
    monkeypatch.setattr(learning, "watchers_of", lambda prepared: [witness])
    fit(out=tmp_path / "run", resume=True, quiet=True)
    assert [line["step"] for line in seen(tmp_path / "run", "witness")] == [10, 20, 30, 40]
    assert witness.count == 4


def test_looks_are_spread_anew_when_the_number_of_steps_moves(tmp_path):
    for first, then in ((1000, 700), (1000, 1500), (1000, 450)):
        looks, found, steps = Looks(tmp_path, [Witness()], 8), [], first
        step = 0
        while step < steps:
            step += 1
            steps = then if step == 400 else steps
            if looks.due(step, steps):
                found.append(step)
                looks.passed(step, steps)
        assert len(found) == 8
        assert found[-1] == then
        gaps = np.diff([step for step in found if step > 400])
        assert gaps.size == 0 or gaps.max() - gaps.min() <= 1


def test_a_watcher_that_fails_is_dropped_with_one_note(data, tmp_path, monkeypatch, capsys):
    class Broken(Witness):
        name = "broken"

        def look(self, sight):
            raise ValueError("no such luck")

    monkeypatch.delenv("UNFOG_STRICT")
    witness = Witness()
    monkeypatch.setattr(learning, "watchers_of", lambda prepared: [Broken(), witness])
    settings = {"net.width": 16, "train.looks": 4}
    fit(data, out=tmp_path / "run", steps=40, batch=16, settings=settings)
    assert witness.count == 4
    said = capsys.readouterr().err
    assert said.count("broken does not watch any more (ValueError: no such luck)") == 1
    monkeypatch.setenv("UNFOG_STRICT", "1")
    with pytest.raises(ValueError, match="no such luck"):
        run(data, tmp_path / "strict", monkeypatch, Broken())


def test_kept_weights_that_are_not_the_ones_meant_are_left(data, tmp_path, monkeypatch):
    """The file was written after the checkpoint that a run went on from."""
    looks = Looks(tmp_path, [Witness(keep=1)], 4, strict=False, quiet=True)
    home = tmp_path / "checkpoints" / "kept"
    home.mkdir(parents=True)
    files.write_json(home / "witness.json", {"step": 30})
    looks.kept_at["witness"] = 20
    assert looks.wish() is None
    looks = Looks(tmp_path, [Witness(keep=1)], 4, strict=True)
    looks.kept_at["witness"] = 30
    assert looks.wish() == ("witness", "the weights of look 1")


def test_time_for_looks_is_kept_free():
    from unfog.train.plan import Pace
    from unfog.train.schedule import Horizon

    def planned(**more):
        horizon = Horizon(1000)
        pace = Pace(horizon, 100.0, 0.0, 0, **more)
        assert pace.check(200, 50.0)  # 4 updates a second, or more where looks took some of it
        return horizon.steps

    assert planned() == 400
    assert planned(ahead=10.0) == 360
    assert planned(aside=10.0) == 450
    assert planned(aside=10.0, ahead=10.0) == 400


def test_looks_that_become_dear_are_left_out_but_for_the_last(data, tmp_path):
    import time

    from unfog.tasks.looks import Sight

    class Slow(Witness):
        def look(self, sight):
            self.count += 1
            time.sleep(0.03)

    for budget, count in ((None, 10), (1.0, 4), (100.0, 10)):
        witness = Slow()
        looks = Looks(tmp_path, [witness], 10, budget=budget)
        for k in range(1, 11):
            looks.look(Sight(k, k / 10, 1.0, None, None, tmp_path))
        assert witness.count == count if budget != 1.0 else 2 <= witness.count <= count
        assert looks.done == looks.taken == 10
