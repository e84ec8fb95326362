"""Frechet and sliced Wasserstein distances agree with closed forms; intervals cover."""

import math

import pytest
import torch

from unfog.errors import DataError, ShapeError
from unfog.judge import bootstrap, frechet, sliced
from unfog.judge.frechet import frechet_interval
from unfog.judge.principal import principal
from unfog.judge.sliced import sliced_interval
from unfog.judge.states import rng, subset


def normal(n, d, seed):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def whitened(n, d, seed):
    """A cloud whose sample mean is 0 and sample covariance is exactly the identity."""
    x = normal(n, d, seed).double()
    x = x - x.mean(0)
    values, vectors = torch.linalg.eigh(x.T @ x / (n - 1))
    return (x @ vectors / values.sqrt()).float()


def test_frechet_matches_the_closed_form_of_gaussians():
    # N(0, I) against N(m, S) with S commuting with I: |m|^2 + sum (sqrt(s) - 1)^2, here by exact moments
    x, y = whitened(500, 3, 0), whitened(400, 3, 1)
    scale, shift = torch.tensor([2.0, 0.5, 1.0]), torch.tensor([1.0, 0.0, -2.0])
    assert frechet(x, y * scale + shift) == pytest.approx(5 + 1 + 0.25, rel=1e-4)
    turn = torch.linalg.qr(normal(3, 3, 2)).Q
    assert frechet(x @ turn, (y * scale + shift) @ turn) == pytest.approx(6.25, rel=1e-4)


def test_frechet_matches_scipy_for_covariances_that_do_not_commute():
    from scipy.linalg import sqrtm

    x, y = normal(300, 6, 0) @ normal(6, 6, 1), normal(300, 6, 2) @ normal(6, 6, 3) + 1
    a, b = x.double().numpy(), y.double().numpy()
    import numpy as np

    c, e = np.cov(a.T), np.cov(b.T)
    truth = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c + e - 2 * sqrtm(c @ e).real)
    assert frechet(x, y) == pytest.approx(truth, rel=1e-6)


def test_frechet_survives_fewer_items_than_features():
    x = normal(10, 64, 0)
    assert frechet(x, x) == pytest.approx(0, abs=1e-4)
    assert frechet(x, x + 1) == pytest.approx(64, rel=1e-4)


def test_sliced_of_a_shift_is_the_shift_over_root_d():
    # a pure shift m costs (u . m)^2 along u, and E (u . m)^2 = |m|^2 / D
    x = normal(300, 5, 0)
    m = torch.tensor([3.0, 0, 0, 0, 0])
    assert sliced(x, x + m, generator=rng(0), directions=4000) == pytest.approx(
        3 / math.sqrt(5), rel=0.05
    )
    assert sliced(x, x, generator=rng(0)) == 0


def test_sliced_with_unequal_sizes_is_the_exact_integral():
    # every item repeated leaves the law as it is, and so the distance
    x, y = normal(30, 4, 0), normal(20, 4, 1) + 0.5
    thrice, half_more = y.repeat(3, 1), x.repeat(2, 1)
    assert sliced(x, y, generator=rng(1)) == pytest.approx(
        sliced(half_more, thrice, generator=rng(1)), rel=1e-4
    )
    assert sliced(x, x.repeat(3, 1), generator=rng(1)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("measure", ["sliced", "frechet"])
def test_interval_says_what_another_draw_would_give(measure):
    # 40 pairs of draws; each interval should hold the mean over draws about 95 % of the time.
    # At a true rate of 90 %, fewer than 30 of 40 has a chance below 0.1 %; seeds are fixed.
    values, held = [], []
    for seed in range(40):
        x, y = normal(150, 4, 2 * seed), normal(150, 4, 2 * seed + 1) * 1.3 + 0.5
        if measure == "sliced":
            value, low, high = sliced_interval(x, y, generator=rng(0), directions=32, draws=60)
        else:
            value = frechet(x, y)
            low, high = frechet_interval(x, y, generator=rng(seed), draws=60)
        values.append(value)
        held.append((low, high))
    mean = sum(values) / len(values)
    assert sum(low <= mean <= high for low, high in held) >= 30
    assert all(low <= value <= high for value, (low, high) in zip(values, held))


def test_wilson_interval_holds_no_certainty():
    low, high = bootstrap.share(20, 20)
    assert 0.8 < low < 0.9
    assert high == 1
    assert bootstrap.share(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)  # published value


def test_resamples_of_a_mean_have_its_standard_error():
    x = normal(400, 1, 0)[:, 0]
    low, high = bootstrap.percentile(bootstrap.counts(400, 1000, rng(0)) @ x / 400)
    assert (high - low) / 2 == pytest.approx(1.96 * float(x.std()) / 20, rel=0.1)


def test_principal_components_randomised_and_exact_find_the_same_subspace(monkeypatch):
    x = normal(200, 5, 0) @ normal(5, 60, 1) * 5 + 0.1 * normal(200, 60, 2)
    exact = principal(x, 5, generator=rng(0))
    monkeypatch.setattr("unfog.judge.principal.EXACT", 10)
    found = principal(x, 5, generator=rng(0))
    overlap = torch.linalg.svdvals(exact.directions.T @ found.directions)
    assert overlap.min() > 0.9999
    assert exact(x).var(0).diff().max() < 0  # by falling variance


def test_bad_states_are_named():
    x = normal(10, 3, 0)
    with pytest.raises(ShapeError, match="same item shape"):
        frechet(x, normal(10, 4, 0))
    x[2, 1] = float("nan")
    with pytest.raises(DataError, match="1 of 10 items"):
        sliced(x, x, generator=rng(0))
    with pytest.raises(ShapeError, match="add an axis"):
        frechet(torch.zeros(5), torch.zeros(5))


def test_subset_is_drawn_without_replacement_and_by_seed():
    a, b = subset(100, 30, rng(3, "a")), subset(100, 30, rng(3, "a"))
    assert torch.equal(a, b)
    assert len(a.unique()) == 30
    assert not torch.equal(a, subset(100, 30, rng(3, "b")))
