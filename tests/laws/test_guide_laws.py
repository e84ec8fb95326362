"""Every guide at neutral strength changes nothing, and gives the closed-form posterior where it says so.

The problem: Gaussian data, y = A x + noise. Where a guide is exact its *prediction* is compared
with the posterior's own, and its samples' mean and covariance with the closed form, within 5 %.
"""

import math
from itertools import pairwise

import pytest
import torch

from unfog.guide import (
    Hold,
    Measurement,
    Steer,
    Within,
    auto,
    cfg,
    classifier,
    clean,
    compose,
    diffpir,
    dps,
    fill,
    guides,
    likelihood,
    mmps,
    never,
    particles,
    pigdm,
    projected,
    rescaled,
    reward,
)
from unfog.guide.operators import Matrix
from unfog.maths.grids import grids
from unfog.maths.paths import paths
from unfog.maths.randomness import BatchRng
from unfog.maths.truth import Gaussian, Mixture
from unfog.sample.correctors import correctors
from unfog.sample.loop import sample
from unfog.sample.solvers import solvers

F64 = torch.float64
SIZE, ROWS, NOISE = 4, 2, 0.3
_made = torch.Generator().manual_seed(0)
_root = 0.6 * torch.randn(SIZE, SIZE, generator=_made, dtype=F64)
PRIOR = Gaussian(
    torch.tensor([0.5, -0.3, 0.2, 0.0], dtype=F64), _root @ _root.T + 0.1 * torch.eye(4)
)
WHITE = Gaussian(PRIOR.mean, 0.64 * torch.eye(4, dtype=F64))
A = torch.randn(ROWS, SIZE, generator=_made, dtype=F64)
Y = torch.tensor([[1.0, -0.5]], dtype=F64)
LINEAR = paths.make("linear")
path_of = pytest.mark.parametrize("path", [r.make() for r in paths], ids=[r.name for r in paths])


def measurement(prior, noise=NOISE):
    return Measurement(Y, Matrix(A), noise, spread=prior.cov.diag().mean().sqrt().item())


def posterior(prior):
    """N(mean, cov) of x given y: the conditional of a joint Gaussian."""
    gain = prior.cov @ A.T @ torch.linalg.inv(A @ prior.cov @ A.T + NOISE**2 * torch.eye(ROWS))
    return Gaussian(prior.mean + gain @ (Y[0] - A @ prior.mean), prior.cov - gain @ A @ prior.cov)


def away(x, truth):
    """Error of the mean in standard deviations, and of the covariance, relative."""
    mean = (x.mean(0) - truth.mean).norm() / truth.cov.trace().sqrt()
    return mean.item(), ((x.T.cov() - truth.cov).norm() / truth.cov.norm()).item()


def drawn(
    predict, path, *, count=10_000, steps=25, solver="heun", eta=0.0, corrector="none", **options
):
    x = path.prior(torch.empty(count, SIZE, dtype=F64), rng=BatchRng(3))
    loop = sample(
        predict,
        path,
        solvers.make(solver),
        x,
        grids.make("angle")(path, steps),
        eta=eta,
        rng=BatchRng(4),
        corrector=correctors.make(corrector, **options),
    )
    *_, last = loop
    return last.x


def walked(walk, path, *, groups, size, steps=100):
    x = path.prior(torch.empty(groups * size, SIZE, dtype=F64), rng=BatchRng(5))
    cut = grids.make("angle")(path, steps)
    *_, last = particles(walk(cut), x, cut, size=size, rng=BatchRng(6))
    return last


# --- neutral strength -------------------------------------------------------------------------

COND = posterior(PRIOR).predictor(LINEAR)
FREE = PRIOR.predictor(LINEAR)
KNOWN, NONE = torch.zeros(8, SIZE, dtype=F64), torch.zeros(8, SIZE)


def uncalled(*_):
    raise AssertionError("at neutral strength the other predictor is not called")


EVERYWHERE = torch.full((8, SIZE, 1), math.inf)
NEUTRAL = {
    "cfg": lambda: cfg(COND, uncalled, scale=1.0),
    "auto": lambda: auto(COND, uncalled, scale=1.0),
    "rescaled": lambda: rescaled(COND, uncalled, scale=1.0),
    "projected": lambda: projected(COND, uncalled, scale=1.0),
    "compose": lambda: compose(uncalled, [COND, FREE], [1, 0]),
    "classifier": lambda: classifier(COND, LINEAR, uncalled, scale=0.0),
    "reward": lambda: reward(COND, LINEAR, uncalled, scale=0.0),
    "dps": lambda: dps(COND, LINEAR, measurement(PRIOR), scale=0.0),
    "fill": lambda: fill(COND, KNOWN, NONE),
    "clean": lambda: clean(COND, KNOWN, NONE),
}
UNINFORMED = {"mmps": mmps, "pigdm": pigdm, "diffpir": diffpir}  # neutral as the noise grows
WALKS = {
    "steer": lambda cut: Steer(COND, LINEAR, lambda x, t: x.flatten(1).sum(1) * 0),
    "hold": lambda cut: Hold(COND, LINEAR, KNOWN, NONE, cut, size=4, rng=BatchRng(9)),
    "within": lambda cut: Within(COND, LINEAR, -EVERYWHERE, EVERYWHERE),
}


def test_every_guide_has_its_law():
    assert {*NEUTRAL, *UNINFORMED, *WALKS, "never"} == set(guides.names())


@pytest.mark.parametrize("name", NEUTRAL)
@pytest.mark.parametrize("t", [0.02, 0.5, 0.9])
def test_neutral_strength_is_the_prediction_exactly(name, t):
    x_t, t = torch.randn(8, SIZE, dtype=F64, generator=_made), torch.tensor(t, dtype=F64)
    assert torch.equal(NEUTRAL[name]()(x_t, t), COND(x_t, t))


@pytest.mark.parametrize("name", UNINFORMED)
def test_a_measurement_without_information_changes_nothing(name):
    x_t, t = torch.randn(8, SIZE, dtype=F64, generator=_made), torch.tensor(0.5, dtype=F64)
    guided = UNINFORMED[name](COND, LINEAR, measurement(PRIOR, noise=1e6))
    torch.testing.assert_close(guided(x_t, t), COND(x_t, t), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", WALKS)
def test_particles_without_a_weight_are_ancestral_samples(name):
    cut = grids.make("linear", start=0.95)(LINEAR, 5)
    x = torch.randn(8, SIZE, dtype=F64, generator=_made)
    *_, last = particles(WALKS[name](cut), x, cut, size=4, rng=BatchRng(6))
    assert last.ess.tolist() == pytest.approx([4.0, 4.0])
    assert last.log_evidence.abs().max() < 1e-12
    for number, (t, s) in enumerate(pairwise(cut), 1):
        fresh = BatchRng(6).at(number)
        fresh.uniform(torch.zeros(8, dtype=F64))  # resampling's own draw
        x = LINEAR.move(x, COND(x, t), t, s, eta=1.0, rng=fresh)
    assert torch.equal(last.x, x)


def test_never_rules_nothing_out_where_nothing_is_named():
    flat = {"cat": torch.tensor([[[0.2, 0.3, 0.5]]])}
    got = never(lambda *_: flat, {"cat": torch.tensor([-1])})(
        {"cat": torch.zeros(1, 1).long()}, 0.5
    )
    assert torch.equal(got["cat"], flat["cat"])


# --- the closed form --------------------------------------------------------------------------

EXACT = {
    "mmps": (mmps, PRIOR),
    "mmps, white": (mmps, WHITE),
    "pigdm, white": (pigdm, WHITE),
    "diffpir, white": (diffpir, WHITE),
}


@path_of
@pytest.mark.parametrize("name", EXACT)
def test_exact_methods_predict_the_posterior(path, name):
    method, prior = EXACT[name]
    truth = posterior(prior)
    guided = method(prior.predictor(path), path, measurement(prior))
    for t in (0.05, 0.3, 0.6, 0.85):
        t = torch.tensor(t, dtype=F64)
        x_t = path.corrupt(truth.draw(50, rng=BatchRng(1)), t, rng=BatchRng(2)).x_t
        torch.testing.assert_close(guided(x_t, t), truth.predictor(path)(x_t, t), rtol=0, atol=1e-6)


@path_of
@pytest.mark.parametrize("name", EXACT)
def test_exact_methods_sample_the_posterior(path, name):
    method, prior = EXACT[name]
    mean, cov = away(
        drawn(method(prior.predictor(path), path, measurement(prior)), path), posterior(prior)
    )
    assert mean < 0.05, mean  # measured: at most 0.007
    assert cov < 0.05, cov  # measured: at most 0.008


#                     correlated data: mean, covariance   white data: mean, covariance; measured, plus a third
APPROXIMATE = {
    "pigdm": (pigdm, (0.20, 0.24), None),  # 0.145, 0.178
    "dps": (dps, (0.12, 0.09), (0.09, 0.035)),  # 0.091, 0.065; 0.068, 0.026
    "diffpir": (diffpir, (0.43, 0.55), None),  # 0.326, 0.417
}


@pytest.mark.parametrize("name", APPROXIMATE)
def test_approximations_are_as_far_off_as_stated_and_mmps_beats_them(name):
    method, correlated, white = APPROXIMATE[name]
    for prior, limit in ((PRIOR, correlated), (WHITE, white)):
        if limit is None:
            continue
        truth, predict = posterior(prior), prior.predictor(LINEAR)
        got = away(drawn(method(predict, LINEAR, measurement(prior)), LINEAR), truth)
        best = away(drawn(mmps(predict, LINEAR, measurement(prior)), LINEAR), truth)
        assert got[0] < limit[0], got
        assert got[1] < limit[1], got
        assert best[0] < got[0], (best, got)
        # and each is nearer than no guidance at all, whose mean is 0.77 or more off
        assert got[0] < 0.7 * away(drawn(predict, LINEAR), truth)[0]


def test_a_linear_reward_of_gaussian_data_shifts_the_mean():
    """p(x) exp(w x) of N(m, C) is N(m + C w, C)."""
    w = torch.tensor([0.5, -1.0, 0.3, 0.8], dtype=F64)
    truth = Gaussian(PRIOR.mean + PRIOR.cov @ w, PRIOR.cov)
    guided = reward(FREE, LINEAR, lambda x: x @ w)
    x_t = torch.randn(20, SIZE, dtype=F64, generator=_made)
    for t in (0.1, 0.5, 0.9):
        t = torch.tensor(t, dtype=F64)
        torch.testing.assert_close(guided(x_t, t), truth.predictor(LINEAR)(x_t, t))


@path_of
def test_an_exact_classifier_gives_the_component(path):
    mixture = Mixture(
        torch.tensor([[-1.5, 0.5], [1.0, 1.0]], dtype=F64),
        torch.tensor([0.3, 0.5], dtype=F64),
        torch.tensor([0.3, 0.7], dtype=F64),
    )
    one = Mixture(mixture.means[:1], mixture.stds[:1], torch.ones(1, dtype=F64))

    def log_prob(x_t, t):
        return one.log_prob(x_t, path, t.item()) - mixture.log_prob(x_t, path, t.item())

    guided = classifier(mixture.predictor(path), path, log_prob)
    for t in (0.1, 0.5, 0.85):
        t = torch.tensor(t, dtype=F64)
        x_t = path.corrupt(mixture.draw(40, rng=BatchRng(1)), t, rng=BatchRng(2)).x_t
        torch.testing.assert_close(
            guided(x_t, t), one.predictor(path)(x_t, t), rtol=1e-9, atol=1e-9
        )


# --- particles --------------------------------------------------------------------------------


@pytest.mark.parametrize("pull", [0.0, 1.0])
def test_particles_have_the_posteriors_mean_and_covariance(pull):
    """64 particles; of the covariance's error 2.5 % are the 200 ancestral steps' own."""
    walk = Steer(FREE, LINEAR, likelihood(measurement(PRIOR), LINEAR), pull)
    last = walked(lambda cut: walk, LINEAR, groups=250, size=64, steps=200)
    # all particles with their weights, so that the law isn't about the noise of picking one
    share = torch.softmax(last.log_weight, 1).flatten() / 250
    mean = share @ last.x
    cov = ((last.x - mean).T * share) @ (last.x - mean)
    truth = posterior(PRIOR)
    assert (mean - truth.mean).norm() / truth.cov.trace().sqrt() < 0.05
    assert (cov - truth.cov).norm() / truth.cov.norm() < 0.05
    seen = A @ PRIOR.cov @ A.T + NOISE**2 * torch.eye(ROWS)
    evidence = torch.distributions.MultivariateNormal(A @ PRIOR.mean, seen).log_prob(Y[0])
    assert last.log_evidence.exp().mean().log().item() == pytest.approx(evidence.item(), abs=0.1)
    assert (last.ess >= 1).all()
    assert (last.ess <= 64).all()


def test_the_error_falls_with_the_number_of_particles():
    truth = posterior(PRIOR)
    walk = Steer(FREE, LINEAR, likelihood(measurement(PRIOR), LINEAR), 0.0)
    off = []
    for size in (1, 4, 16):
        last = walked(lambda cut: walk, LINEAR, groups=2000, size=size, steps=50)
        off.append(away(last.pick(rng=BatchRng(7)), truth)[0])
    assert off[0] > 2 * off[1] > 2.5 * off[2], off


def test_a_mixtures_posterior_has_both_modes_in_their_shares():
    """Two modes, one of which the measurement favours 3 : 1; a picked particle is a fair draw."""
    mixture = Mixture(
        torch.tensor([[-1.0, 1.0], [1.0, 0.0]], dtype=F64),
        torch.tensor([0.2, 0.2], dtype=F64),
        torch.tensor([0.5, 0.5], dtype=F64),
    )
    y, noise, operator = (
        torch.tensor([[0.385]], dtype=F64),
        0.3,
        Matrix(torch.eye(2, dtype=F64)[1:]),
    )
    variance = torch.tensor(0.2**2 + noise**2)
    logs = -(0.385 - mixture.means[:, 1]).square() / (2 * variance)
    share = torch.softmax(logs, 0)[1].item()
    walk = Steer(
        mixture.predictor(LINEAR),
        LINEAR,
        likelihood(Measurement(y, operator, noise, spread=0.7), LINEAR),
    )
    cut = grids.make("angle")(LINEAR, 60)
    x = LINEAR.prior(torch.empty(1500 * 32, 2, dtype=F64), rng=BatchRng(5))
    *_, last = particles(walk, x, cut, size=32, rng=BatchRng(6))
    right = (last.pick(rng=BatchRng(7))[:, 0] > 0).double().mean().item()
    assert right == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 1500))


KEEP = torch.tensor([1, 0, 0, 1])
SEEN = torch.tensor([1.0, 0.0, 0.0, -1.0], dtype=F64)


def filled_truth():
    known, free = KEEP.bool(), ~KEEP.bool()
    gain = PRIOR.cov[free][:, known] @ torch.linalg.inv(PRIOR.cov[known][:, known])
    return Gaussian(
        PRIOR.mean[free] + gain @ (SEEN - PRIOR.mean)[known],
        PRIOR.cov[free][:, free] - gain @ PRIOR.cov[known][:, free],
    )


def test_held_entries_are_bit_equal_and_the_rest_is_their_conditional():
    truth, off = filled_truth(), []
    for size in (1, 16, 64):
        count = 800 * size
        last = walked(
            lambda cut, n=count, k=size: Hold(
                FREE, LINEAR, SEEN.expand(n, 4), KEEP.expand(n, 4), cut, size=k, rng=BatchRng(9)
            ),
            LINEAR,
            groups=800,
            size=size,
            steps=60,
        )
        assert torch.equal(last.x[:, KEEP.bool()], SEEN[KEEP.bool()].expand(count, 2))
        share = torch.softmax(last.log_weight, 1).flatten() / 800
        off.append((share @ last.x[:, ~KEEP.bool()] - truth.mean).norm() / truth.cov.trace().sqrt())
    assert off[0] > 0.2  # replacement alone
    assert off[2] < 0.05, off
    assert off[1] < off[0] / 3


def test_resampling_harmonises_a_filled_sample():
    """Replacement, then RePaint with more and more rounds: the mean of the unknown entries."""
    truth, count = filled_truth(), 4000
    predict = fill(FREE, SEEN.expand(count, 4), KEEP.expand(count, 4))
    off = []
    for options in ({}, {"rounds": 4}, {"rounds": 16}):
        corrector = "resample" if options else "none"
        x = drawn(
            predict, LINEAR, count=count, steps=60, solver="euler", corrector=corrector, **options
        )
        assert torch.equal(x[:, KEEP.bool()], SEEN[KEEP.bool()].expand(count, 2))
        off.append(away(x[:, ~KEEP.bool()], truth)[0])
    assert off[0] > 2 * off[1] > 3 * off[2], off  # measured 0.30, 0.12, 0.05
