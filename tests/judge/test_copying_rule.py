"""The clock's rule: what copies nothing is stopped at the stated rate, what copies is stopped."""

import numpy as np
import pytest
import torch

from unfog.judge.clock import ALARM, Rule, _at_least, copies, nearer
from unfog.judge.copies import Control
from unfog.judge.finders import Near
from unfog.judge.novelty import nearest


def near(values):
    values = torch.as_tensor(values)
    return Near(values, torch.zeros(len(values), dtype=torch.long), values)


def held(values):
    return Control(torch.as_tensor(values).sort().values, len(values), "")


@pytest.mark.parametrize(("m", "n"), [(30, 100), (400, 60)])
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


@pytest.mark.parametrize("m", [25, 100])
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
