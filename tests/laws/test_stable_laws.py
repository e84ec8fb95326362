"""Laws of stable targets on every affine path: the exact mean, the same expectation, less variance."""

import pytest
import torch

from unfog.maths.paths import paths
from unfog.maths.randomness import BatchRng
from unfog.maths.stable import Stable, expected
from unfog.maths.targets import targets
from unfog.maths.truth import empirical

path_of = pytest.mark.parametrize("path", [r.make() for r in paths], ids=[r.name for r in paths])
ROWS = [r.make() for r in targets if r.make().parts == 1]
target_of = pytest.mark.parametrize("target", ROWS, ids=[type(t).__name__ for t in ROWS])


def cloud(count, *shape, seed=0, dtype=torch.float64):
    return BatchRng(seed).normal(torch.empty(count, *shape)).to(dtype)


@path_of
def test_of_all_items_it_is_the_exact_predictor(path):
    data = cloud(30, 2)
    t = torch.linspace(0.02, 0.98, 30, dtype=torch.float64)
    noised = path.corrupt(data, t, rng=BatchRng(1))
    mean, _ = expected(path, data, noised, data)
    torch.testing.assert_close(mean, empirical(data).predictor(path)(noised.x_t, t))


@path_of
@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4)])
def test_the_means_make_the_same_state(path, shape):
    data = cloud(20, *shape)
    t = torch.linspace(0.05, 0.95, 20, dtype=torch.float64)
    noised = path.corrupt(data, t, rng=BatchRng(1))
    mean, told = expected(path, data, noised, data)
    again = path.corrupt(mean, t, rng=BatchRng(2), z=told.z)
    assert mean.shape == data.shape
    torch.testing.assert_close(again.x_t, noised.x_t)
    assert torch.equal(told.x_t, noised.x_t)


@path_of
@pytest.mark.parametrize("t", [1e-4, 1.0])
def test_the_ends_are_finite(path, t):
    """Near the data it is the item itself, also in float32; at pure noise the batch's mean."""
    data = cloud(50, 2, dtype=torch.float32)
    noised = path.corrupt(data, torch.full((50,), t), rng=BatchRng(1))
    mean, told = expected(path, data, noised, data)
    assert mean.isfinite().all()
    assert told.z.isfinite().all()
    if float(path.sigma(torch.tensor(t)) / path.alpha(torch.tensor(t))) < 1e-3:
        torch.testing.assert_close(mean, data, rtol=0, atol=1e-6)
        torch.testing.assert_close(told.z, noised.z, rtol=0, atol=1e-2)
    if float(path.alpha(torch.tensor(t))) == 0:
        torch.testing.assert_close(mean, data.mean(0).expand(50, 2), rtol=0, atol=1e-3)


def test_batches_have_the_expectation_of_single_items_and_less_variance():
    """E[f(x_t) x] over batches of eight of forty items is that of the items themselves."""
    path, data = paths.make("linear"), cloud(40, 2, seed=3)
    rng = torch.Generator().manual_seed(0)
    away, own, stable = [], [], []
    for number in range(3000):
        x = data[torch.randperm(40, generator=rng)[:8]]
        t = torch.full((8,), 0.6, dtype=torch.float64)
        noised = path.corrupt(x, t, rng=BatchRng(5, 0, number))
        mean, _ = expected(path, x, noised, x)
        tests = torch.stack([torch.ones(8), noised.x_t[:, 0], noised.x_t[:, 1].sin()])
        away.append((tests[:, :, None] * (x - mean)).mean(1))
        exact = empirical(data).predictor(path)(noised.x_t, t)
        own.append((x - exact).square().mean())
        stable.append((mean - exact).square().mean())
    away = torch.stack(away)
    error = away.std(0) / len(away) ** 0.5
    assert (away.mean(0).abs() < 4 * error).all(), (away.mean(0), error)
    assert torch.stack(stable).mean() < 0.6 * torch.stack(own).mean()


@path_of
@target_of
def test_every_target_is_linear_in_the_means(path, target):
    data = cloud(12, 3)
    t = torch.linspace(0.2, 0.8, 12, dtype=torch.float64)
    noised = path.corrupt(data, t, rng=BatchRng(1))
    y = cloud(12, 3, seed=9)
    mean, told = expected(path, data, noised, data)
    wanted = (y - target.encode(path, mean, told.z, t)).square()
    found = Stable(target, data).error(path, y, data, noised)
    torch.testing.assert_close(found, wanted)


def test_of_many_rows_memory_is_that_of_groups():
    """Every pair of 40 000 rows would be 6 GB; a group's means are over the group."""
    path, target, x = paths.make("linear"), targets.make("data"), cloud(40_000, 1)
    t = torch.full((len(x),), 0.7, dtype=torch.float64)
    noised = path.corrupt(x, t, rng=BatchRng(1))
    found = Stable(target, x).error(path, torch.zeros_like(x), x, noised)
    group = slice(512, 1024)
    part = path.corrupt(x[group], t[group], rng=BatchRng(0), z=noised.z[group])
    mean, _ = expected(path, x[group], part, x[group])
    torch.testing.assert_close(found[group], mean.square())
