"""Calibrated marginals: a wrong net's draws are right column by column, and stay right together."""

from __future__ import annotations

import math

import pytest
import torch

from unfog.errors import RunError
from unfog.maths.discrete import Masking
from unfog.maths.grids import grids
from unfog.maths.paths import paths
from unfog.maths.product import Product
from unfog.sample.loop import sample
from unfog.sample.marginals import Marginals, measured
from unfog.sample.randomness import SampleRng
from unfog.sample.solvers import solvers

RHO, SLOPE, COUNT = 0.9, 2.0, 5000
PATH = Product({"num": paths.make("linear"), "cat": Masking((2,))})
GRID = grids.make("linear")(PATH, 20)
SOLVER = solvers.make("heun")
HALF = {"cat": [torch.tensor([0.5, 0.5])]}
NORMAL = torch.distributions.Normal(0.0, 1.0)


def exact(x_t, t, s=None):
    """a, b ~ N(0, 1) with correlation RHO and P(c = 1 | a) = Phi(SLOPE a): the posterior means."""
    alpha, sigma = PATH.alpha(t).double(), PATH.sigma(t).double()
    cov = torch.tensor([[1.0, RHO], [RHO, 1.0]], dtype=torch.float64)
    gain = alpha * cov @ torch.linalg.inv(alpha**2 * cov + sigma**2 * torch.eye(2))
    mean, left = x_t["num"].double() @ gain.T, cov - alpha * gain @ cov
    scale = (1 + SLOPE**2 * left[0, 0]).sqrt()
    u = SLOPE * mean[:, 0] / scale
    one = NORMAL.cdf(u)
    code = x_t["cat"][:, 0]
    sign = torch.where(code == 1, 1.0, torch.where(code == 0, -1.0, 0.0)).double()
    known = NORMAL.cdf(sign * u).clamp_min(1e-12)
    pull = sign * SLOPE / scale * NORMAL.log_prob(u).exp() / known
    mean = mean + pull[:, None] * left[0]
    return {"num": mean.float(), "cat": torch.stack([1 - one, one], 1)[:, None].float()}


def wrong(x_t, t, s=None):
    """The same, a too large and too narrow, and c = 1 too likely."""
    x_hat = exact(x_t, t)
    num = x_hat["num"] * torch.tensor([0.97, 1.0]) + torch.tensor([0.1, 0.0])
    cat = x_hat["cat"] * torch.tensor([1.0, 2.0])
    return {"num": num, "cat": cat / cat.sum(-1, keepdim=True)}


def prior(seed, count=COUNT):
    like = {"num": torch.zeros(count, 2), "cat": torch.zeros(count, 1, dtype=torch.long)}
    rng = SampleRng(seed, range(count))
    return PATH.prior(like, rng=rng), rng


def fitted(predict, seed=1):
    x_t, rng = prior(seed)
    return measured(predict, PATH, SOLVER, x_t, GRID, frequencies=HALF, rng=rng)


def drawn(predict, marginals, seed=2, count=COUNT):
    x_t, rng = prior(seed, count)
    told = marginals.tilted(predict)
    for step in sample(told, PATH, SOLVER, x_t, GRID, rng=rng, corrector=marginals):
        x_t = step.x
    return marginals.moved(PATH, x_t, GRID[-1])


def off(values):
    """Kolmogorov-Smirnov distance to N(0, 1)."""
    ordered = NORMAL.cdf(values.double().sort()[0])
    return float((ordered - (torch.arange(len(values)) + 0.5) / len(values)).abs().max())


@pytest.fixture(scope="module")
def cured():
    return fitted(wrong)


def test_a_wrong_net_draws_every_column_as_it_must_be(cured):
    before, after = drawn(wrong, Marginals()), drawn(wrong, cured)
    assert off(before["num"][:, 0]) > 0.05
    assert float((before["cat"] == 1).float().mean()) > 0.58
    for column in after["num"].t():
        assert off(column) < 2.2 / math.sqrt(COUNT)  # both sides are draws
    assert abs(float((after["cat"] == 1).float().mean()) - 0.5) < 3 / math.sqrt(COUNT)


def test_what_belongs_together_stays_together(cured):
    after = drawn(wrong, cured)
    a, b = after["num"].t()
    assert float(torch.corrcoef(torch.stack([a, b]))[0, 1]) == pytest.approx(RHO, abs=0.02)
    truth = drawn(exact, Marginals())
    rates = [
        float((state["cat"][:, 0] == 1)[state["num"][:, 0] > 0].float().mean())
        for state in (after, truth)
    ]
    assert rates[0] == pytest.approx(rates[1], abs=0.03)


def test_an_exact_net_is_left_as_it_is():
    before, after = drawn(exact, Marginals()), drawn(exact, fitted(exact))
    moved = (before["num"] - after["num"]).abs().median()
    assert moved < 0.02
    assert float((before["cat"] == after["cat"]).float().mean()) > 0.98


def test_a_row_does_not_depend_on_its_batch(cured):
    whole, few = drawn(wrong, cured), drawn(wrong, cured, count=7)
    assert torch.allclose(whole["num"][:7], few["num"], atol=1e-4)
    assert torch.equal(whole["cat"][:7], few["cat"])


def test_beyond_the_outer_knots_numbers_stay_apart(cured):
    far = torch.tensor([[-9.0, -9.0], [-8.0, -8.0], [8.0, 8.0], [9.0, 9.0]])
    state = {"num": far, "cat": torch.zeros(4, 1, dtype=torch.long)}
    moved = cured.moved(PATH, state, GRID[-1])["num"]
    assert torch.allclose(moved.diff(dim=0)[[0, 2]], torch.ones(2, 2), atol=1e-4)


def test_they_come_back_from_a_file(cured):
    again = Marginals.from_tensors(cured.tensors(), PATH)
    first, second = drawn(wrong, cured, count=50), drawn(wrong, again, count=50)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("scores|0.5|other", torch.zeros(2, 9)),
        ("scores|soon|num", torch.zeros(2, 9)),
        ("scores|0.5|cat", torch.zeros(2, 9)),
        ("factors|0.5|cat", torch.zeros(1, 3)),
        ("factors|0.5|cat", torch.full((1, 2), torch.nan)),
        ("scores|0.5|num", torch.zeros(4)),
        ("mixes|0.5|num", torch.zeros(2, 3)),
        ("mixes|0.5|cat", torch.eye(2)),
        ("weights", torch.zeros(4)),
    ],
)
def test_what_does_not_fit_is_refused(key, value):
    with pytest.raises(RunError, match="calibrated marginals"):
        Marginals.from_tensors({key: value}, PATH)
