"""Correlations known at every time: a map moves what is wrong, and only that."""

import math

import pytest
import torch

from unfog.maths.paths import paths
from unfog.maths.product import Product
from unfog.sample.correlations import correlations, goal_at, mixing, uncorrelated
from unfog.sample.loop import sample
from unfog.sample.marginals import Marginals, measured
from unfog.sample.randomness import SampleRng
from unfog.sample.solvers import solvers

COUNT = 6000
GOAL = torch.tensor([[1.0, 0.8, 0.0], [0.8, 1.0, 0.3], [0.0, 0.3, 1.0]], dtype=torch.float64)


def gaussian(cov, count=COUNT, seed=0):
    z = torch.randn(count, len(cov), generator=torch.Generator().manual_seed(seed))
    return z @ torch.linalg.cholesky(cov.double()).T.float()


def test_rows_get_the_correlations_asked_for_and_keep_their_variances():
    have = torch.tensor([[4.0, 0.2, 0.5], [0.2, 1.0, 0.0], [0.5, 0.0, 0.25]])
    x = gaussian(have)
    moved = x @ mixing(x, GOAL).T
    assert torch.allclose(correlations(moved), GOAL, atol=0.01)
    assert torch.allclose(moved.std(0), x.std(0), rtol=0.01)


def test_it_is_the_map_between_gaussians_that_moves_least():
    """In two dimensions with one correlation each, the axes are the diagonals: each is scaled."""
    goal = torch.tensor([[1.0, 0.6], [0.6, 1.0]], dtype=torch.float64)
    x = gaussian(torch.tensor([[1.0, -0.2], [-0.2, 1.0]]))
    found = mixing(x, goal).double()
    seen = float(correlations(x)[0, 1])
    plus, minus = math.sqrt(1.6 / (1 + seen)), math.sqrt(0.4 / (1 - seen))
    wanted = torch.tensor([[plus + minus, plus - minus], [plus - minus, plus + minus]]) / 2
    assert torch.allclose(correlations(x @ found.float().T), goal, atol=0.005)
    sizes = x.double().std(0)
    assert torch.allclose(found / (sizes[:, None] / sizes), wanted.double(), atol=0.01)


def test_what_chance_explains_is_left():
    moved = []
    for seed in range(20):
        x = gaussian(GOAL, 500, seed)
        moved.append(float((mixing(x, GOAL) - torch.eye(3)).norm()))
    wrong = mixing(gaussian(torch.eye(3), 500), GOAL) - torch.eye(3)
    assert sorted(moved)[10] < 0.03
    assert float(wrong.norm()) > 0.4


def test_columns_that_say_the_same_or_nothing_give_finite_maps():
    x = gaussian(GOAL)
    x = torch.cat([x, x[:, :1], torch.ones(COUNT, 1)], 1)
    goal = correlations(x)
    assert torch.isfinite(mixing(x, goal)).all()
    assert torch.isfinite(mixing(gaussian(torch.eye(5)), goal)).all()
    assert goal[0, 3] == pytest.approx(1.0)
    assert goal[4].tolist() == [0, 0, 0, 0, 1]


def test_noise_can_be_had_without_correlations():
    x = torch.randn(100, 4, generator=torch.Generator().manual_seed(1))
    found = uncorrelated(x)
    assert torch.allclose(correlations(found), torch.eye(4).double(), atol=0.02)
    assert float((found - x).abs().mean()) < 0.15


PATH = Product({"num": paths.make("linear")})


def exact(cov):
    """The posterior mean of data of N(0, cov)."""

    def predict(x_t, t, s=None):
        alpha, sigma = PATH.alpha(t).double(), PATH.sigma(t).double()
        gain = alpha * cov @ torch.linalg.inv(alpha**2 * cov + sigma**2 * torch.eye(len(cov)))
        return {"num": (x_t["num"].double() @ gain.T).float()}

    return predict


def drawn(predict, steps, found, seed):
    rng = SampleRng(seed, range(COUNT))
    x_t, grid = PATH.prior({"num": torch.zeros(COUNT, 3)}, rng=rng), torch.linspace(1, 0, steps + 1)
    for step in sample(predict, PATH, solvers.make("euler"), x_t, grid, rng=rng, corrector=found):
        x_t = step.x
    return found.moved(PATH, x_t, grid[-1])["num"]


@pytest.mark.parametrize("steps", [2, 12])
def test_a_net_that_misses_them_draws_them_as_they_are(steps):
    wrong = GOAL * 0.5 + 0.5 * torch.eye(3)
    rng = SampleRng(1, range(COUNT))
    x_t = PATH.prior({"num": torch.zeros(COUNT, 3)}, rng=rng)
    grid = torch.linspace(1, 0, steps + 1)
    found = measured(
        exact(wrong), PATH, solvers.make("euler"), x_t, grid,
        frequencies={}, known={"num": GOAL}, rng=rng,
    )  # fmt: skip
    before = correlations(drawn(exact(wrong), steps, Marginals(), 2))
    after = drawn(exact(wrong), steps, found, 2)
    assert float((before - GOAL).abs().max()) > 0.2
    assert float((correlations(after) - GOAL).abs().max()) < 4 / math.sqrt(COUNT)
    assert torch.allclose(after.std(0), torch.ones(3), atol=0.05)
    again = Marginals.from_tensors(found.tensors(), PATH)
    assert torch.equal(drawn(exact(wrong), steps, again, 2), after)


def test_halfway_the_covariance_is_that_of_data_and_noise_together():
    path = PATH.fields["num"]
    x, z = gaussian(GOAL, 200_000), gaussian(torch.eye(3), 200_000, 1)
    t = torch.tensor(0.4)
    assert torch.allclose(
        correlations(path.alpha(t) * x + path.sigma(t) * z), goal_at(path, GOAL, t), atol=0.01
    )
