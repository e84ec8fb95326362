"""Stable targets in a run: who has them by default, who is refused, and what they are worth."""

import numpy as np
import pytest
import torch

import unfog
from unfog.errors import ArgumentError
from unfog.maths.paths import Linear
from unfog.maths.randomness import BatchRng
from unfog.maths.truth import empirical

QUICK = {"steps": 20, "quiet": True, "show": False}


def ring(count):
    """`count` points in a ring of thirty places, of unit variance."""
    angle = np.linspace(0, 2 * np.pi, 30, endpoint=False)[np.arange(count) % 30]
    return (np.sqrt(2) * np.stack([np.cos(angle), np.sin(angle)], 1)).astype(np.float32)


def test_small_arrays_have_them_unless_asked_otherwise():
    assert unfog.fit(ring(60), **QUICK).config.train.stable
    assert not unfog.fit(ring(60), settings={"train.stable": False}, **QUICK).config.train.stable
    assert not unfog.fit(ring(60), recipe="ddpm", **QUICK).config.train.stable
    alias = unfog.fit(ring(60), settings={"coupling": "none"}, **QUICK)
    assert alias.config.train.stable
    wide = np.random.default_rng(0).normal(size=(60, 9))  # few items are likely then
    assert not unfog.fit(wide, **QUICK).config.train.stable
    paired = unfog.fit(ring(60), settings={"coupling": "optimal_transport"}, **QUICK)
    assert not paired.config.train.stable


@pytest.mark.parametrize(
    ("settings", "more", "why"),
    [
        ({"coupling": "optimal_transport"}, {}, "coupling 'optimal_transport' has chosen"),
        ({}, {"recipe": "flowmap"}, "recipe 'flowmap' has targets of its own"),
        ({}, {"recipe": "reflow"}, "recipe 'reflow' has targets of its own"),
        ({"path.centred": True}, {}, "a centred path"),
    ],
)
def test_where_they_can_not_be_they_are_refused_with_the_reason(settings, more, why):
    with pytest.raises(ArgumentError, match=f"train.stable=True takes the mean .* {why}"):
        unfog.fit(ring(60), settings={"train.stable": True, **settings}, **more, **QUICK)


def test_tables_and_conditions_are_refused():
    from sklearn.datasets import load_wine

    wine = load_wine(as_frame=True).frame
    with pytest.raises(ArgumentError, match="this data has columns"):
        unfog.fit(wine, settings={"train.stable": True}, **QUICK)


def test_as_many_updates_come_nearer_to_the_exact_predictor():
    data, path = torch.from_numpy(ring(30)), Linear()
    t = torch.linspace(0.1, 0.9, 2000)
    noised = path.corrupt(data[torch.arange(2000) % 30], t, rng=BatchRng(9))
    exact = empirical(data).predictor(path)(noised.x_t, t)

    def away(stable):
        model = unfog.fit(
            ring(60),
            steps=300,
            held=0,
            batch=128,
            quiet=True,
            settings={"train.stable": stable, "net.width": 64, "net.waves": 4, "train.looks": 0,
                      "train.lr": 8e-3, "train.stop_at": "never", "space": "identity"},
        )  # fmt: skip
        with torch.no_grad():
            return float((model.net.predict(noised.x_t, t) - exact).square().mean())

    assert away(True) < 0.2 * away(False)


def test_two_pieces_learn_what_one_batch_does():
    settings = {"train.stable": True, "train.looks": 0}
    one = unfog.fit(ring(64), settings=settings, **QUICK)
    two = unfog.fit(ring(64), settings={**settings, "train.micro": 20}, **QUICK)
    a, b = (np.asarray(m.sample(50, seed=1, show=False).data) for m in (one, two))
    np.testing.assert_allclose(a, b, atol=1e-3)
