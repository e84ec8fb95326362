"""Measurements and in-painting on a trained model: y is explained, known pixels are bit-equal."""

import numpy as np
import pytest
import torch

import unfog
from unfog.errors import ArgumentError, ShapeError, UnknownName
from unfog.guide.operators import Downsample
from unfog.tasks.inpaint import inpainted
from unfog.tasks.measure import METHODS, measured

OPERATOR = {"name": "downsample", "factor": 2}


@pytest.fixture(scope="module", params=["identity", "pca"])
def model(request):
    """Smooth blobs at a random place: four numbers of a blob tell the rest."""
    rng = np.random.default_rng(0)
    at = rng.uniform(2, 6, (400, 2, 1, 1))
    y, x = np.mgrid[:8, :8]
    blobs = np.exp(-((y - at[:, 0]) ** 2 + (x - at[:, 1]) ** 2) / 6)
    data = (255 * blobs).round().astype(np.uint8)
    return unfog.fit(
        data,
        steps=250,
        batch=64,
        settings={"net": "mlp", "net.width": 96, "net.depth": 2, "space": request.param},
        quiet=True,
    ), data


@pytest.mark.parametrize("method", [*METHODS, "particles"])
def test_samples_explain_the_measurement(model, method):
    model, data = model
    clean = model.borders.codec.encode(data[:6, ..., None])
    small = Downsample(2)(clean)
    found = measured(model, small, OPERATOR, noise=0.1, method=method, steps=30, show=False)
    free = model.sample(6, steps=30, show=False)
    off = (Downsample(2)(free.state) - small).square().mean().sqrt().item() / 0.1
    assert found.misfit.mean() < 0.6 * off, (found.misfit, off)
    assert len(found.samples) == 6
    assert (found.ess is None) == (method != "particles")
    near = (found.samples.state - clean).square().mean()
    assert near < 0.6 * (free.state - clean).square().mean()


def test_pixels_do_as_y_and_a_draw_does_not_depend_on_its_batch(model):
    model, data = model
    small = data[:4].reshape(4, 4, 2, 4, 2).mean((2, 4)).round().astype(np.uint8)
    choices = {"noise": 0.1, "method": "dps", "steps": 5, "seed": 3, "show": False}
    whole = measured(model, small, OPERATOR, **choices)
    parts = measured(model, small, OPERATOR, batch=2, **choices)
    torch.testing.assert_close(whole.samples.state, parts.samples.state, rtol=0, atol=1e-4)
    with pytest.raises(ArgumentError, match="2 measurements, for 4 samples"):
        measured(model, small[:2], OPERATOR, count=4, **choices)


@pytest.mark.parametrize("method", ["dps", "mmps", "replace", "resample"])
def test_known_pixels_are_bit_equal(model, method):
    model, data = model
    keep = np.zeros((8, 8), dtype=bool)
    keep[:, :5] = True
    if method in ("replace", "resample") and model.config.space["name"] != "identity":
        with pytest.raises(ArgumentError, match="use mmps or dps"):
            inpainted(model, data[:6], keep, method=method)
        return
    got = inpainted(model, data[:6], keep, method=method, steps=30, show=False)
    assert got.raw.dtype == np.uint8
    np.testing.assert_array_equal(got.raw[:, keep, 0], data[:6, keep])
    free = model.sample(6, steps=30, show=False).raw[..., 0].astype(float)
    off = [
        np.abs(x[:, ~keep] - data[:6, ~keep]).mean() for x in (got.raw[..., 0].astype(float), free)
    ]
    assert off[0] < 0.7 * off[1], off


def test_refusals(model):
    model, data = model
    with pytest.raises(ArgumentError, match="did you mean 'mmps'"):
        measured(model, data[:1], "mean", method="mmp")
    with pytest.raises(UnknownName, match="unknown operator"):
        measured(model, data[:1], "squeeze")
    with pytest.raises(ArgumentError, match="units of the encoded data"):
        measured(model, np.zeros(3), "mean")
    with pytest.raises(ArgumentError, match="noise > 0"):
        measured(model, torch.zeros(1), "mean", method="particles")
    with pytest.raises(ShapeError, match="first part"):
        inpainted(model, data[:1], np.ones((3, 3), bool))
