"""Out of memory: the same update in pieces, with a note; exit 5 where one item does not fit. (Row 17.)"""

import json
import sys

import pytest
import torch
from conftest import SETTINGS

from unfog.cli import run as command
from unfog.errors import ArgumentError, ResourceError, out_of_memory
from unfog.failpoints import arm
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
from unfog.tasks.fit import fit as learn
from unfog.train.batches import Batches
from unfog.train.dist import World
from unfog.train.loop import Objective, train
from unfog.train.optim import adamw
from unfog.train.pieces import Pieces
from unfog.train.schedule import Constant, Horizon
from unfog.train.share import Share

TOTAL = 13


def updates(x, net, path, target, coupling, micro):
    """Losses, times and gradient norms of a few updates, the average after them, the first gradient,
    and what was said."""
    torch.manual_seed(3)
    given = {"label": {"type": "class", "size": 3}}
    model = Model(nets.make(net[0], given=given, **net[1]), path, target)
    labels, ema = torch.arange(40) % 3, Ema(model)
    batches = Batches(
        40, TOTAL, 0, lambda i: (each(lambda v: v[torch.from_numpy(i)], x), {"label": labels[i]})
    )
    objective = Objective(Uniform(), weights.make("unit"), coupling, 0.3)
    seen, said, slopes = [], [], None
    for progress in train(
        model, batches, adamw(model, lr=2e-3), objective, Constant(), horizon=Horizon(3), seed=0, ema=ema, micro=micro
    ):  # fmt: skip
        seen.append(torch.cat([progress.losses, progress.times, torch.tensor([progress.gradient])]))
        said += progress.said
        if slopes is None:
            slopes = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    average = torch.cat([v.flatten() for v in ema.tensors().values()])
    return torch.stack(seen), average, slopes, said


draw = torch.Generator().manual_seed(1)
NUMBERS, PICTURES = torch.randn(40, 3, generator=draw), torch.randn(40, 1, 8, 8, generator=draw)
MIXED = {"num": NUMBERS[:, :2], "cat": torch.arange(80).view(40, 2) % 2}
FIELDS = {"num": {"type": "number", "size": 2}, "cat": {"type": "category", "sizes": [3, 2]}}
VELOCITY = targets.make("velocity")
CASES = {
    "numbers": (NUMBERS, ("mlp", {"shape": [3]}), Linear(), VELOCITY, None),
    "pictures": (PICTURES, ("unet", {"shape": [1, 8, 8]}), Linear(), VELOCITY, None),
    "pairs": (NUMBERS, ("mlp", {"shape": [3]}), Linear(), VELOCITY, OptimalTransport()),
    "a table": (
        MIXED,
        ("table", {"fields": FIELDS}),
        Product({"num": Linear(), "cat": Masking((3, 2))}),
        Joint({"num": VELOCITY, "cat": Categories()}),
        None,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_update_in_pieces_is_the_update_of_the_batch(name):
    """Asked for, and after memory ran out: first at the whole, then at the larger pieces."""
    whole, average, slopes, _ = updates(*CASES[name], None)
    asked = updates(*CASES[name], 1 if name == "numbers" else 5)
    with arm("train.rows@5-=oom"):
        cut = updates(*CASES[name], None)
    assert asked[3] == []
    assert [text.split(";")[0] for text in cut[3]] == [
        "step 1: memory did not hold 13 items at once",
        "step 1: memory did not hold 5 items at once",
    ]
    for seen, other, gradient, _ in (asked, cut):
        assert torch.allclose(gradient, slopes, atol=1e-5 * float(slopes.abs().max()))
        assert torch.allclose(whole, seen, rtol=1e-5, atol=1e-5)
        assert torch.allclose(average, other, atol=1e-4)  # Adam makes large what is nearly nothing


def test_one_piece_is_bit_equal():
    whole, average, *_ = updates(*CASES["numbers"], None)
    same, other, *_ = updates(*CASES["numbers"], TOTAL)
    assert torch.equal(whole, same)
    assert torch.equal(average, other)


@pytest.mark.parametrize(("size", "micro"), [(1, 5), (1, 1), (2, 4), (3, 2), (4, 1), (5, 100)])
def test_pieces_are_the_rows_in_order_and_as_many_in_every_process(size, micro):
    cuts = [Pieces(World(rank, size).share(TOTAL), size, micro).cut() for rank in range(size)]
    assert len({len(cut) for cut in cuts}) == 1
    rows = [i for cut in cuts for part in cut for i in range(part.start, part.stop)]
    assert rows == list(range(TOTAL))
    assert all(1 <= part.rows <= micro + (size > 1) for cut in cuts for part in cut)


def test_what_can_not_be_halved_is_said():
    with pytest.raises(ResourceError, match="even with one item at a time") as caught:
        Pieces(Share(0, 4, 4), micro=1).halve()
    assert caught.value.exit_code == 5
    with pytest.raises(ResourceError, match=r"--resume --set train\.micro=3"):
        Pieces(Share(0, 7, 14), size=2).halve()


def test_every_way_to_say_that_memory_ran_out_is_understood():
    assert out_of_memory(MemoryError())
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert out_of_memory(caught.value)
    assert not out_of_memory(RuntimeError("size mismatch"))


def test_a_run_that_memory_cut_says_so_and_keeps_it(source, tmp_path, capsys):
    """In the log, in the configuration at the end, and on resumption."""
    run = tmp_path / "run"
    with arm("train.rows@9-=oom"):
        learn(source, out=run, steps=20, batch=32, settings=SETTINGS)
    said = capsys.readouterr().err
    assert "note: step 1: memory did not hold 32 items at once" in said
    assert "the batch of 32 now comes in 4 pieces of 8 at most, with the same noise" in said
    assert json.loads((run / "config.json").read_text())["train"]["micro"] == 8
    [state] = sorted((run / "checkpoints").glob("*/state.json"))[-1:]
    assert json.loads(state.read_text())["micro"] == 8
    lines = [json.loads(x) for x in (run / "metrics.jsonl").read_text().splitlines()]
    assert "memory did not hold" in lines[0]["said"]


def test_a_run_may_be_resumed_in_smaller_pieces(source, tmp_path):
    run = tmp_path / "run"
    learn(source, out=run, steps=3, batch=32, settings=SETTINGS, quiet=True)
    with pytest.raises(ArgumentError, match="started with set"):
        learn(source, out=run, resume=True, settings={"train.clip": 2.0}, quiet=True)
    with pytest.raises(ArgumentError, match=r"train\.micro"):
        learn(source, out=run, resume=True, settings={"train.micro": 0}, quiet=True)
    model = learn(source, out=run, resume=True, settings={"train.micro": 4}, quiet=True)
    assert model.config.train.micro == 4


def test_memory_that_holds_nothing_ends_with_code_5(source, tmp_path, capsys):
    asked = ["fit", str(source), "-o", str(tmp_path / "run"), "--steps", "3", "--batch", "8"]
    with arm("train.rows=oom"):
        assert command(asked) == 5
    said = capsys.readouterr().err
    assert "not enough memory for an update, even with one item at a time" in said
    assert "Traceback" not in said


LIMITED = """
import resource, sys
import numpy as np, torch
torch.set_num_threads(1)
from unfog.cli import run
import unfog.tasks.fit, torch.utils.tensorboard
import torch._dynamo, matplotlib.pyplot, scipy.stats
out = sys.argv[1]
np.save(out + "/x.npy", np.random.default_rng(0).normal(size=(600, 8)).astype(np.float32))
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
more = held + int(sys.argv[2]) * 10**6
resource.setrlimit(resource.RLIMIT_AS, (more, more))
sys.exit(run(["fit", out + "/x.npy", "-o", out + "/run", "--steps", "4", "--batch", "65536",
              "--set", "net=mlp", "--set", "net.width=64", "--set", "net.depth=3"]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_real_memory_that_runs_out_is_halved_until_it_fits(tmp_path):
    """`ulimit -v`: the allocator itself refuses."""
    import os
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path), "300"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "memory did not hold 65536 items at once" in done.stderr
    micro = json.loads((tmp_path / "run" / "config.json").read_text())["train"]["micro"]
    assert 1 <= micro <= 32768
