"""Spans by particles: truncated normals, in closed form and beside exact draws."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from unfog.guide import Within, particles
from unfog.maths.grids import grids
from unfog.maths.paths import paths
from unfog.maths.randomness import BatchRng
from unfog.maths.truncated import cut
from unfog.maths.truth import Gaussian

F64 = torch.float64
INF = math.inf


def walked(truth, low, high, *, groups, size, path, steps=80):
    count = groups * size
    x = path.prior(torch.empty(count, len(truth.mean), dtype=F64), rng=BatchRng(5))
    ends = (torch.tensor(end, dtype=F64).expand(count, -1, -1) for end in (low, high))
    walk = Within(truth.predictor(path), path, *ends)
    *_, last = particles(walk, x, grids.make("angle")(path, steps), size=size, rng=BatchRng(6))
    return last.pick(rng=BatchRng(7)), last


@pytest.mark.parametrize("name", ["linear", "vp"])
@pytest.mark.parametrize(("low", "high"), [(0.5, INF), (-0.2, 0.9), (2.5, 3.0)])
def test_a_normal_number_in_a_span_is_a_truncated_normal(name, low, high):
    path = paths.make(name)
    truth = Gaussian(torch.zeros(1, dtype=F64), torch.eye(1, dtype=F64))
    x, last = walked(truth, [[low]], [[high]], groups=800, size=8, path=path)
    assert bool(((x >= low) & (x <= high)).all())
    p = stats.kstest(x[:, 0].numpy(), stats.truncnorm(low, high).cdf).pvalue
    assert p > 1e-3, p
    # where the guess of the error is the truth, proposals hardly need weights, and the mean weight
    # is the chance of the span, but for what first-order steps lose of a far tail (16 % here)
    assert last.ess.mean() > 6
    chance = stats.norm.cdf(high) - stats.norm.cdf(low)
    assert last.log_evidence.logsumexp(0).sub(math.log(800)).exp() == pytest.approx(chance, rel=0.2)


def test_correlated_numbers_are_as_exact_draws_that_were_kept():
    cov = torch.tensor([[1.0, 0.8], [0.8, 1.0]], dtype=F64)
    truth = Gaussian(torch.zeros(2, dtype=F64), cov)
    x, last = walked(
        truth,
        [[0.5], [-INF]],
        [[INF], [0.3]],
        groups=1000,
        size=32,
        path=paths.make("linear"),
        steps=80,
    )
    draws = np.random.default_rng(0).multivariate_normal([0, 0], cov.numpy(), 400_000)
    kept = draws[(draws[:, 0] > 0.5) & (draws[:, 1] < 0.3)]
    for column in (0, 1):
        assert stats.ks_2samp(x[:, column].numpy(), kept[:, column]).statistic < 0.07
    assert last.ess.mean() > 4


def test_of_two_spans_each_gets_its_share_and_nothing_lies_between():
    truth = Gaussian(torch.zeros(1, dtype=F64), torch.eye(1, dtype=F64))
    x, _ = walked(
        truth, [[-2.0, 0.5]], [[-1.0, INF]], groups=1500, size=8, path=paths.make("linear")
    )
    x = x[:, 0].numpy()
    assert (((x >= -2) & (x <= -1)) | (x >= 0.5)).all()
    left = stats.norm.cdf(-1) - stats.norm.cdf(-2)
    share = left / (left + stats.norm.sf(0.5))
    assert (x < 0).mean() == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 1500))


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (3.0, 3.01), (40.0, INF), (-INF, -50.0)])
def test_the_cut_mean_and_chance_are_scipys(low, high):
    mean, log = cut(
        torch.tensor([[0.3]], dtype=F64), torch.tensor(1.5), torch.tensor([low]), torch.tensor([high])
    )  # fmt: skip
    a, b = (low - 0.3) / 1.5, (high - 0.3) / 1.5
    near, far = (-b, -a) if a > 0 else (a, b)
    top, bottom = stats.norm.logcdf(far), stats.norm.logcdf(near)
    assert log.item() == pytest.approx(top + np.log(-np.expm1(bottom - top)), rel=1e-6)
    if abs(a) < 20 or abs(b) < 20:
        assert mean.item() == pytest.approx(stats.truncnorm(a, b, 0.3, 1.5).mean(), rel=1e-4)
    assert low <= mean.item() <= high
