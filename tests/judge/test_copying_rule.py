"""The clock's rule: what copies nothing is stopped at the stated rate, what copies is stopped."""

import numpy as np
import pytest
import torch

from unfog.judge.clock import ALARM, CERTAIN, LEAST, Rule, _at_least, copies, nearer
from unfog.judge.copies import Control
from unfog.judge.finders import Near
from unfog.judge.novelty import nearest


def near(values):
    values = torch.as_tensor(values)
    return Near(values, torch.zeros(len(values), dtype=torch.long), values)


def held(values):
    return Control.of(torch.as_tensor(values), len(values), "")


@pytest.mark.parametrize(("m", "n"), [(100, 100), (400, 60)])
def test_the_p_value_of_copies_is_exact(m, n):
    # nearness of real items and samples of one law; 1500 worlds: the share below u is at most u,
    # and 4 standard deviations of chance
    rng = np.random.default_rng(0)
    p = np.array(
        [copies(near(rng.uniform(size=n)), held(rng.uniform(size=m))).p for _ in range(1500)]
    )
    for u in (0.5, 0.1, 0.01):
        assert (p <= u).mean() <= u + 4 * np.sqrt(u * (1 - u) / 1500)
    assert (p <= 0.1).mean() > 0.04


@pytest.mark.parametrize("m", [100, 300])
def test_a_run_that_copies_nothing_is_rarely_stopped(m):
    # 12 looks with one control; the looks' samples alike by half: 300 runs, the rule's bound and 3
    # standard deviations of chance
    rng, stopped = np.random.default_rng(1), 0
    rule = Rule()
    for _ in range(300):
        control, same = held(rng.uniform(size=m)), rng.uniform(size=50)
        looks = [
            copies(near(np.concatenate([same, rng.uniform(size=50)])), control, 12)
            for _ in range(12)
        ]
        stopped += any(rule.alarms(look) for look in looks)
    assert stopped / 300 <= ALARM + 3 * np.sqrt(ALARM * (1 - ALARM) / 300)


def left(values):
    """As of so many training items, each against the others: two are worth one."""
    return Control.of(torch.as_tensor(values), len(values) / 2, "")


def test_a_control_is_certain_where_its_interval_ends_within_five_points():
    ends = {
        m: copies(near(np.ones(10)), held(np.linspace(0.1, 0.9, m)))
        for m in (CERTAIN, CERTAIN - 20)
    }
    width = {m: one.control_high - one.control for m, one in ends.items()}
    assert width[CERTAIN] <= LEAST < width[CERTAIN - 20]
    assert [one.cautious for one in ends.values()] == [False, True]


def test_few_items_stop_before_copies_are_five_points_above_their_control():
    # 25 left-out items and a share of copies that grows by one point from look to look, of 400
    # samples; what was the true excess when the run was stopped?
    rng, rule, ends = np.random.default_rng(5), Rule(2), []
    grid = (np.arange(25) + 0.5) / 25  # the control as it should be
    for _ in range(100):
        for more in range(30):
            u = rng.uniform(size=400)
            copied = rng.uniform(size=400) < 0.01 * more
            reading = copies(near(np.where(copied, 0.0, u)), left(grid), 20)
            if rule.alarms(reading):
                break
        ends.append(0.01 * more)
    assert np.mean(ends) < 0.05
    assert np.quantile(ends, 0.95) <= 0.06
    strict = copies(near(np.where(np.arange(400) < 60, 0.0, 1.0)), held(np.linspace(0.1, 0.9, 400)))
    assert rule.alarms(strict)  # at 15 %: with enough items nothing has changed
    assert not strict.cautious


def test_few_items_that_are_not_copied_are_stopped_at_the_rate_written_down():
    # docs/clock.md says about a quarter for 24 items and three held-out ones, of 10 looks: the
    # control is uncertain, and the error is on the side of stopping
    rng, rule, stopped = np.random.default_rng(6), Rule(2), 0
    for _ in range(400):
        control, same = left(rng.uniform(size=27)), rng.uniform(size=200)
        looks = [
            copies(near(np.concatenate([same, rng.uniform(size=200)])), control, 20)
            for _ in range(10)
        ]
        stopped += any(rule.alarms(look) for look in looks)
    assert 0.15 < stopped / 400 < 0.3


def world(train, unseen, n, d, rng, copied=0.0):
    x, y, z = (torch.from_numpy(rng.normal(size=(k, d))).float() for k in (train, unseen, n))
    k = int(copied * n)
    z[:k] = x[torch.from_numpy(rng.integers(train, size=k))] + 0.1 * z[:k]
    _, index = nearest(z, torch.cat([x, y]))
    return nearer((index[:, 0] < train).float(), index[:, 0], train, unseen)


def test_the_tail_is_the_beta_binomials():
    from scipy.stats import betabinom

    for hits, n, a, b in [(0, 10, 2, 5), (7, 10, 2.5, 5), (40, 400, 20, 381), (64, 64, 0.5, 12)]:
        assert _at_least(hits, n, a, b) == pytest.approx(betabinom.sf(hits - 1, n, a, b), rel=1e-9)


@pytest.mark.parametrize(("train", "unseen"), [(24, 3), (200, 25)])
def test_nearer_holds_its_level_without_copying(train, unseen):
    rng = np.random.default_rng(2)
    p = np.array([world(train, unseen, 100, 6, rng).p for _ in range(600)])
    for u in (0.05, 0.01, 0.001):
        assert (p <= u).mean() <= u + 4 * np.sqrt(u * (1 - u) / 600)


def test_nearer_is_one_half_without_copying_and_one_for_copies():
    rng = np.random.default_rng(3)
    fresh = world(800, 400, 3000, 6, rng)
    assert fresh.rate == pytest.approx(0.5, abs=0.08)
    assert fresh.control_low < fresh.rate < fresh.control_high
    copied = world(800, 400, 500, 6, rng, copied=1.0)
    assert copied.rate > 0.99
    assert Rule(40).alarms(copied)  # 40 measures, say


def test_copies_are_stopped_and_slight_signs_are_not_kept():
    rng, rule = np.random.default_rng(4), Rule(4)
    control = held(rng.uniform(size=200))

    def at(share, n=400):
        values = np.concatenate(
            [np.zeros(int(share * n)), rng.uniform(0.06, 1, n - int(share * n))]
        )
        return copies(near(values), control, 20)

    assert rule.alarms(at(0.3))
    assert not rule.quiet(at(0.12))
    assert rule.quiet(at(0.04))
    assert not rule.alarms(at(0.04))
