"""Gains are found where they are, are none where they are none, and everything stays inside folds."""

import numpy as np
import pytest

from unfog.errors import ArgumentError, DataError
from unfog.judge.table.advice import advice, facts, told
from unfog.judge.table.gain import (
    ALONE,
    CHOSEN,
    WEIGHTS,
    Deal,
    Gain,
    Trial,
    difference,
    measure_gain,
)
from unfog.judge.table.learners import LEARNERS, METRICS
from unfog.kinds.table.cells import Cells, Table


def table(count=150, seed=0):
    rng = np.random.default_rng(seed)
    y = (rng.random(count) < 0.2).astype(int)
    sure = np.ones(count, bool)
    return Table(
        {
            "x": Cells(rng.normal(size=count) + 1.5 * y, sure),
            "w": Cells(np.array(["u", "v"], object)[rng.integers(2, size=count)], sure),
            "y": Cells(np.array(["no", "yes"], object)[y], sure),
            "row": Cells(np.arange(count), sure),
        }
    )


def planted(gains, count=15, seed=0):
    """Trials in which each arm scores so much more than real rows alone, with a little noise."""
    rng, trials = np.random.default_rng(seed), []
    for _ in range(count):
        level = rng.normal(0.6, 0.05)
        row = {
            arm: {
                learner: {
                    metric: level + by - 0.1 * (learner == LEARNERS[1]) + rng.normal(0, 0.002)
                    for metric in METRICS[True]
                }
                for learner in LEARNERS
            }
            for arm, by in gains.items()
        }
        trials.append(Trial(row, row, 0.5))
    return Gain(trials, "y", True, 300, "ours")


def test_the_interval_covers_at_its_rate_and_is_wider_than_the_plain_one():
    rng = np.random.default_rng(0)
    plain = difference(rng.normal(size=15), 0.0)
    assert plain.low < plain.mean < plain.high
    hits = 0
    for _ in range(400):  # independent differences: the t interval itself
        found = difference(rng.normal(1.0, 1.0, 15), 0.0)
        hits += found.low <= 1.0 <= found.high
    assert 0.92 < hits / 400 < 0.98
    values = rng.normal(size=15)
    wide, narrow = difference(values, 0.5), difference(values, 0.0)
    assert (wide.high - wide.low) / (narrow.high - narrow.low) == pytest.approx(
        np.sqrt((1 / 15 + 0.5) * 15)
    )


def test_advice_says_do_not_unless_ours_is_best_and_clear_of_nothing():
    arms = {ALONE: 0.0, WEIGHTS: 0.0, "ours": 0.0, "SMOTE": 0.0}
    assert advice(planted(arms)).startswith("Do not augment: ")
    assert advice(planted({**arms, "ours": 0.05})).startswith("Augment: ")
    assert "SMOTE can't be told" in advice(planted({**arms, "ours": 0.05, "SMOTE": 0.05}))
    assert "Use class weights" in advice(planted({**arms, WEIGHTS: 0.05}))
    assert "a loss" in advice(planted({**arms, "ours": -0.05}))
    page = told(planted({**arms, "ours": 0.05}))
    assert page.splitlines()[-1].startswith("Augment")
    assert facts(planted(arms))["verdict"].startswith("Do not")


@pytest.mark.slow
def test_makers_never_see_what_is_tested_on_and_the_inner_split_chooses():
    seen, whole = [], table()

    def truth(train, seed):
        """Fresh rows of the very law: as good as more data."""
        seen.append(set(train.columns["row"].values.tolist()) if "row" in train.columns else None)
        fresh = table(600, seed=seed % 1000 + 77)
        return Table({name: fresh.columns[name] for name in train.columns})

    def rubbish(train, seed):
        rng = np.random.default_rng(seed)
        columns = {n: c.take(rng.integers(len(train), size=600)) for n, c in train.columns.items()}
        return Table(columns)  # the target has nothing to do with the rest

    deal = Deal(seeds=2, folds=3)
    found = measure_gain(
        whole,
        "y",
        {"ours": truth, "rubbish": rubbish},
        roles={"x": "number", "w": "category", "y": "category", "row": "number"},
        deal=deal,
    )
    assert len(seen) == deal.fits
    sizes = sorted({len(rows) for rows in seen})
    assert sizes[-1] == 100
    assert sizes[0] == 75
    gain = Gain(found["trials"], "y", found["classes"], found["rows"], "ours")
    metric, trees = "area under the curve", LEARNERS[0]
    assert gain.over("ours", trees, metric).mean > 0.02
    assert gain.over("rubbish", trees, metric).mean < -0.02
    assert gain.over(CHOSEN, trees, metric).mean > gain.over("rubbish", trees, metric).mean


def test_numbers_are_judged_by_r_squared():
    rng = np.random.default_rng(0)
    x = rng.normal(size=90)
    sure = np.ones(90, bool)
    data = Table({"x": Cells(x, sure), "y": Cells(2 * x + 0.1 * rng.normal(size=90), sure)})
    found = measure_gain(data, "y", {"ours": lambda train, seed: train}, deal=Deal(2, 2))
    gain = Gain(found["trials"], "y", found["classes"], found["rows"], "ours")
    assert gain.best == "linear model"
    assert gain.values(ALONE, "linear model", "R squared").min() > 0.95
    assert WEIGHTS not in gain.arms


def test_what_can_not_be_judged_is_refused():
    few = table(40)
    with pytest.raises(DataError, match="too few to be judged"):
        measure_gain(few, "y", {}, deal=Deal())
    with pytest.raises(ArgumentError, match="at least 2"):
        measure_gain(table(), "y", {}, deal=Deal(seeds=1))
    with pytest.raises(DataError, match="no column to learn"):
        measure_gain(table(), "y", {}, roles=dict.fromkeys(("x", "w", "row"), "skip"))
