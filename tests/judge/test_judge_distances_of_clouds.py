"""MMD agrees with its closed form on Gaussians; precision, recall, density, coverage see what is gone."""

import math

import pytest
import torch

from unfog.errors import DataError, ShapeError
from unfog.judge import judge, manifold, mmd
from unfog.judge.mmd import bandwidths, mmd_interval
from unfog.judge.states import rng


def normal(n, d, seed):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def blobs(n, modes, seed):
    g = torch.Generator().manual_seed(seed)
    which = torch.randint(modes, (n,), generator=g)
    angle = which * 2 * math.pi / 6
    return torch.stack([4 * angle.cos(), 4 * angle.sin()], 1) + 0.4 * torch.randn(n, 2, generator=g)


def closed_form(gap, d, w):
    """MMD^2 of N(0, I) and N(m, I), |m| = gap, Gaussian kernel of width w.

    E k(x, y) = (w^2 / (w^2 + 2))^(d/2) exp(-|m|^2 / (2 (w^2 + 2))) for independent x and y.
    """
    same = (w**2 / (w**2 + 2)) ** (d / 2)
    return 2 * same * (1 - math.exp(-(gap**2) / (2 * (w**2 + 2))))


@pytest.mark.parametrize("width", [0.7, 2.0])
def test_mmd_is_unbiased_for_two_gaussians(width):
    shift = torch.tensor([1.0, 0.0, 0.0])
    found = [
        mmd(normal(60, 3, 2 * s) + shift, normal(80, 3, 2 * s + 1), widths=(width,))
        for s in range(200)
    ]
    mean, error = torch.tensor(found).mean(), torch.tensor(found).std() / math.sqrt(200)
    assert abs(mean - closed_form(1.0, 3, width)) < 4 * error
    assert 4 * error < 0.15 * closed_form(1.0, 3, width)


def test_mmd_is_zero_on_average_under_one_law():
    found = torch.tensor([mmd(normal(60, 3, 2 * s), normal(60, 3, 2 * s + 1)) for s in range(200)])
    assert abs(found.mean()) < 4 * found.std() / math.sqrt(200)
    assert (found < 0).any()  # unbiased, so below zero at times


def test_mmd_of_several_widths_is_their_mean_and_widths_follow_the_data():
    x, y = normal(50, 2, 0), normal(50, 2, 1) + 1
    single = [mmd(x, y, widths=(w,)) for w in (0.5, 1.0)]
    assert mmd(x, y, widths=(0.5, 1.0)) == pytest.approx(sum(single) / 2, rel=1e-4)
    assert bandwidths(10 * y) == pytest.approx([10 * w for w in bandwidths(y)], rel=1e-4)
    assert mmd(10 * x, 10 * y) == pytest.approx(mmd(x, y), rel=1e-3)


def test_mmd_interval_covers_what_other_draws_give():
    shift = torch.tensor([0.8, 0.0])
    truth = closed_form(0.8, 2, 1.0)
    hits = 0
    for s in range(40):
        value, low, high = mmd_interval(
            normal(100, 2, 2 * s) + shift,
            normal(100, 2, 2 * s + 1),
            generator=rng(s),
            widths=(1.0,),
        )
        assert low <= value <= high
        hits += low <= truth <= high
    assert hits >= 33  # at 95 % a chance below 0.4 % to fall short


def test_mmd_of_three_items_has_an_interval_though_some_resamples_are_one_item():
    value, low, high = mmd_interval(normal(64, 4, 0), normal(3, 4, 1), generator=rng(0))
    assert -1 < low <= value <= high < 1
    assert high - low > 0.1


def test_a_dropped_mode_lowers_recall_and_coverage_and_spares_precision():
    real = blobs(900, 6, 0)
    whole, part = manifold(blobs(900, 6, 1), real), manifold(blobs(900, 4, 2), real)
    assert part.precision.mean() == pytest.approx(float(whole.precision.mean()), abs=0.03)
    # two modes of six are gone
    assert part.recall.mean() == pytest.approx(float(whole.recall.mean()) * 4 / 6, abs=0.05)
    assert part.coverage.mean() == pytest.approx(float(whole.coverage.mean()) * 4 / 6, abs=0.05)


def test_strangers_lower_precision_and_density_and_spare_recall():
    real, samples = blobs(900, 6, 0), blobs(900, 6, 1)
    spoilt = samples.clone()
    spoilt[:300] = 40 + 0.4 * normal(300, 2, 3)
    whole, found = manifold(samples, real), manifold(spoilt, real)
    for name in ("precision", "density"):
        share = getattr(found, name).mean() / getattr(whole, name).mean()
        assert share == pytest.approx(2 / 3, abs=0.03)
    assert (whole.precision.mean() - found.precision.mean()) > 0.25
    assert found.recall.mean() > 0.9 * whole.recall.mean()


def test_density_is_one_and_coverage_as_published_under_one_law():
    # Naeem et al. 2020, section 3.3: E density = 1, E coverage = 1 - C(2n - k - 1, n) / C(2n - 1, n),
    # near 1 - 2^-k, whatever the law
    found = [manifold(normal(300, 4, 2 * s), normal(300, 4, 2 * s + 1)) for s in range(12)]
    density = torch.stack([m.density.mean() for m in found])
    coverage = torch.stack([m.coverage.mean() for m in found])
    assert density.mean() == pytest.approx(1, abs=0.06)
    assert coverage.mean() == pytest.approx(1 - 2**-5, abs=0.01)


def test_wrong_sizes_are_named():
    with pytest.raises(DataError, match="at least 7"):
        manifold(normal(6, 2, 0), normal(30, 2, 1))
    with pytest.raises(DataError, match="at least 2"):
        mmd(normal(1, 2, 0), normal(30, 2, 1))
    with pytest.raises(ShapeError):
        mmd(normal(9, 2, 0), normal(9, 3, 1))


@pytest.mark.slow
def test_in_the_judge_each_has_its_floor_and_sees_its_fault():
    x = blobs(1800, 6, 0)
    only = ["mmd", "mmd_features", "precision", "recall", "density", "coverage"]
    options = {"budget": 1.0, "only": only}
    good = {f.name: f for f in judge(blobs(400, 6, 1), blobs(400, 6, 2), x, **options)}
    assert list(good) == only
    assert all(figure.at_floor for figure in good.values())
    dropped = {f.name: f for f in judge(blobs(400, 4, 1), blobs(400, 6, 2), x, **options)}
    assert not any(dropped[n].at_floor for n in ("mmd", "mmd_features", "recall", "coverage"))
    assert dropped["precision"].at_floor
    assert dropped["coverage"].floor == good["coverage"].floor
