"""The judge of filled holes: closed forms of its figures."""

import math

import numpy as np
import pandas as pd
import pytest

from benchmarks.judges import fill
from benchmarks.suites import tables


def test_crps_of_normal_draws_has_its_closed_form():
    rng = np.random.default_rng(0)
    draws, true = rng.normal(size=(20, 20_000)), rng.normal(size=20_000)
    # of a standard normal about its own law: 1 / sqrt(pi)
    assert fill.crps(draws, true).mean() == pytest.approx(1 / math.sqrt(math.pi), rel=0.02)
    one = fill.crps(np.full((1, 3), 2.0), np.array([2.0, 3.0, -1.0]))
    assert one.tolist() == [0.0, 1.0, 3.0]  # a point is charged in full


@pytest.mark.parametrize("law", ["normal", "poisson", "noughts"])
def test_calibrated_is_nine_tenths_for_any_law_and_coverage_for_those_without_ties(law):
    rng = np.random.default_rng(1)

    def drawn(*shape):
        if law == "normal":
            return rng.normal(size=shape)
        if law == "poisson":
            return rng.poisson(1.0, shape).astype(float)
        return np.abs(rng.normal(size=shape)) * (rng.random(shape) < 0.4)

    draws, true = drawn(20, 20_000), drawn(20_000)
    assert fill.between(draws, true).mean() == pytest.approx(0.9, abs=0.006)
    covered = fill.covered(draws, true).mean()
    assert covered == pytest.approx(0.9, abs=0.006) if law == "normal" else covered > 0.91
    assert fill.between(2 * draws, true).mean() > 0.92
    assert fill.between(0.5 * draws, true).mean() < 0.88


def case():
    train = pd.DataFrame({"x": [0.0, 2.0, 4.0], "c": ["a", "b", "c"]})
    hidden = {"random": np.ones((2, 2), bool)}
    return fill.Case(train, train[:2], hidden, ("c",))


def test_log_loss_takes_chances_as_said_and_counts_with_a_half():
    numbers = {"draws/x": np.array([[0.0, 2.0]] * 4)}
    shares = np.array([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]])
    said = fill.judged(case(), "random", numbers | {"shares/c": shares})
    least = 0.001 / 1.002
    assert said["log_loss"] == pytest.approx(-(math.log(0.5) + math.log(least)) / 2)
    assert said["crps"] == 0
    drawn = {"draws/c": np.array([[0, 1], [0, 1], [1, 1], [2, 1]])}
    counted = fill.judged(case(), "random", numbers | drawn)
    wanted = -(math.log(2.5 / 5.5) + math.log(4.5 / 5.5)) / 2
    assert counted["log_loss"] == pytest.approx(wanted)


def test_what_is_dealt_has_no_foreign_levels_and_hides_what_was_asked(tmp_path, monkeypatch):
    from benchmarks.tables import fill as bench

    rng = np.random.default_rng(2)
    count = 4000
    frame = pd.DataFrame(
        {"n": rng.normal(size=count), "code": rng.choice([1, 2, 3], count, p=[0.8, 0.15, 0.05])}
    )
    frame.loc[: count // 50, "code"] = range(100, 101 + count // 50)  # seen once each
    frame.to_csv(tmp_path / "t.csv", index=False)
    monkeypatch.setitem(tables.SOURCES, "t", tables.Source("t.csv", "n", ("code",)))
    one = bench.dealt("t", tmp_path, 700, 0.3, 0)
    assert one.categories == ("code",)
    assert set(one.truth["code"]) <= set(one.train["code"])
    assert one.truth["code"].str.startswith("c").all()
    for hidden in one.hidden.values():
        assert hidden.mean() == pytest.approx(0.3, abs=0.03)
    own = one.hidden["own"]
    high = one.truth["n"].to_numpy() > one.truth["n"].median()
    assert own[high, 0].mean() == pytest.approx(0.45, abs=0.06)  # half of 0 to 0.6, the upper
    rare = one.truth["code"].to_numpy() == "c3"
    assert own[rare, 1].mean() > 0.4 > own[~rare, 1].mean()
    asked = one.asked("own")
    assert asked["n"].isna().equals(pd.Series(own[:, 0], name="n"))
