"""A run that begins to copy is ended with the weights from before; one that does not, is not."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import unfog
from unfog.errors import DataError
from unfog.judge.clock import Reading
from unfog.judge.copies import control
from unfog.judge.finders import Vectors
from unfog.model import files
from unfog.tasks.clock import EPOCHS, Clock, moments
from unfog.tasks.fit import fit
from unfog.tasks.looks import seen

STEPS = 400


def points(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)


def learnt(data, out, steps=STEPS, **more):
    settings = {"net.width": 96, "train.looks": 2, **more}
    return fit(data, out=out, steps=steps, batch=32, settings=settings, quiet=True)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    torch.set_num_threads(1)
    return learnt(points(40), tmp_path_factory.mktemp("clock") / "run", 3 * STEPS)


def test_few_points_stop_before_they_are_copied(stopped):
    lines = seen(stopped.folder, "clock")
    last, before = lines[-1], [line for line in lines if line["quiet"]]
    assert last["copying"]
    assert last["step"] == stopped.config.train.steps < 3 * STEPS
    assert [line["copying"] for line in lines[:-1]] == [[]] * (len(lines) - 1)
    kept = files.read_tensors(stopped.folder / "checkpoints" / "kept" / "clock.safetensors")
    for name, value in stopped.net.state_dict().items():
        assert torch.equal(value, kept[name])
    why = stopped.config.reasons[-1]
    assert why.startswith(f"stopped at step {last['step']}: copying began (")
    assert f"weights from step {before[-1]['step']} are kept" in why


def test_the_weights_kept_copy_no_more_than_the_control(stopped):
    train = torch.from_numpy(stopped.items.take(stopped.splits.train).data)
    finder = Vectors(train)
    limit, _ = control(finder, None).threshold(5)
    drawn = finder.near(torch.from_numpy(stopped.sample(1000, seed=9, show=False).data))
    fresh = finder.near(torch.from_numpy(points(4000, 5)))
    rate, usual = ((near.value <= limit).float().mean() for near in (drawn, fresh))
    assert rate - usual < 0.05 + 0.02  # twice the deviation of 1000 samples


def test_never_goes_on_and_copies(tmp_path):
    model = learnt(points(40), tmp_path / "run", **{"train.stop_at": "never"})
    lines = seen(model.folder, "clock")
    assert lines[-1]["step"] == STEPS
    assert lines[-1]["copying"]
    assert lines[-1]["readings"]["copies"]["rate"] > 0.2
    assert "copying began" not in " ".join(model.config.reasons)
    told = model.sample(40, seed=3, show=False).novelty
    assert told.copied.mean() > 0.1
    assert set(told.nearest) <= set(model.splits.train)


def test_enough_points_never_stop(tmp_path):
    model = learnt(points(1000), tmp_path / "run")
    assert model.config.train.steps == STEPS
    lines = seen(model.folder, "clock")
    assert len(lines) >= 2
    assert not any(line["copying"] for line in lines)


def test_moments_come_after_eight_passes_at_geometric_distances(stopped):
    config = stopped.config.model_copy(
        update={"train": stopped.config.train.model_copy(update={"steps": 10_000, "batch": 32})}
    )
    when = moments(config, 2000)
    assert when.steps[0] == EPOCHS * 2000 / 32
    assert moments(config, 24).steps[0] == 8  # however long the run: a few items are copied soon
    ratios = {round(b / a, 1) for a, b in zip(when.steps, when.steps[1:])}
    assert len(ratios) == 1
    short = config.train.model_copy(update={"steps": 20})
    assert moments(config.model_copy(update={"train": short}), 2000).pilot == 0
    # so much data that eight passes do not fit: a quarter of the run, and at least once more
    many = config.train.model_copy(update={"steps": 150, "batch": 128})
    when = moments(config.model_copy(update={"train": many}), 50_000, 6000)
    assert when.steps[0] == 38
    assert any(38 < step <= 300 for step in when.steps)
    assert when.more == 0


def test_few_items_are_looked_at_more_often_with_more_samples_in_reserve(stopped):
    long = stopped.config.train.model_copy(update={"steps": 3 * STEPS})
    config = stopped.config.model_copy(update={"train": long})
    when = moments(config, 24, 3)
    ratios = [b / a for a, b in zip(when.steps, when.steps[1:]) if a > 40]
    assert ratios == pytest.approx([2 ** (1 / 6)] * len(ratios), abs=0.02)
    assert when.pilot < when.more <= when.purse <= 8 * when.more
    assert moments(config, 2000, 250).more == 0
    never = config.train.model_copy(update={"stop_at": "never"})
    assert moments(config.model_copy(update={"train": never}), 24, 3).more == 0  # nothing to gain


def test_looks_pass_while_samples_are_far_from_anything(stopped):
    clock = Clock(SimpleNamespace(config=stopped.config), moments(stopped.config, 24, 3))
    clock.restore({"kept": 8, "why": None, "purse": 100, "wait": 60.8, "again": 45.0})
    assert clock.look(SimpleNamespace(step=57, share=0.1)) is None
    before = {"kept": 8, "why": None, "purse": 100, "wait": 60.8, "again": 45.0}
    assert clock.facts() == {**before, "certain": False}


def test_judge_features_of_few_items_are_told_and_do_not_decide(stopped, monkeypatch):
    none = Reading("copies", 0.0, 0.0, 0.05, 0.04, 0.0, 0.12, 1.0, 1.0, 64, "", 0.0, True)
    many = replace(none, rate=0.5, p=0.0, p_run=0.0, half=1.0)
    sight = SimpleNamespace(step=200, share=0.5)
    for cautious, name, stops in (
        (True, "copies_features", False),
        (False, "copies_features", True),
        (True, "copies", True),
    ):
        found = {"copies": none, name: replace(many, cautious=cautious)}
        clock = Clock(SimpleNamespace(config=stopped.config), moments(stopped.config, 24, 3))
        monkeypatch.setattr(clock, "_readings", lambda _, found=found: found)
        monkeypatch.setattr(clock, "_fresh", lambda _, found=found: found)
        seen_now = clock.look(sight)
        assert set(seen_now.facts["readings"]) == set(found)
        assert (seen_now.stop is not None) is stops
        assert seen_now.keep is not stops


def test_an_alarm_counts_where_fresh_samples_show_it_again(stopped, monkeypatch):
    none = Reading("copies", 0.05, 0.03, 0.07, 0.05, 0.03, 0.07, 0.5, 1.0, 400, "", 0.5)
    many = replace(none, rate=0.5, p=0.0, p_run=0.0)
    sight = SimpleNamespace(step=200, share=0.5)
    clock = Clock(SimpleNamespace(config=stopped.config), moments(stopped.config, 2000, 500))
    drawn = []

    def show(first, fresh):
        monkeypatch.setattr(clock, "_readings", lambda _: {"copies": first})
        monkeypatch.setattr(clock, "_fresh", lambda _: drawn.append(1) or {"copies": fresh})
        return clock.look(sight)

    doubted = show(many, none)
    assert doubted.stop is None
    assert doubted.keep
    assert doubted.facts["copying"] == []
    assert doubted.facts["doubted"]["copies"]["rate"] == 0.5
    assert show(none, many).facts["copying"] == []  # nothing to ask again
    assert len(drawn) == 1
    sure = show(many, many)
    assert sure.stop.startswith("stopped at step 200: copying began")
    assert sure.facts["copying"] == ["copies"]
    assert show(many, none).facts["copying"] == ["copies"]  # it has been asked
    assert len(drawn) == 2


def test_fresh_samples_are_of_other_noise_and_as_many_as_can_be(stopped, monkeypatch):
    clock = Clock(SimpleNamespace(config=stopped.config), moments(stopped.config, 2000, 500))
    asked = []
    monkeypatch.setattr(clock, "_draw", lambda sight, count, salt: asked.append((count, salt)))
    clock._known = SimpleNamespace(readings=lambda drawn, looks: {})
    assert clock._fresh(None) == {}
    table = stopped.config.model_copy(update={"kind": "table"})
    assert moments(table, 4000, 500).fresh == 2000
    assert asked == [(400, 73)]


def test_novelty_names_the_file_of_a_planted_copy(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(60):
        Image.fromarray(rng.integers(0, 256, (16, 16), dtype=np.uint8)).save(
            tmp_path / f"photo{number:02}.png"
        )
    model = fit(tmp_path, out=tmp_path / "run", steps=5, settings={"net.width": 16}, quiet=True)
    drawn = model.sample(8, show=False)
    place = int(model.splits.train[7])
    drawn.raw[3] = np.roll(model.items.data[place], 1, axis=0)
    told = drawn.novelty
    assert told is drawn.novelty
    assert told.names[3] == model.items.names[place]
    assert told.copied[3]
    assert told.copied.sum() == 1
    assert f"nearest {told.names[3]}" in str(told)
    page = told.save(tmp_path / "novelty.csv")
    assert page.read_text().splitlines()[4].split(",")[2] == told.names[3]


def test_novelty_says_when_the_data_is_gone(stopped):
    model = unfog.load(stopped.folder)
    with pytest.raises(DataError, match="fitted on data in memory"):
        _ = model.sample(2, show=False).novelty
