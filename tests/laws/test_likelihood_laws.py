"""log p(x) of exact truths on every affine path, by the flow and by the bound; the flow both ways."""

import math

import pytest
import torch

from unfog.errors import ArgumentError
from unfog.maths.discrete import Masking
from unfog.maths.paths import paths
from unfog.maths.randomness import BatchRng
from unfog.maths.truth import Gaussian, Mixture
from unfog.sample.flow import Flow, exact_trace, probed_trace
from unfog.sample.likelihood import elbo, log_prob
from unfog.sample.randomness import SampleRng

AFFINE = ["linear", "cosine", "vp", "ve", "sigmoid"]


def mixture():
    means = torch.tensor(
        [[1.5, 0.0, -1.0], [-1.0, 1.0, 0.5], [0.0, -1.5, 1.0]], dtype=torch.float64
    )
    return Mixture(
        means, torch.tensor([0.4, 0.6, 0.3]).double(), torch.tensor([0.5, 0.3, 0.2]).double()
    )


@pytest.mark.parametrize("name", AFFINE)
def test_the_flow_knows_the_density_of_a_mixture(name):
    """Within 0.01 nats a dimension, with the trace computed and with it probed."""
    truth, path = mixture(), paths[name]()
    x = truth.draw(40, rng=BatchRng(0))
    predict = truth.predictor(path)
    found = log_prob(predict, path, x, steps=30)
    # the prior of a path that does not forget all data differs from its true end
    slack = 0.01 if float(path.alpha(torch.ones(()))) < 1e-6 else 0.03
    assert float((found.nats - truth.log_prob(x)).abs().max()) < 3 * slack
    assert torch.equal(found.error, torch.zeros(40, dtype=torch.float64))
    probed = log_prob(predict, path, x, steps=20, probes=40, rng=BatchRng(1))
    off = (probed.nats - found.nats) / probed.error.clamp(min=1e-6)
    assert float(off.abs().mean()) < 1.2
    assert float(off.abs().max()) < 5


@pytest.mark.parametrize("name", AFFINE)
def test_the_bound_is_tight_for_the_best_predictor_and_below_for_a_worse_one(name):
    truth, path = mixture(), paths[name]()
    x = truth.draw(2000, rng=BatchRng(0))
    best, exact = truth.predictor(path), truth.log_prob(x).mean()
    bound = elbo(best, path, x, rng=BatchRng(2))
    noise = float((bound.nats - truth.log_prob(x)).std() / math.sqrt(2000))
    assert float((bound.nats.mean() - exact).abs()) < 4 * noise + 0.01
    worse = elbo(lambda x_t, t, s=None: 0.8 * best(x_t, t), path, x, rng=BatchRng(2))
    assert float(worse.nats.mean()) < float(exact) - 0.3
    assert bound.parts.shape == (200, 2000)
    total = bound.parts.sum(0) - 1.5 * math.log(2 * math.pi * math.e)
    assert torch.allclose(total, bound.nats)


def test_bits_are_nats_by_another_unit():
    path = paths["linear"]()
    truth = Gaussian(torch.zeros(2).double(), torch.eye(2).double())
    found = log_prob(truth.predictor(path), path, torch.zeros(1, 2).double(), steps=20)
    assert float(found.bits_per_dim) == pytest.approx(math.log2(2 * math.pi) / 2, abs=1e-4)


@pytest.mark.parametrize("name", AFFINE)
def test_to_noise_and_back_is_where_it_began(name):
    truth, path = mixture(), paths[name]()
    x = truth.draw(50, rng=BatchRng(3))
    flow = Flow(truth.predictor(path), path)
    away = flow.towards_noise(x, 60).state
    assert float((flow.towards_data(away, 60).state - x).abs().max()) < 1e-3
    assert float((away - x).abs().max()) > 0.5


def test_the_noise_of_data_is_normal():
    truth, path = mixture(), paths["linear"]()
    x = truth.draw(4000, rng=BatchRng(4))
    z = log_prob(truth.predictor(path), path, x, steps=20).noise
    assert float(z.mean(0).abs().max()) < 4 / math.sqrt(4000)
    assert float((z.T @ z / 4000 - torch.eye(3)).abs().max()) < 4 * math.sqrt(2 / 4000)


def test_traces_of_a_linear_map():
    matrix = torch.randn(4, 4, generator=torch.Generator().manual_seed(0)).double()
    w = torch.randn(3, 4, generator=torch.Generator().manual_seed(1)).double()
    value, trace = exact_trace(lambda v: v @ matrix.T, w)
    assert torch.allclose(value, w @ matrix.T)
    assert torch.allclose(trace, matrix.trace().expand(3))
    probe = torch.ones(3, 4).double()
    assert torch.allclose(probed_trace(probe)(lambda v: v @ matrix.T, w)[1], matrix.sum().expand(3))


def test_the_order_of_the_steps_is_four():
    truth, path = mixture(), paths["cosine"]()
    x = truth.draw(30, rng=BatchRng(5))
    flow = Flow(truth.predictor(path), path, nearest=0.05)
    fine = flow.towards_noise(x, 640).state
    errors = [float((flow.towards_noise(x, n).state - fine).norm()) for n in (40, 80)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.5)


def test_each_item_is_alone():
    truth, path = mixture(), paths["linear"]()
    x = truth.draw(6, rng=BatchRng(6)).float()
    single = Mixture(*(v.float() for v in (truth.means, truth.stds, truth.weights)))
    predict = single.predictor(path)

    def found(rows):
        return log_prob(predict, path, x[list(rows)], steps=10, probes=2, rng=SampleRng(0, rows))

    assert torch.allclose(found(range(6)).nats[4:], found(range(4, 6)).nats, atol=1e-4)


def test_what_has_no_flow_says_so():
    with pytest.raises(ArgumentError, match="Masking has no probability flow"):
        Flow(lambda x, t: x, Masking((3,)))
    with pytest.raises(ArgumentError, match="at least one step; got 0"):
        Flow(lambda x, t: x, paths["linear"]()).towards_noise(torch.zeros(1, 2), 0)
