"""Training through torch's compiler: the same numbers, chosen where it repays, done without where it
fails.
"""

import json
import shutil
import signal

import numpy as np
import pytest
import torch

import unfog
from unfog.errors import ArgumentError, Stopped
from unfog.model.compiled import Compiled
from unfog.tasks.assemble import build_model
from unfog.tasks.compiling import LEAST, compiled
from unfog.tasks.fit import fit
from unfog.tasks.sizes import Size
from unfog.tasks.teach import learning
from unfog.tasks.within import Arrangement
from unfog.train.batches import Batches
from unfog.train.plan import Cost, measure

SMALL = {"net.width": 16, "net.depth": 1, "train.batch": 16, "train.looks": 0}
NO_COMPILER = not any(shutil.which(name) for name in ("g++", "clang++", "c++"))


def numbers(n=300, d=4):
    return np.random.default_rng(0).normal(size=(n, d)).astype("float32")


class Table:
    """Trials whose costs are given: compiled way -> (seconds an update, seconds of compiling)."""

    def __init__(self, config, costs, device="cpu", way=None):
        self.given, self.costs, self.device = config, costs, torch.device(device)
        self.arranged, self.asked = way or Arrangement(), []

    def config(self, size):
        return self.given

    def way(self, size):
        return self.arranged

    def trial(self, size, precision, threads, way):
        self.asked.append(way)
        if self.costs[way] is None:
            return Cost(precision, threads, 1.0, compiled=way, failed="no compiler here")
        each, once = self.costs[way]
        return Cost(precision, threads, each, compiled=way, compiling=once)


@pytest.fixture(scope="module")
def config():
    return unfog.fit(numbers(), steps=1, settings=SMALL, quiet=True).config


def as_auto(config, **train):
    changed = config.train.model_copy(update={"compile": "auto", **train})
    return config.model_copy(update={"train": changed, "net": {"name": "unet"}})


PLAIN = Cost("float32", 1, 0.3)
SIZE = Size("the default size", {"name": "mlp"}, 16)


@pytest.mark.parametrize(
    ("each", "seconds", "taken"),
    [
        (0.27, LEAST["cpu"], True),
        (0.27, 0.99 * LEAST["cpu"], False),  # not even tried
        (0.299, 10 * LEAST["cpu"], False),  # a gain that timings can't show
        (0.4, 10 * LEAST["cpu"], False),
    ],
)
def test_it_is_taken_where_it_is_faster_and_tried_where_that_may_repay(
    config, each, seconds, taken
):
    trials = Table(as_auto(config), {"kernels": (each, 100)})
    cost, why = compiled(trials, SIZE, PLAIN, seconds)
    assert cost.compiled == ("kernels" if taken else "no")
    assert why.startswith("measured" if trials.asked else "not tried")


def test_a_graph_is_tried_on_cuda_alone_and_the_best_of_all_is_taken(config):
    costs = {"kernels": (0.2, 60), "graphs": (0.1, 10)}
    on_cuda = Table(as_auto(config), costs, "cuda")
    assert compiled(on_cuda, SIZE, PLAIN, 600)[0].compiled == "graphs"
    assert on_cuda.asked == ["kernels", "graphs"]
    on_cpu = Table(as_auto(config), costs)
    assert compiled(on_cpu, SIZE, PLAIN, 7200)[0].compiled == "kernels"
    assert on_cpu.asked == ["kernels"]


def test_a_compiler_that_fails_is_named_and_left_out(config):
    trials = Table(as_auto(config), {"kernels": None})
    cost, why = compiled(trials, SIZE, PLAIN, 7200)
    assert cost is PLAIN
    assert "no compiler here" in why
    forced = Table(as_auto(config, compile="kernels"), {"kernels": None})
    assert compiled(forced, SIZE, PLAIN, None) == (PLAIN, "it failed: no compiler here")


def test_what_does_not_suit_a_compiler_is_not_tried(config):
    costs = {"kernels": (0.1, 1)}
    dropped = as_auto(config).model_copy(update={"net": {"name": "unet", "dropout": 0.1}})
    for trials, word in [
        (Table(as_auto(config, crop=0.5), costs), "crops"),
        (Table(dropped, costs), "dropped"),
        (Table(as_auto(config), costs, way=Arrangement(8)), "pieces"),
        (Table(as_auto(config), costs, "mps"), "mps"),
        (Table(as_auto(config).model_copy(update={"net": config.net}), costs), "perceptron"),
        (Table(as_auto(config, compile="no"), costs), "as asked for"),
    ]:
        cost, why = compiled(trials, SIZE, PLAIN, 7200)
        assert cost is PLAIN
        assert word in why
        assert trials.asked == []
    fixed = Table(as_auto(config), costs)
    assert "bit for bit" in compiled(fixed, SIZE, PLAIN, None)[1]
    assert "dry" in compiled(fixed, SIZE, PLAIN, 7200, dry=True)[1]
    assert fixed.asked == []


def test_the_plan_says_what_was_decided(tmp_path):
    facts = unfog.fit(numbers(), budget="20s", settings=SMALL, dry_run=True, quiet=True)
    row = next(row for row in facts["rows"] if row["what"] == "compiler")
    assert row["choice"] == "not used"
    assert "seldom repays" in row["why"]
    with pytest.raises(ArgumentError, match="compile"):
        unfog.fit(numbers(), steps=1, settings={"train.compile": "yes"}, quiet=True)


def test_a_run_goes_on_without_a_compiler_that_fails(tmp_path, monkeypatch, capsys):
    """As on a machine without one; its numbers are then those of a run that never asked."""

    def broken(net, **how):
        def fails(*inputs):
            raise RuntimeError("no working C++ compiler\nmore lines")

        return fails

    plain = fit(numbers(), out=tmp_path / "plain", steps=5, settings=SMALL, quiet=True)
    monkeypatch.setattr(torch, "compile", broken)
    asked = {**SMALL, "train.compile": "kernels"}
    found = fit(numbers(), out=tmp_path / "asked", steps=5, settings=asked, show=False)
    assert "goes on without the compiler: no working C++ compiler\n" in capsys.readouterr().err
    files = [run.folder / "model.safetensors" for run in (plain, found)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_memory_that_runs_out_is_no_fault_of_the_compiler(monkeypatch):
    def full(net, **how):
        def fails(*inputs):
            raise MemoryError

        return fails

    monkeypatch.setattr(torch, "compile", full)
    net = Compiled(torch.nn.Linear(2, 2), "kernels")
    with pytest.raises(MemoryError):
        net(torch.zeros(1, 2))
    assert net.failed is None
    with pytest.raises(ArgumentError, match="'fast'"):
        Compiled(torch.nn.Linear(2, 2), "fast")


def lines(run):
    told = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(one["step"], one["loss"], one["gradient"]) for one in told]


@pytest.mark.slow
@pytest.mark.skipif(NO_COMPILER, reason="no C++ compiler on this machine")
def test_compiled_updates_are_the_nets_own_and_resume_is_bit_equal(tmp_path, monkeypatch):
    asked = {**SMALL, "train.compile": "kernels", "train.log_every": 1}
    how = {"steps": 8, "settings": asked, "quiet": True}
    straight = fit(numbers(), out=tmp_path / "straight", **how)
    assert straight.config.train.compile == "kernels"
    plain = {**how, "settings": {**asked, "train.compile": "no"}}
    fit(numbers(), out=tmp_path / "plain", **plain)
    found, own = lines(tmp_path / "straight"), lines(tmp_path / "plain")
    for (_, loss, gradient), (_, expected, norm) in zip(found, own, strict=True):
        assert loss == pytest.approx(expected, rel=1e-4)
        assert gradient == pytest.approx(norm, rel=1e-3)
    original = Compiled.__call__
    calls = []

    def stopping(self, *inputs):
        calls.append(self.failed)
        if len(calls) == 4:
            signal.raise_signal(signal.SIGTERM)
        return original(self, *inputs)

    monkeypatch.setattr(Compiled, "__call__", stopping)
    with pytest.raises(Stopped):
        fit(numbers(), out=tmp_path / "stopped", **how)
    monkeypatch.setattr(Compiled, "__call__", original)
    fit(numbers(), out=tmp_path / "stopped", resume=True, quiet=True)
    assert set(calls) == {None}
    assert lines(tmp_path / "stopped") == found
    files = [tmp_path / name / "model.safetensors" for name in ("straight", "stopped")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(NO_COMPILER, reason="no C++ compiler on this machine")
def test_a_trial_counts_compiling_apart_from_updates(config):
    data = torch.from_numpy(numbers())
    batches = Batches(len(data), 16, 0, lambda index: (data[torch.from_numpy(index)], {}))
    how = {"precision": "float32", "threads": 1, "budget": 0.2}
    torch.compiler.reset()  # another net of this class may be compiled already
    costs = [
        measure(build_model(config), batches, learning(config, torch.device("cpu")), **how, compiled=way)
        for way in ("no", "kernels")
    ]  # fmt: skip
    assert [cost.compiled for cost in costs] == ["no", "kernels"]
    assert [cost.failed for cost in costs] == [None, None]
    assert costs[0].compiling == 0
    assert costs[1].compiling > 10 * costs[1].seconds
    assert costs[1].seconds < 5 * costs[0].seconds
