"""Augmentation: what is told is what was done, and samples have none of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unfog.errors import ArgumentError, UnknownName
from unfog.kinds.image.augment import SIZES, Augment
from unfog.maths.grids import grids
from unfog.maths.paths import paths
from unfog.maths.randomness import BatchRng
from unfog.maths.targets import targets
from unfog.maths.times import times
from unfog.maths.weights import weights
from unfog.model.ema import Ema
from unfog.model.model import Model
from unfog.nets import dropout, nets, null
from unfog.sample.loop import sample
from unfog.sample.randomness import SampleRng
from unfog.sample.solvers import solvers
from unfog.train.batches import Batches
from unfog.train.loop import Objective, train
from unfog.train.optim import adamw
from unfog.train.schedule import Horizon, schedules


def images(count: int = 600, channels: int = 3, height: int = 12, width: int = 12) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randn(count, channels, height, width, generator=rng).clamp(-1, 1)


def test_nothing_done_is_told_as_zeros_and_leaves_every_bit() -> None:
    x = images()
    made, how = Augment(0.12)(x, BatchRng(0, 1))
    assert how.shape == (600, Augment(0.12).size)
    untouched = (how == 0).all(1)
    assert 0.2 < untouched.float().mean() < 0.5  # (1 - 0.12)^8 = 0.36
    assert torch.equal(made[untouched], x[untouched])
    changed = (made != x).flatten(1).any(1)
    assert torch.equal(changed, ~untouched)


def test_the_same_key_draws_the_same_and_another_draws_another() -> None:
    x, augment = images(), Augment(0.3)
    first, again, other = (augment(x, BatchRng(0, key)) for key in (1, 1, 2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])


@pytest.mark.parametrize("name", list(SIZES))
def test_each_happens_as_often_as_asked_and_says_how(name: str) -> None:
    x = images(2000, 1, 8, 8)
    made, how = Augment(0.25, which=(name,))(x, BatchRng(3))
    done = (how != 0).any(1)
    assert abs(float(done.float().mean()) - 0.25) < 5 * (0.25 * 0.75 / 2000) ** 0.5
    assert torch.equal(made[~done], x[~done])
    flat = how[done]
    places = [
        p
        for p, one in enumerate(n for n, size in SIZES.items() for _ in range(size))
        if one != name
    ]
    assert float(flat[:, places].abs().max()) == 0


def test_what_is_told_is_what_was_done() -> None:
    x = images(400)
    made, how = Augment(1.0, which=("mirror",))(x, BatchRng(0))
    assert torch.equal(made, x.flip(3))
    made, how = Augment(1.0, which=("turn",))(x, BatchRng(0))
    for quarters, cos, sin in ((1, -1, 1), (2, -2, 0), (3, -1, -1)):
        these = (how[:, 2] == cos) & (how[:, 3] == sin)
        assert 0.25 < these.float().mean() < 0.42
        assert torch.equal(made[these], x[these].rot90(quarters, (2, 3)))
    made, how = Augment(1.0, which=("brightness",))(x, BatchRng(0))
    assert torch.allclose((made - x).mean((1, 2, 3)), 0.2 * how[:, 9], atol=1e-5)
    wide = images(400, 1, 16, 16)
    spot = torch.zeros_like(wide)
    spot[:, :, 7:9, 7:9] = 1
    made, how = Augment(1.0, which=("shift",))(spot, BatchRng(1))
    inside = (how[:, 4:6].abs() < 1.5).all(1)
    columns = (made * torch.arange(16.0)).sum((1, 2, 3)) / made.sum((1, 2, 3))
    assert torch.allclose((columns - 7.5)[inside], (2 * how[:, 4])[inside], atol=0.1)
    made, how = Augment(1.0, which=("rotate",))(wide, BatchRng(1))
    assert float((how[:, 7] + 1).square().add(how[:, 8].square()).sub(1).abs().max()) < 1e-5
    made, how = Augment(1.0, which=("turn",))(images(50, 1, 8, 12), BatchRng(0))
    assert float(how.abs().max()) == 0  # not square


def test_alpha_is_not_brightened() -> None:
    x = images(50, 4)
    made, _ = Augment(1.0, which=("brightness", "contrast"))(x, BatchRng(0))
    assert torch.equal(made[:, 3], x[:, 3])
    assert not torch.equal(made[:, :3], x[:, :3])


def test_wrong_asks() -> None:
    for wrong in (0, -1, 1.5, "much", float("nan")):
        with pytest.raises(ArgumentError, match="no probability"):
            Augment(wrong)
    with pytest.raises(UnknownName, match="did you mean 'mirror'"):
        Augment(0.5, which=("mirorr",))


def test_augmentation_never_drops_out_and_is_none_where_unsaid() -> None:
    given = {"augment": {"type": "augment", "size": 3}, "label": {"type": "class", "size": 2}}
    cond = {"augment": torch.ones(50, 3), "label": torch.ones(50, dtype=torch.long)}
    lost = dropout(cond, given, 0.9, torch.zeros(2, 50), joint=1.0, joint_draw=torch.zeros(50))
    assert torch.equal(lost["augment"], cond["augment"])
    assert bool((lost["label"] == -1).all())
    assert torch.equal(null(given, 4)["augment"], torch.zeros(4, 3))
    net = nets.make("mlp", shape=[4], width=16, given=given)
    with torch.no_grad():
        for value in net.parameters():
            value.add_(torch.randn(value.shape, generator=torch.Generator().manual_seed(1)) / 4)
        x, t = torch.randn(5, 4), torch.tensor(0.5)
        zeros = net(x, t, {"augment": torch.zeros(5, 3)})
        torch.testing.assert_close(net(x, t), zeros)  # one row says it of all: rounding
        assert not torch.allclose(net(x, t, {"augment": torch.ones(5, 3)}), zeros)


LETTER = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0]])  # an F


def letters(count: int) -> torch.Tensor:
    """F at one of 9 places in 8×8 pixels, with a little noise."""
    rng = np.random.default_rng(0)
    made = rng.normal(0, 0.1, (count, 1, 8, 8)) - 1
    for row in made:
        top, left = rng.integers(0, 3, 2)
        row[0, top : top + 5, left : left + 4] += 2 * LETTER
    return torch.from_numpy(made).float()


def mirrored(x: torch.Tensor) -> float:
    """Share of images that the nearest template, over all places, is a mirrored F for."""
    templates = {False: [], True: []}
    for flip in templates:
        for top in range(4):
            for left in range(5):
                one = torch.full((8, 8), -1.0)
                letter = torch.from_numpy(LETTER[:, ::-1].copy() if flip else LETTER)
                one[top : top + 5, left : left + 4] += 2 * letter
                templates[flip].append(one)
    away = {
        k: torch.cdist(x.flatten(1), torch.stack(v).flatten(1)).amin(1)
        for k, v in templates.items()
    }
    return float((away[True] < away[False]).float().mean())


def learnt(told: bool) -> torch.Tensor:
    """200 samples of a net that learnt letters, half of them mirrored, told so or not."""
    data, augment = letters(512), Augment(0.5, which=("mirror",))

    def changed(x, cond, rng):
        x, how = augment(x, rng)
        return x, ({"augment": how} if told else cond)

    given = {"augment": {"type": "augment", "size": augment.size}} if told else None
    torch.manual_seed(0)
    net = nets.make("mlp", shape=[1, 8, 8], width=192, depth=3, given=given)
    path = paths.make("linear")
    model = Model(net, path, targets.make("velocity"), sigma_data=float(data.std()))
    ema, steps = Ema(model, 0.1), 400
    loop = train(
        model,
        Batches(512, 128, 0, lambda index: (data[torch.from_numpy(index)], {}), changed),
        adamw(model, lr=2e-3, betas=(0.9, 0.99), weight_decay=0.0),
        Objective(times.make("logit_normal"), weights.make("unit")),
        schedules.make("cosine"),
        horizon=Horizon(steps),
        seed=0,
        ema=ema,
    )
    assert sum(1 for _ in loop) == steps
    rng = SampleRng(0, range(200))
    x_t = path.prior(torch.empty(200, 1, 8, 8), rng=rng)
    grid = grids.make("uniform")(path, 20)
    with torch.no_grad():
        for step in sample(
            ema.model.eval().bind(None), path, solvers.make("heun"), x_t, grid, rng=rng
        ):
            x_t = step.x
    return x_t


@pytest.mark.slow
def test_augmentation_does_not_leak_into_samples() -> None:
    assert mirrored(letters(200)) == 0
    assert mirrored(letters(200).flip(3)) == 1
    assert mirrored(learnt(told=True)) < 0.03
    assert 0.3 < mirrored(learnt(told=False)) < 0.7
