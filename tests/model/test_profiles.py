"""Averages over any length, from stored ones: inner products by integration, sums by the exact answer."""

import numpy as np
import pytest
import torch
from torch import nn

from unfog.errors import ArgumentError
from unfog.model.ema import Averages, exponent
from unfog.model.profiles import Profile, inner, shares


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (Profile(0.05, 1000), Profile(0.05, 1000)),
        (Profile(0.05, 1000), Profile(0.1, 1000)),
        (Profile(0.05, 400), Profile(0.1, 1000)),
        (Profile(0.2, 1000), Profile(0.02, 700)),
        (Profile(0.28, 10), Profile(0.05, 1000)),
    ],
)
def test_the_inner_product_is_the_integral(a, b):
    r = (np.arange(2_000_000) + 0.5) / 2_000_000 * max(a.step, b.step)

    def profile(p):
        return np.where(r <= p.step, (p.gamma + 1) / p.step * (r / p.step) ** p.gamma, 0.0)

    for one in (a, b):
        assert profile(one).mean() * r.max() == pytest.approx(1, rel=1e-4)
    integral = float((profile(a) * profile(b)).mean() * max(a.step, b.step))
    assert inner(a, b) == pytest.approx(integral, rel=1e-4)
    assert inner(a, b) == inner(b, a)


def test_long_runs_do_not_overflow():
    far = inner(Profile(0.001, 10), Profile(0.001, 10_000_000))
    assert far == pytest.approx(0, abs=1e-12)
    assert np.isfinite(inner(Profile(0.001, 10**7), Profile(0.001, 10**7)))


def walk(steps, size, seed=0):
    """A random walk with a drift, from somewhere: what weights do."""
    rng = np.random.default_rng(seed)
    return 3 + np.cumsum(rng.normal(size=(steps, size)) / np.sqrt(steps) + 1 / steps, 0)


def exact(path, length):
    """The power-function average of a trajectory (steps, size)."""
    edges = np.linspace(0, 1, len(path) + 1) ** (exponent(length) + 1)
    return np.diff(edges) @ path


def tracked(path, count):
    """Profiles and averages at `count` even moments, as a run stores them."""
    weight = nn.Linear(path.shape[1], 1, bias=False).double()
    ema = Averages(weight, 0.05)
    found = []
    for step, row in enumerate(path, 1):
        with torch.no_grad():
            weight.weight[0] = torch.from_numpy(row)
        ema.update(weight, step)
        if step % (len(path) // count) == 0:
            for one in (ema, ema.longer):
                stored = one.model.weight[0].numpy().copy()
                found.append((Profile(one.length, step), stored))
    return found


@pytest.fixture(scope="module")
def run():
    path = walk(2048, 200)
    return path, tracked(path, 32)


@pytest.mark.parametrize("length", [0.05, 0.1])
def test_a_length_that_was_tracked_comes_back(run, length):
    path, found = run
    factors, missed = shares([profile for profile, _ in found], Profile(length, len(path)))
    made = sum(f * values for f, (_, values) in zip(factors, found))
    assert missed < 1e-5
    own = next(v for p, v in reversed(found) if p.length == length)
    np.testing.assert_allclose(made, own, rtol=1e-6, atol=1e-9)
    error = np.linalg.norm(made - exact(path, length)) / np.linalg.norm(exact(path, length))
    assert error < 1e-4


@pytest.mark.parametrize(
    ("length", "near"), [(0.03, 2e-3), (0.07, 1e-4), (0.15, 1e-4), (0.2, 2e-4)]
)
def test_other_lengths_are_near_the_exact_average(run, length, near):
    path, found = run
    factors, missed = shares([profile for profile, _ in found], Profile(length, len(path)))
    made, wanted = sum(f * v for f, (_, v) in zip(factors, found)), exact(path, length)
    error = np.linalg.norm(made - wanted) / np.linalg.norm(wanted)
    assert error < near
    assert factors.sum() == pytest.approx(1, abs=1e-9)
    # the nearest tracked average is much farther off
    others = [v for p, v in found if p.step == len(path)]
    assert error < 0.1 * min(np.linalg.norm(v - wanted) for v in others) / np.linalg.norm(wanted)
    assert missed < 0.02


def test_more_snapshots_come_nearer_and_the_distance_says_so():
    wanted = Profile(0.02, 4096)
    misses = [
        shares([Profile(s, 4096 * k // n) for k in range(1, n + 1) for s in (0.05, 0.1)], wanted)[1]
        for n in (4, 8, 16, 32)
    ]
    assert misses == sorted(misses, reverse=True)
    assert misses[0] > 0.2
    assert misses[-1] < 0.05


def test_nothing_stored_is_refused():
    with pytest.raises(ArgumentError, match="no stored averages"):
        shares([], Profile(0.05, 10))


def test_the_runs_own_average_is_that_of_one_alone():
    from unfog.model.ema import Ema

    weight = nn.Linear(3, 1)
    alone, both = Ema(weight, 0.05), Averages(weight, 0.05)
    for step in range(1, 20):
        with torch.no_grad():
            weight.weight.normal_(generator=torch.Generator().manual_seed(step))
        alone.update(weight, step)
        both.update(weight, step)
    assert torch.equal(alone.model.weight, both.model.weight)
    assert both.longer.length == 0.1
    assert not torch.equal(both.longer.model.weight, both.model.weight)
