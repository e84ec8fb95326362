"""The loop, its schedule, its batches and its pace."""

import numpy as np
import pytest
import torch
from torch import nn

from unfog.maths.paths import Linear
from unfog.maths.randomness import BatchRng
from unfog.maths.targets import Velocity
from unfog.maths.times import Uniform
from unfog.maths.weights import Unit
from unfog.model.ema import Ema, exponent
from unfog.model.model import Model
from unfog.nets import nets
from unfog.train.batches import Batches
from unfog.train.loop import Diverged, Objective, train
from unfog.train.optim import adamw
from unfog.train.plan import Pace
from unfog.train.schedule import Horizon, schedules


def small(data, seed=0, **options):
    torch.manual_seed(seed)
    model = Model(nets.make("mlp", shape=[2], width=16, depth=1, vector=16), Linear(), Velocity())
    batches = Batches(len(data), 8, 0, lambda i: (data[torch.from_numpy(i)], {}))
    ema = Ema(model)
    objective = Objective(times=Uniform(), weight=Unit())
    loop = train(
        model,
        batches,
        adamw(model, lr=1e-2),
        objective,
        schedules.make("cosine"),
        seed=0,
        ema=ema,
        **options,
    )
    return model, ema, loop


def test_a_broken_batch_changes_nothing_and_is_counted():
    data = torch.randn(64, 2)
    data[5] = torch.nan  # in one batch of eight an epoch
    model, ema, loop = small(data, horizon=Horizon(8))
    before = [p.clone() for p in model.parameters()]
    seen = 0
    for progress in loop:
        after = [p.detach().clone() for p in model.parameters()]
        same = all(torch.equal(a, b) for a, b in zip(before, after))
        if progress.skipped > seen:
            assert same, "a skipped update touched the weights"
            seen = progress.skipped
        else:
            assert not same
        before = after
    assert seen == 1
    assert all(p.isfinite().all() for p in [*model.parameters(), *ema.model.parameters()])


def test_nothing_but_broken_batches_is_an_error():
    _, _, loop = small(torch.full((64, 2), torch.nan), horizon=Horizon(100), patience=7)
    with pytest.raises(Diverged, match="7 updates in a row"):
        list(loop)


def test_every_epoch_is_a_permutation_and_batches_are_stateless():
    batches = Batches(10, 4, 3, lambda i: (torch.from_numpy(i), {}))
    seen = np.concatenate([batches.index(k) for k in range(5)])
    assert sorted(seen[:10]) == list(range(10))
    assert sorted(seen[10:]) == list(range(10))
    assert not np.array_equal(seen[:10], seen[10:])
    stream = batches.since(3)
    assert np.array_equal(next(stream).index, batches.index(3))
    assert not np.array_equal(Batches(10, 4, 4, batches.fetch).index(0), batches.index(0))


@pytest.mark.parametrize("name", ["cosine", "trapezoid"])
@pytest.mark.parametrize("steps", [1, 7, 1000])
def test_the_step_size_lands_on_its_floor_at_the_last_update(name, steps):
    schedule = schedules.make(name, warmup=0.0)
    assert schedule.factor(steps - 1, steps) == pytest.approx(schedule.floor, abs=1e-12)
    assert max(schedule.factor(k, 1000) for k in range(1000)) <= 1


def test_warm_up_is_linear():
    schedule = schedules.make("constant", warmup=0.1)
    assert [schedule.factor(k, 100) for k in (0, 4, 9, 50)] == pytest.approx([0.1, 0.5, 1.0, 1.0])


@pytest.mark.parametrize("true_seconds", [0.5, 1.0, 3.0])
def test_pace_lands_on_time_whatever_the_speed(true_seconds):
    """Planned for one second a step; the machine is faster or slower."""
    horizon = Horizon(400)
    pace, now, step = Pace(horizon, 400.0, 0.0, 0), 0.0, 0
    while step < horizon.steps:
        step, now = step + 1, now + true_seconds
        pace.check(step, now)
    assert abs(now - 400) <= 0.05 * 400


def test_pace_leaves_a_run_alone_that_is_on_time():
    horizon = Horizon(400)
    pace = Pace(horizon, 400.0, 0.0, 0)
    assert not any(pace.check(step, step * 1.02) for step in range(1, 390))


def test_decay_is_for_matrices_only():
    module = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    groups = adamw(module, lr=1e-3, weight_decay=0.3).param_groups
    assert [(g["weight_decay"], {p.ndim for p in g["params"]}) for g in groups] == [
        (0.3, {2}),
        (0.0, {1}),
    ]


def test_ema_has_the_power_profile():
    """Feeding steps of a weight that is 1 only at step k gives that step's share of the average."""
    steps, length = 200, 0.1
    shares = []
    for k in (20, 100, 180, 200):
        weight = nn.Linear(1, 1, bias=False)
        ema = Ema(weight, length)
        for step in range(1, steps + 1):
            nn.init.constant_(weight.weight, float(step == k))
            ema.update(weight, step)
        shares.append(ema.model.weight.item())
    gamma = exponent(length)
    exact = [
        (1 - (1 - 1 / k) ** (gamma + 1))
        * np.prod([(1 - 1 / j) ** (gamma + 1) for j in range(k + 1, steps + 1)])
        for k in (20, 100, 180, 200)
    ]
    np.testing.assert_allclose(shares, exact, rtol=1e-4, atol=1e-7)
    t = np.linspace(0, 1, 200_001)
    density = t**gamma / (t**gamma).sum()
    spread = np.sqrt((density * t**2).sum() - (density * t).sum() ** 2)
    assert spread == pytest.approx(length, rel=1e-3)


def test_the_model_feeds_the_net_unit_variance():
    seen = {}

    class Spy(nn.Module):
        def forward(self, x_t, t, cond=None, s=None):
            seen["spread"], seen["level"] = x_t.std().item(), t
            return torch.zeros_like(x_t)

    for sigma_data in (0.3, 1.0, 4.0):
        path = Linear()
        model = Model(Spy(), path, Velocity(), sigma_data=sigma_data)
        x = sigma_data * torch.randn(4000, 4)
        for t in (0.05, 0.5, 0.95):
            noised = path.corrupt(x, torch.tensor(t), rng=BatchRng(0))
            model.answer(noised.x_t, noised.t)
            assert seen["spread"] == pytest.approx(1.0, abs=0.03)
            assert seen["level"].shape == ()
            assert 0 < seen["level"] < 1
