"""One objective and one loop for a mixed table, and for angles: learnt, not only shaped."""

import math

import pytest
import torch

from unfog.judge.twosample import energy_test
from unfog.maths.discrete import Masking
from unfog.maths.grids import grids
from unfog.maths.heads import Categories, Joint, Tangent
from unfog.maths.manifolds import Torus
from unfog.maths.paths import Linear
from unfog.maths.product import Product
from unfog.maths.randomness import BatchRng
from unfog.maths.targets import Velocity
from unfog.maths.times import Uniform
from unfog.maths.weights import Unit
from unfog.model.ema import Ema
from unfog.model.model import Model
from unfog.nets import nets
from unfog.sample.loop import sample
from unfog.sample.solvers import solvers
from unfog.train.batches import Batches
from unfog.train.loop import Objective, train
from unfog.train.optim import adamw
from unfog.train.schedule import CosineFall, Horizon


def learnt(net, path, target, data, steps, lr):
    """The averaged model after `steps` updates on `data` (a tensor or a dict of tensors)."""
    model = Model(net, path, target)
    ema = Ema(model, 0.1)

    def fetch(index):
        index = torch.from_numpy(index)
        picked = {n: v[index] for n, v in data.items()} if isinstance(data, dict) else data[index]
        return picked, {}

    count = len(next(iter(data.values())) if isinstance(data, dict) else data)
    objective = Objective(times=Uniform(), weight=Unit())
    for _ in train(
        model,
        Batches(count, 256, 0, fetch),
        adamw(model, lr=lr),
        objective,
        CosineFall(),
        horizon=Horizon(steps),
        seed=0,
        ema=ema,
    ):
        pass
    return ema.model


@torch.no_grad()
def drawn(model, like, steps, solver="multistep"):
    x = model.path.prior(like, rng=BatchRng(5))
    cut = grids.make("linear")(Linear(), steps)
    for step in sample(model.bind(None), model.path, solvers.make(solver), x, cut, rng=BatchRng(6)):
        x = step.x
    return x


def table(count, seed):
    """Two numbers and a category that depend on each other: the category says which blob."""
    rng = BatchRng(seed)
    kind = (rng.uniform(torch.empty(count)) * 3).long()
    centre = torch.tensor([[-1.2, 0.0], [1.2, 0.6], [0.0, -1.2]])[kind]
    return {"num": centre + 0.3 * rng.normal(centre), "cat": kind[:, None]}


@pytest.mark.slow
def test_a_mixed_table_is_learnt_as_one():
    torch.manual_seed(0)
    fields = {"num": {"type": "number", "size": 2}, "cat": {"type": "category", "sizes": [3]}}
    path = Product({"num": Linear(), "cat": Masking((3,))})
    target = Joint({"num": Velocity(), "cat": Categories()})
    model = learnt(
        nets.make("sets", fields=fields, width=64, depth=2), path, target, table(6000, 1), 700, 2e-3
    )
    like = {"num": torch.empty(500, 2), "cat": torch.zeros(500, 1, dtype=torch.long)}
    got, fresh = drawn(model, like, 60), table(500, 2)
    assert got["cat"].dtype == torch.long
    assert set(got["cat"].unique().tolist()) == {0, 1, 2}

    def joint(x):
        return torch.cat([x["num"], 2 * torch.nn.functional.one_hot(x["cat"][:, 0], 3)], 1)

    # numbers and category together; a net that ignores one given the other is far off
    p = energy_test(
        joint(got), joint(fresh), permutations=499, generator=torch.Generator().manual_seed(0)
    )
    assert p > 0.002, p
    apart = {
        "num": got["num"],
        "cat": got["cat"][torch.randperm(500, generator=torch.Generator().manual_seed(1))],
    }
    assert (
        energy_test(
            joint(apart), joint(fresh), permutations=499, generator=torch.Generator().manual_seed(0)
        )
        <= 0.002
    )


@pytest.mark.slow
def test_angles_are_learnt_across_the_cut():
    """Two arcs, one of them across +-pi, where a mean of angles would fail."""
    torch.manual_seed(0)

    def angles(count, seed):
        rng = BatchRng(seed)
        centre = torch.where(rng.uniform(torch.empty(count, 1)) < 0.5, math.pi, 0.4)
        return torch.remainder(centre + 0.25 * rng.normal(centre) + math.pi, 2 * math.pi) - math.pi

    class Circle(torch.nn.Module):
        """A perceptron that sees the angle as a point on the circle."""

        def __init__(self):
            super().__init__()
            self.inner = nets.make("mlp", shape=[2], width=128, depth=2, out_channels=1)

        def forward(self, x_t, t, cond=None, s=None):
            return self.inner(torch.cat([x_t.cos(), x_t.sin()], 1), t, cond, s)

    model = learnt(Circle(), Torus(), Tangent(), angles(6000, 1), 700, 2e-3)
    got, fresh = drawn(model, torch.empty(500, 1), 60, "euler"), angles(500, 2)

    def flat(x):
        return torch.cat([x.cos(), x.sin()], 1)

    p = energy_test(
        flat(got), flat(fresh), permutations=499, generator=torch.Generator().manual_seed(0)
    )
    assert p > 0.002, p
