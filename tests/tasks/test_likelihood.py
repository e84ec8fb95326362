"""log p of a trained model against the true density, in the user's units."""

import json
import math

import numpy as np
import pandas as pd
import pytest

import unfog
from unfog.cli import run as cli
from unfog.errors import ArgumentError

SMALL = {"net.width": 64, "train.looks": 0}
MEAN, ROOT = np.array([5.0, -3.0]), np.array([[2.0, 0.0], [1.5, 0.7]])


def drawn(count, seed=0):
    return (np.random.default_rng(seed).normal(size=(count, 2)) @ ROOT.T + MEAN).astype(np.float32)


def true(x):
    z = np.linalg.solve(ROOT, (x - MEAN).T)
    return -0.5 * (z**2).sum(0) - math.log(abs(np.linalg.det(ROOT))) - math.log(2 * math.pi)


def fitted(data, **more):
    settings = {**SMALL, **more}
    return unfog.fit(data, steps=600, batch=128, settings=settings, quiet=True, show=False)


@pytest.fixture(scope="module")
def model():
    return fitted(drawn(6000))


def test_the_density_is_the_true_one(model):
    x = drawn(200, seed=1)
    told = model.likelihood(x, bound=True, steps=30)
    assert abs(told.nats.mean() - true(x).mean()) < 0.05
    assert np.abs(told.nats - true(x)).mean() < 0.15
    assert (told.numbers, told.units) == (2, "the data's own units")
    assert told.bound.mean() < told.nats.mean() + 0.05
    assert told.gaps.sum() == pytest.approx((told.nats - told.bound).mean(), abs=0.3)
    np.testing.assert_allclose(told.bits_per_dim, -told.nats / 2 / math.log(2))
    far = np.array([[50.0, 50.0]], dtype=np.float32)
    assert model.log_prob(far, steps=30)[0] < told.nats.min()


def test_an_item_is_alone(model):
    x = drawn(6, seed=2)
    whole = model.log_prob(x, steps=10, probes=2)
    np.testing.assert_allclose(model.log_prob(x, steps=10, probes=2, batch=4), whole, atol=1e-4)
    assert not np.allclose(model.log_prob(x, steps=10, probes=2, seed=1), whole, atol=1e-4)


def test_whole_numbers_have_probabilities():
    """Of rounded normal numbers: the cell of each has the density's area; all cells together 1."""
    rng = np.random.default_rng(0)
    x = np.rint(rng.normal(100, 25, (4000, 1))).astype(np.int16)
    told = fitted(x).likelihood(np.arange(20, 180)[:, None], draws=4, steps=30)
    assert told.units == "whole numbers"
    assert np.exp(told.nats).sum() == pytest.approx(1, abs=0.05)
    true = -(((np.arange(60, 141) - 100) / 25) ** 2) / 2 - math.log(25 * math.sqrt(2 * math.pi))
    assert np.abs(told.nats[40:121] - true).mean() < 0.15


def test_lossy_spaces_say_so_and_tables_have_none(tmp_path):
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 40)) + 0.01 * rng.normal(size=(300, 40))
    model = unfog.fit(
        wide.astype(np.float32),
        steps=20,
        settings={**SMALL, "space": "pca", "space.components": 3},
        quiet=True,
        show=False,
    )
    told = model.likelihood(wide[:5].astype(np.float32), steps=5)
    assert told.numbers == 3
    assert "keeps 3 of 40 numbers" in told.notes[0]
    frame = pd.DataFrame({"a": rng.normal(size=100), "b": list("xy") * 50})
    table = unfog.fit(frame, steps=5, settings=SMALL, quiet=True, show=False)
    with pytest.raises(ArgumentError, match="a table run has no density"):
        table.log_prob(frame)
    with pytest.raises(ArgumentError, match="count must be 1 or more; got 0"):
        model.log_prob(wide[:5].astype(np.float32), count=0)


def test_from_the_shell(model, tmp_path, capsys):
    np.save(tmp_path / "x.npy", drawn(400))
    run, out = tmp_path / "run", tmp_path / "nats.csv"
    fit = ["fit", str(tmp_path / "x.npy"), "-o", str(run), "--steps", "30", "--set", "net.width=16"]
    assert cli(fit) == 0
    capsys.readouterr()
    asked = ["likelihood", str(run), "-o", str(out), "--steps", "5", "-n", "7", "--json"]
    assert cli(asked) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["count"] == 7
    lines = out.read_text().splitlines()
    assert lines[0] == "item,nats,error,bits_per_dim"
    mean = np.mean([float(line.split(",")[1]) for line in lines[1:]])
    assert mean == pytest.approx(told["nats"][0], rel=1e-5)
    assert cli(asked) == 2  # the file is there
    assert "is there already" in capsys.readouterr().err
