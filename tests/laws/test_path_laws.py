"""Laws of every affine path."""

import pytest
import torch

from unfog.errors import ArgumentError, TimeError
from unfog.maths import views
from unfog.maths.paths import paths
from unfog.maths.randomness import BatchRng
from unfog.maths.truth import Gaussian

EVERY = [row.make() for row in paths]
named = pytest.mark.parametrize("path", EVERY, ids=[row.name for row in paths])
TIMES = [0.07, 0.4, 0.93]


@named
def test_ends(path):
    zero, one = torch.zeros(()), torch.ones(())
    assert path.alpha(zero) == 1
    assert path.sigma(zero) == 0
    assert path.sigma(one) / path.alpha(one).clamp_min(1e-12) > 79
    assert (path.angle(torch.linspace(0, 1, 100, dtype=torch.float64)).diff() > 0).all()


@named
def test_rates_are_derivatives(path):
    t = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
    h = 1e-6
    for value, rate in ((path.alpha, path.alpha_rate), (path.sigma, path.sigma_rate)):
        slope = (value(t + h) - value(t - h)) / (2 * h)
        torch.testing.assert_close(rate(t), slope, rtol=1e-6, atol=1e-6)


@named
def test_clock_inverts(path):
    t = torch.linspace(0, 1, 33, dtype=torch.float64)
    torch.testing.assert_close(path.time_at_angle(path.angle(t)), t, rtol=0, atol=1e-9)
    inner = t[1:-1]
    torch.testing.assert_close(path.time_at(-path.log_snr(inner)), inner, rtol=0, atol=1e-9)


@named
@pytest.mark.parametrize("t", TIMES)
def test_corrupt_has_stated_mean_and_variance(path, t):
    x = torch.tensor([3.0, -1.0]).expand(40_000, 2)
    at = torch.tensor(t)
    x_t = path.corrupt(x, at, rng=BatchRng(1)).x_t
    sigma = path.sigma(at).item()
    # 5 standard errors on two columns: a false alarm in about a million runs
    assert ((x_t.mean(0) - path.alpha(at) * x[0]).abs() < 5 * sigma / 200).all()
    assert ((x_t.var(0) / sigma**2 - 1).abs() < 5 * (2 / 40_000) ** 0.5).all()


@named
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("t", "s"), [(0.93, 0.4), (0.4, 0.07)])
def test_move_with_the_true_data_keeps_the_marginal(path, eta, t, s):
    """q(x_s) is reached from q(x_t) when x itself is trusted, for any share of fresh noise."""
    count = 40_000
    x = 2 * BatchRng(3).normal(torch.empty(count, 1, dtype=torch.float64)) + 1
    t, s = torch.tensor(t, dtype=torch.float64), torch.tensor(s, dtype=torch.float64)
    x_t = path.corrupt(x, t, rng=BatchRng(4)).x_t
    x_s = path.move(x_t, x, t, s, eta=eta, rng=BatchRng(5))
    alpha, sigma = path.alpha(s), path.sigma(s)
    noise = (x_s - alpha * x) / sigma
    # mean, variance and correlation with x, each within 5 standard errors
    assert noise.mean().abs() < 5 / count**0.5
    assert (noise.var() - 1).abs() < 5 * (2 / count) ** 0.5
    assert torch.corrcoef(torch.cat([noise, x], 1).T)[0, 1].abs() < 5 / count**0.5


@named
def test_move_to_the_same_time_is_the_identity(path):
    x_t, x_hat = torch.randn(2, 5, 3)
    for t in (0.0, 0.3, 1.0):
        for eta in (0.0, 1.0):
            assert torch.equal(path.move(x_t, x_hat, t, t, eta=eta, rng=BatchRng(0)), x_t)


@named
def test_move_to_zero_lands_on_the_prediction(path):
    x_t, x_hat = torch.randn(2, 5, 3)
    assert torch.equal(path.move(x_t, x_hat, 0.6, 0.0), x_hat)


@named
def test_move_per_sample_times(path):
    x_t, x_hat = torch.randn(2, 3, 2, 4)
    t, s = torch.tensor([0.9, 0.5, 0.2]), torch.tensor([0.5, 0.5, 0.0])
    together = path.move(x_t, x_hat, t, s)
    for i in range(3):
        alone = path.move(x_t[i : i + 1], x_hat[i : i + 1], t[i], s[i])
        torch.testing.assert_close(together[i : i + 1], alone)


@named
def test_posterior_matches_ancestral_move(path):
    x_t, x_hat = torch.randn(2, 1, 2).expand(2, 60_000, 2)
    mean, variance = views.posterior(path, x_t, x_hat, 0.6, 0.3)
    moved = path.move(x_t, x_hat, 0.6, 0.3, eta=1.0, rng=BatchRng(9))
    torch.testing.assert_close(
        moved.mean(0), mean[0], atol=5 * variance.sqrt().item() / 245, rtol=0
    )
    torch.testing.assert_close(
        moved.var(0), variance.float().expand(2), rtol=5 * (2 / 60_000) ** 0.5, atol=0
    )


@named
def test_renoise_keeps_the_marginal(path):
    x = torch.full((40_000, 1), 1.5)
    x_s = path.corrupt(x, torch.tensor(0.3), rng=BatchRng(1)).x_t
    x_t = path.renoise(x_s, 0.3, 0.8, rng=BatchRng(2))
    t = torch.tensor(0.8)
    noise = (x_t - path.alpha(t) * x) / path.sigma(t)
    assert noise.mean().abs() < 5 / 200
    assert (noise.var() - 1).abs() < 5 * (2 / 40_000) ** 0.5


@named
def test_padding_never_leaks_and_known_entries_stay(path):
    x = torch.randn(4, 6, 2)
    mask = torch.ones(4, 6)
    mask[:, 4:] = 0
    keep = torch.zeros(4, 6)
    keep[:, 1] = 1
    t = torch.tensor(0.5)
    poisoned = x.clone()
    poisoned[:, 4:] = 1e30
    a = path.corrupt(x, t, rng=BatchRng(1), mask=mask, keep=keep).x_t
    b = path.corrupt(poisoned, t, rng=BatchRng(1), mask=mask, keep=keep).x_t
    assert torch.equal(a, b)
    assert (a[:, 4:] == 0).all()
    assert torch.equal(a[:, 1], x[:, 1])
    moved = path.move(a, x, 0.5, 0.2, eta=1.0, rng=BatchRng(2), mask=mask)
    assert (moved[:, 4:] == 0).all()
    assert (path.prior(x, rng=BatchRng(3), mask=mask)[:, 4:] == 0).all()
    assert (path.renoise(poisoned, 0.2, 0.6, rng=BatchRng(4), mask=mask)[:, 4:] == 0).all()


@named
def test_centred_path_keeps_the_centre_of_mass_at_zero(path):
    centred = type(path)(centred=True)
    x = torch.randn(3, 5, 2)
    mask = torch.tensor([1.0, 1, 1, 1, 0]).expand(3, 5)
    noised = centred.corrupt(x, torch.tensor(0.4), rng=BatchRng(0), mask=mask)
    moved = centred.move(noised.x_t, x, 0.4, 0.2, eta=0.5, rng=BatchRng(1), mask=mask)
    for state in (noised.x_t, noised.z, moved, centred.prior(x, rng=BatchRng(2), mask=mask)):
        scale = state.abs().max()
        assert (state.sum(1).abs() < 1e-5 * scale.clamp_min(1)).all()
        assert (state[:, 4] == 0).all()


@named
def test_score_view_is_the_gradient_of_the_log_density(path):
    cov = torch.tensor([[1.5, 0.4], [0.4, 0.7]], dtype=torch.float64)
    truth = Gaussian(torch.tensor([1.0, -2.0], dtype=torch.float64), cov)
    for t in (0.3, 0.6, 0.93):  # below, ve's sigma^2 is under float64's resolution of x
        at = torch.tensor(t, dtype=torch.float64)
        alpha, sigma = path.alpha(at), path.sigma(at)
        x_t = torch.randn(7, 2, dtype=torch.float64)
        x_hat = truth.predictor(path)(x_t, at)
        noised = alpha**2 * cov + sigma**2 * torch.eye(2, dtype=torch.float64)
        exact = -torch.linalg.solve(noised, (x_t - alpha * truth.mean).T).T
        torch.testing.assert_close(views.score(path, x_t, x_hat, t), exact)


@named
def test_velocity_view_is_the_slope_of_the_flow(path):
    """d/dt of (alpha_t x + sigma_t z) with x and z fixed, in the direction of noise."""
    x, z = torch.randn(2, 4, 3, dtype=torch.float64)
    t, h = 0.5, 1e-6
    at = [
        path.corrupt(x, torch.tensor(t + d, dtype=torch.float64), rng=BatchRng(0), z=z).x_t
        for d in (-h, 0, h)
    ]
    torch.testing.assert_close(
        views.velocity(path, at[1], x, t), (at[2] - at[0]) / (2 * h), rtol=1e-6, atol=1e-6
    )


def test_velocity_is_noise_minus_data_on_the_linear_path():
    x, z = torch.randn(2, 4, 3)
    x_t = paths.make("linear").corrupt(x, torch.tensor(0.3), rng=BatchRng(0), z=z).x_t
    torch.testing.assert_close(views.velocity(paths.make("linear"), x_t, x, 0.3), z - x)


def test_wrong_times_and_eta_are_refused():
    path = paths.make("linear")
    x = torch.zeros(2, 1)
    with pytest.raises(TimeError, match="s <= t"):
        path.move(x, x, 0.2, 0.5)
    with pytest.raises(TimeError, match=r"\[0, 1\]"):
        path.move(x, x, 1.2, 0.5)
    with pytest.raises(ArgumentError, match="eta must lie"):
        path.move(x, x, 0.5, 0.2, eta=1.5)
    with pytest.raises(ArgumentError, match="needs an rng"):
        path.move(x, x, 0.5, 0.2, eta=1.0)
