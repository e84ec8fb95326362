"""Edits against closed forms: the net is replaced by the exact predictor of a Gaussian."""

import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch

import unfog
from unfog.guide.operators import Blur, Downsample
from unfog.maths.sphere import slerp
from unfog.maths.truth import Gaussian

QUIET = {"show": False}
COUNT = 2000
EXACT = {"solver": "heun", "eta": 0.0, "steps": 20, "show": False}  # a guide that is exact
LENGTH = 4


class Exact:
    """Stands in for `Trained.net`: the answer is the conditional mean itself."""

    def __init__(self, path, truth):
        self.path, self.truth = path, truth

    def bind(self, cond, *, rng=None, keep=None, jumps=True):
        return self.truth.predictor(self.path)

    def computing(self, precision):
        return nullcontext()


@pytest.fixture(scope="module")
def model():
    """Series (1, 4) that are Gaussian; truth in the coordinates of the state."""
    rng = np.random.default_rng(0)
    line = np.arange(LENGTH)
    cov = 0.7 ** np.abs(line[:, None] - line[None]) * 2.0
    mean = np.array([1.0, 0.5, -0.5, 0.0])
    data = rng.multivariate_normal(mean, cov, 400)[:, None].astype(np.float32)
    settings = {"net": "mlp", "net.width": 8, "net.depth": 1, "space": "identity"}
    model = unfog.fit(data, kind="array", steps=2, batch=16, settings=settings, quiet=True)
    zero, one = (state(model, np.full((1, 1, LENGTH), v, np.float32))[0, 0] for v in (0.0, 1.0))
    gain = one - zero
    truth = Gaussian(
        (zero + gain * torch.tensor(mean)).float(),
        (gain[:, None] * torch.tensor(cov) * gain[None]).float(),
    )
    model.net = Exact(model.net.path, Flat(truth))
    model.truth = truth
    model.source = data[:3]
    return model


class Flat:
    """A Gaussian of states (1, 4)."""

    def __init__(self, truth):
        self.truth = truth

    def predictor(self, path):
        predict = self.truth.predictor(path)
        return lambda x_t, t, s=None: predict(x_t[:, 0], t)[:, None]


def state(model, raw):
    return model.borders.space.into(model.borders.codec.encode(np.asarray(raw)))


def raws(model, edited):
    return state(model, edited.raw)[:, 0].double()


def root(matrix, power):
    values, vectors = torch.linalg.eigh(matrix.double())
    return vectors @ torch.diag(values**power) @ vectors.mT


def close(draws, mean, cov, tolerance=0.08):
    """Mean and covariance of draws (N, D), in the closed form's own units."""
    draws = draws.double()
    unit = root(cov + 1e-6 * torch.eye(len(cov)), -0.5)
    off = (draws.mean(0) - mean) @ unit
    assert off.abs().max() < tolerance, off
    spread = unit @ torch.cov(draws.T) @ unit
    assert (spread - torch.eye(len(cov))).abs().max() < 2 * tolerance, spread


def test_noise_is_the_closed_form_and_comes_back(model):
    noise = model.edit(model.source, "encode", steps=30, **QUIET)
    x = state(model, model.source)[:, 0].double()
    wanted = (x - model.truth.mean) @ root(model.truth.cov, -0.5)
    found = torch.from_numpy(noise.raw)[:, 0].double()
    torch.testing.assert_close(found, wanted, rtol=0, atol=5e-3)
    back = model.edit(noise, "decode", steps=30, **QUIET)
    np.testing.assert_allclose(back.raw, model.source, rtol=0, atol=1e-3)


def test_interpolation_ends_at_the_items_and_runs_on_the_sphere(model):
    way = model.edit(model.source, "interpolate", frames=5, steps=30, **QUIET)
    assert len(way) == 10
    np.testing.assert_array_equal(way.raw[[0, 4, 5, 9]], model.source[[0, 1, 1, 2]])
    unit = root(model.truth.cov, -0.5)
    x = state(model, model.source)[:, 0].double()
    z = (x - model.truth.mean) @ unit
    middle = slerp(z[:1], z[1:2], 0.5) @ root(model.truth.cov, 0.5) + model.truth.mean
    torch.testing.assert_close(raws(model, way)[2:3], middle, rtol=0, atol=1e-2)


def test_slerp_keeps_length_and_halves_the_angle():
    a, b = torch.randn(2, 5, 7, dtype=torch.float64)
    b = b * a.norm(dim=1, keepdim=True) / b.norm(dim=1, keepdim=True)
    half = slerp(a, b, 0.5)
    torch.testing.assert_close(half.norm(dim=1), a.norm(dim=1))
    cosine = torch.cosine_similarity
    torch.testing.assert_close(cosine(half, a), cosine(half, b))
    torch.testing.assert_close(slerp(a, b, 0.0), a)
    torch.testing.assert_close(slerp(a, b, 1.0), b)
    torch.testing.assert_close(slerp(a, a, 0.3), a)


def test_strength_0_changes_nothing_and_1_is_a_fresh_sample(model):
    same = model.edit(model.source, "vary", strength=0.0, draws=2, **QUIET)
    np.testing.assert_array_equal(same.raw, np.repeat(model.source, 2, axis=0))
    fresh = model.edit(model.source, "vary", strength=1.0, seed=4, **QUIET)
    np.testing.assert_array_equal(fresh.raw, model.sample(3, seed=4, show=False).raw)


@pytest.mark.parametrize("strength", [0.3, 0.7])
def test_variations_have_the_law_of_partial_noising(model, strength):
    """The flow from t maps N(alpha m, C_t) to N(m, C) by C^1/2 C_t^-1/2."""
    one = model.source[:1]
    made = model.edit(one, "vary", strength=strength, draws=COUNT, steps=60, **QUIET)
    path, t = model.net.path, torch.tensor(made.facts["t"], dtype=torch.float64)
    alpha, sigma = path.alpha(t), path.sigma(t)
    assert math.atan2(sigma, alpha) == pytest.approx(strength * math.pi / 2, abs=1e-6)
    cov = model.truth.cov.double()
    noised = alpha**2 * cov + sigma**2 * torch.eye(LENGTH)
    way = root(cov, 0.5) @ root(noised, -0.5)
    x = state(model, one)[0, 0].double()
    mean = model.truth.mean + way @ (alpha * (x - model.truth.mean))
    close(raws(model, made), mean, sigma**2 * way @ way.T)


def posterior(model, see, y, noise):
    """Mean and covariance of x given y = see x + noise."""
    cov, mean = model.truth.cov.double(), model.truth.mean.double()
    gain = cov @ see.T @ torch.linalg.inv(see @ cov @ see.T + noise**2 * torch.eye(len(see)))
    return mean + gain @ (y - see @ mean), cov - gain @ see @ cov


def scaled(model):
    """The identity space's one number: noise is said in encoded units."""
    return model.borders.space.scale


def test_unknown_entries_have_the_conditional_law(model):
    keep = np.array([1, 0, 0, 1])
    made = model.edit(
        model.source[:1], "inpaint", keep=keep[None], method="mmps", noise=0.02, draws=COUNT,
        **EXACT,
    )  # fmt: skip
    np.testing.assert_array_equal(
        made.raw[..., keep == 1], np.repeat(model.source[:1], COUNT, 0)[..., keep == 1]
    )
    see = torch.eye(LENGTH, dtype=torch.float64)[keep == 1]
    x = state(model, model.source[:1])[0, 0].double()
    mean, cov = posterior(model, see, see @ x, 0.02 * scaled(model))
    hidden = torch.tensor(keep == 0)
    close(raws(model, made)[:, hidden], mean[hidden], cov[hidden][:, hidden])


def test_missing_numbers_are_drawn_and_may_differ_from_item_to_item(model):
    holed = model.source.copy()
    holed[0, 0, :2], holed[1, 0, 3] = np.nan, np.nan
    made = model.fill(holed, draws=2, seed=1, **QUIET)
    assert np.isfinite(made.raw).all()
    known = np.isfinite(np.repeat(holed, 2, 0))
    np.testing.assert_array_equal(made.raw[known], np.repeat(holed, 2, 0)[known])
    assert (made.raw[::2] != made.raw[1::2]).any(axis=(1, 2)).tolist() == [True, True, False]


def test_enlarged_items_have_the_means_and_the_law(model):
    small = model.source[:1].reshape(1, 1, 2, 2).mean(-1)
    made = model.edit(small, "enlarge", noise=0.02, draws=COUNT, **EXACT)
    means = made.raw.reshape(COUNT, 1, 2, 2).mean(-1)
    np.testing.assert_allclose(means, np.repeat(small, COUNT, 0), atol=1e-5)
    see = Downsample(2)(torch.eye(LENGTH, dtype=torch.float64)[:, None])[:, 0].T
    x = state(model, model.source[:1])[0, 0].double()
    mean, cov = posterior(model, see, see @ x, 1e-6)
    odd = torch.tensor([[1.0, -1, 0, 0], [0, 0, 1, -1]], dtype=torch.float64)
    close(raws(model, made) @ odd.T, odd @ mean, odd @ cov @ odd.T)


@pytest.mark.parametrize("task", ["deblur", "denoise"])
def test_restored_items_have_the_posterior(model, task):
    rng = np.random.default_rng(3)
    see = torch.eye(LENGTH, dtype=torch.float64)
    if task == "deblur":
        see = Blur(0.8)(see[:, None])[:, 0].T
    noise = 0.3
    encoded = model.borders.codec.encode(model.source[:1])
    seen = encoded[0, 0].double() @ see.T + noise * torch.from_numpy(rng.normal(size=LENGTH))
    raw = model.borders.codec.decode(seen[None, None].float())
    extra = {"width": 0.8} if task == "deblur" else {}
    made = model.edit(raw, task, noise=noise, draws=COUNT, **extra, **EXACT)
    mean, cov = posterior(model, see, seen * scaled(model), noise * scaled(model))
    close(raws(model, made), mean, cov)
