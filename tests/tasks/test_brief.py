"""Runs of few updates: a net, a batch and a step size for them, unless the user has chosen."""

import numpy as np
import pytest
import torch

import unfog
from unfog.kinds.array.defaults import briefly, defaults
from unfog.nets import nets
from unfog.nets.outline import outline
from unfog.tasks.brief import BRIEFLY, HURRIED, brief_of
from unfog.tasks.recipes import recipes
from unfog.tasks.sizes import climb


def points(n=300, d=2):
    return np.random.default_rng(0).normal(size=(n, d)).astype("float32")


def fitted(**options):
    settings = {"train.looks": 0, **options.pop("settings", {})}
    return unfog.fit(points(), quiet=True, settings=settings, **options).config


def test_a_short_budget_takes_the_brief_net_and_says_so():
    config = fitted(budget=2)
    offered = briefly(2)
    assert config.net["depth"] == offered["net"]["depth"]
    assert config.net["waves"] == offered["net"]["waves"]
    assert config.train.lr == offered["lr"]
    assert config.train.batch == offered["batch"]
    assert "updates are few" in config.plan["rows"][0]["why"]


def test_steps_that_are_asked_for_keep_the_default_net():
    config = fitted(steps=2)
    assert config.net["width"] == 256
    assert config.train.lr == 1e-3


def test_what_the_user_sets_stays():
    config = fitted(budget=2, batch=32, lr=2e-3)
    assert (config.train.batch, config.train.lr) == (32, 2e-3)
    assert config.net["waves"] == 4
    config = fitted(budget=2, settings={"net.width": 48})
    assert config.net["width"] == 48
    assert config.net["waves"] == 0
    assert config.train.lr == 1e-3


@pytest.mark.parametrize("recipe", ["rectified", "flowmap", "few"])
def test_recipes_of_their_own_shape_have_no_brief_net(recipe):
    chosen, offered = recipes[recipe], defaults((2,), 500)
    assert brief_of(offered, chosen, (), {"batch": 1, "lr": 1.0}) is None


def test_grids_have_no_brief_net_and_sizes_of_rows_have_the_same_rule():
    assert defaults((1, 16, 16), 5000)["brief"] is None
    assert defaults((2,), 100)["brief"] == defaults((8,), 100_000)["brief"]
    assert defaults((64,), 100)["brief"]["net"]["width"] > briefly(2)["net"]["width"]


def test_a_hurried_run_halves_the_width():
    brief = brief_of(defaults((2,), 500), recipes["flow"], (), {})
    sizes = brief.sizes()
    for has, wanted in ((HURRIED - 1, 0), (HURRIED, 1), (BRIEFLY, 1)):
        size, _ = climb(sizes, 1, lambda _, has=has: has, lambda _: None, enough=HURRIED)
        assert size is sizes[wanted]
    assert sizes[0].net["width"] == sizes[1].net["width"] / 2


def test_waves_are_seen_and_zero_of_them_is_the_net_of_before():
    plain, waved = (nets.make("mlp", shape=[3], width=16, depth=1, waves=k) for k in (0, 4))
    assert plain.first.in_features == 3
    assert waved.first.in_features == 3 * (1 + 2 * 4)
    x = torch.zeros(2, 3)
    x[1] = 4 * torch.pi  # a whole period of every octave: all waves are the same there
    inner = []
    waved.first.register_forward_hook(lambda _, given, __: inner.append(given[0]))
    waved(x, torch.tensor(0.5))
    assert torch.allclose(inner[0][0, 3:], inner[0][1, 3:], atol=1e-4)
    assert torch.equal(inner[0][:, :3], x)


def test_an_outline_has_the_shapes_of_the_net_and_nothing_else():
    options = {"shape": [3], "width": 16, "depth": 2, "waves": 2}
    with outline():
        empty = nets.make("mlp", **options)
    whole = nets.make("mlp", **options).state_dict()
    assert {n: v.shape for n, v in empty.state_dict().items()} == {
        n: v.shape for n, v in whole.items()
    }
    assert all(p.is_meta for p in empty.parameters())
