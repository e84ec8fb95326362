"""How much looking a run can bear follows from its configuration, and stays a small share of it."""

import numpy as np
import pytest

from unfog.tasks.fit import fit
from unfog.tasks.looking import LEVELS, LOSSES, PICTURE, SAMPLES, SHARE, looking
from unfog.tasks.prepare import prepare


@pytest.fixture(scope="module")
def config():
    data = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    asked = {"kind": "array", "given": [], "recipe": "flow", "batch": 64, "lr": None}
    more = {"settings": {}, "reading": {}, "seed": 0, "device": "cpu"}
    return prepare(data, **asked, **more).config


def of(config, steps, budget=None, looks=12):
    train = {"steps": steps, "budget": budget, "looks": looks}
    return config.model_copy(update={"train": config.train.model_copy(update=train)})


@pytest.mark.parametrize("steps", [1, 10, 50, 200, 800, 3000, 20_000, 1_000_000])
@pytest.mark.parametrize("budget", [None, 20.0, 300.0, 7200.0, 1e6])
@pytest.mark.parametrize("held", [5, 40, 6000])
def test_all_looks_together_take_a_twentieth_of_the_work_at_most(config, steps, budget, held):
    how = looking(of(config, steps, budget), held, asked=False)
    losses = how.count * how.items * 2 * LEVELS
    samples = how.quality * how.samples * 10
    work = 3 * steps * 64
    assert losses <= LOSSES * work
    assert samples <= SAMPLES * work
    assert (
        budget is None or losses / work + samples / work + how.quality * PICTURE / budget <= SHARE
    )
    assert how.share == pytest.approx((losses + samples) / work)
    assert how.items <= min(held, 256)
    again = looking(of(config, steps, budget, how.count), held)
    assert again == how  # what is planned is what the run does, and does again when resumed


def test_tiny_runs_are_not_watched_and_longer_ones_more(config):
    assert looking(of(config, 40), 100, asked=False).count == 0
    counts = [looking(of(config, n), 100, asked=False).count for n in (50, 200, 800, 3000, 9000)]
    assert counts == sorted(counts)
    assert counts[-1] == 12
    assert looking(of(config, 900), 100, asked=False).every == 0  # no pictures
    long = looking(of(config, 3000, 200.0), 100, asked=False)
    assert 0 < long.quality < long.count == 12
    assert looking(of(config, 10**6, 4 * 3600.0), 100, asked=False).count == 48


def test_a_number_of_looks_that_was_asked_for_is_kept(config):
    assert looking(of(config, 40, looks=4), 100).count == 4
    assert looking(of(config, 40, looks=0), 100).count == 0


def test_the_plan_says_what_the_looks_take(tmp_path):
    data = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    facts = fit(data, steps=4000, batch=64, dry_run=True, quiet=True)
    row = next(row for row in facts["rows"] if row["what"] == "looks")
    assert "losses of" in row["choice"]
    assert "%" in row["why"]
    assert facts["looking"]["share"] <= SHARE
    held = fit(data, steps=4000, batch=64, dry_run=True, quiet=True, held=0.0)
    row = next(row for row in held["rows"] if row["what"] == "looks")
    assert "no items validate" in row["choice"]
