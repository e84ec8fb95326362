"""Every net in two processes, cut into slices or in copies, learns what it learns alone."""

import os
import socket
import subprocess
import sys

import pytest

SCRIPT = """
import torch
from unfog.maths.couplings import OptimalTransport
from unfog.maths.discrete import Masking
from unfog.maths.heads import Categories, Joint
from unfog.maths.paths import Linear
from unfog.maths.product import Product
from unfog.maths.states import each
from unfog.maths.targets import targets
from unfog.maths.times import Uniform
from unfog.maths.weights import weights
from unfog.model.ema import Ema
from unfog.model.model import Model
from unfog.nets import nets
from unfog.train.batches import Batches
from unfog.train.dist import ALONE, joined
from unfog.train.loop import Objective, train
from unfog.train.optim import adamw
from unfog.train.parallel import is_sharded, shard, whole
from unfog.train.schedule import Constant, Horizon

torch.set_num_threads(1)
given = {"label": {"type": "class", "size": 3}}
fields = {"num": {"type": "number", "size": 2}, "cat": {"type": "category", "sizes": [3, 2]}}
draw = torch.Generator().manual_seed(1)
labels = torch.arange(40) % 3
velocity = targets.make("velocity")


def run(name, options, x, path, target, coupling, cut, world):
    torch.manual_seed(3)
    model = Model(nets.make(name, given=given, **options), path, target)
    ema = Ema(model)
    if cut:
        shard(model, world)
        shard(ema.model, world)
        assert is_sharded(model)
    objective = Objective(Uniform(), weights.make("unit"), coupling, 0.2)
    fetch = lambda i: (each(lambda v: v[torch.from_numpy(i)], x), {"label": labels[i]})
    batches = Batches(40, 7, 0, fetch)
    steps = [
        (float(p.loss), p.gradient)
        for p in train(model, batches, adamw(model, lr=2e-3), objective, Constant(),
                       horizon=Horizon(4), seed=0, ema=ema, world=world)
    ]
    return torch.tensor(steps), whole(ema.tensors())


with joined() as world:
    assert world.size == 2
    cases = [
        (name, {"shape": shape}, torch.randn(40, *shape, generator=draw), Linear(), velocity, None, True)
        for name, shape in [("mlp", [3]), ("unet", [1, 8, 8]), ("dit", [1, 8, 8]), ("rnn", [2, 8]), ("points", [5, 3])]
    ]
    cases.append(("mlp", {"shape": [3]}, cases[0][2], Linear(), velocity, OptimalTransport(), False))
    both = {"num": torch.randn(40, 2, generator=draw), "cat": torch.arange(80).view(40, 2) % 2}
    path = Product({"num": Linear(), "cat": Masking((3, 2))})
    target = Joint({"num": velocity, "cat": Categories()})
    for cut in (True, False):
        cases.append(("table", {"fields": fields}, both, path, target, None, cut))
    for case in cases:
        one, weights_of_one = run(*case[:-1], False, ALONE)
        two, weights_of_two = run(*case, world)
        assert torch.allclose(one, two, rtol=1e-5), (case[0], one, two)
        assert list(weights_of_one) == list(weights_of_two)
        for key, value in weights_of_one.items():
            assert torch.allclose(value, weights_of_two[key], atol=1e-4), (case[0], key)
        if world.chief:
            print("same", case[0])
"""


@pytest.mark.slow
def test_every_net_in_slices_and_pairs_in_shares():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    announced = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    pair = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, **announced, "RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = pair[0].communicate(timeout=300)[0]
    assert [process.wait(60) for process in pair] == [0, 0]
    assert said.count("same") == 8
