"""Broken losses: left out, counted, gone back from, given up; the same after a resumption. (Rows 15, 16.)"""

import json

import numpy as np
import pytest
import torch
from conftest import hashes

from unfog.errors import RunError, Stopped
from unfog.failpoints import arm
from unfog.maths.paths import Linear
from unfog.maths.randomness import BatchRng
from unfog.maths.targets import Velocity
from unfog.maths.times import Uniform
from unfog.maths.weights import Unit
from unfog.model.ema import Ema
from unfog.model.model import Model
from unfog.nets import nets
from unfog.tasks.fit import fit as learn
from unfog.train.batches import Batches
from unfog.train.loop import Diverged, Objective, train
from unfog.train.optim import adamw
from unfog.train.rescue import EVERY, Level, Rescue
from unfog.train.schedule import Constant, Horizon


def course(steps, *, lr=1e-2, batch=8, patience=20, **rescue):
    """A small training: its model, average, optimiser, rescue and loop."""
    torch.manual_seed(0)
    data = torch.randn(64, 2, generator=torch.Generator().manual_seed(1))
    net = nets.make("mlp", shape=[2], width=16, depth=1, vector=16)
    model = Model(net, Linear(), Velocity())
    ema, optimiser = Ema(model), adamw(model, lr=lr)
    keeper = Rescue(model, ema, optimiser, patience=patience, **rescue)
    batches = Batches(64, batch, 0, lambda i: (data[torch.from_numpy(i)], {}))
    loop = train(
        model,
        batches,
        optimiser,
        Objective(Uniform(), Unit()),
        Constant(warmup=0.0),
        horizon=Horizon(steps),
        seed=0,
        ema=ema,
        rescue=keeper,
    )
    return keeper, loop


def state(keeper):
    return {name: value.clone() for name, value in keeper._live().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def test_after_enough_broken_updates_everything_is_as_it_was_and_steps_are_half():
    keeper, loop = course(EVERY + 60)
    good, rates = None, []
    with arm(f"train.step@{EVERY + 11}-{EVERY + 30}=nan"):
        for progress in loop:
            rates.append(progress.rate)
            if progress.step == EVERY:
                good = state(keeper)
            if progress.step == EVERY + 29:  # nineteen broken ones: left out, no more
                assert (progress.skipped, progress.halvings) == (19, 0)
                assert not same(state(keeper), good)
            if progress.step == EVERY + 30:
                assert same(state(keeper), good)
                assert progress.said == (
                    f"the loss was not finite for 20 updates in a row, at step {EVERY + 30}: went "
                    f"back to the state of step {EVERY}, with half the step size",
                )
    assert set(rates[: EVERY + 30]) == {1e-2}
    assert set(rates[EVERY + 30 :]) == {5e-3}
    assert (keeper.skipped, keeper.halvings, keeper.streak) == (20, 1, 0)
    assert not same(state(keeper), good)  # it went on from there


def test_before_the_first_copy_a_run_goes_back_to_its_start():
    keeper, loop = course(40)
    begin = {name: value.clone() for name, value in keeper._live().items()}
    with arm("train.step@5-24=nan"):
        for progress in loop:
            if progress.said:
                assert same(state(keeper), begin)  # no moments: there were none
                break
    assert "the state of step 0" in progress.said[0]


def test_it_gives_up_after_three_times():
    keeper, loop = course(400, patience=5)
    with arm("train.step@30-=nan"), pytest.raises(Diverged, match="going back 3 times") as caught:
        list(loop)
    assert (keeper.halvings, keeper.skipped) == (3, 20)
    assert caught.value.exit_code == 3
    assert "at step 49 " in str(caught.value)


def test_a_loss_far_above_its_level_is_gone_back_from_and_smaller_steps_help():
    """A step size of 6 throws the loss a hundred times up; with an eighth of it the run ends."""
    keeper, loop = course(300, lr=6.0, batch=64)
    said = [text for progress in loop for text in progress.said]
    assert said
    assert "was over 50 times its level for 20 updates in a row" in said[0]
    assert 1 <= keeper.halvings <= 3
    assert keeper.level.value < 50


def test_one_high_loss_is_no_divergence_and_is_learnt_from():
    """A rare row that costs a lot is what is left to learn: only a row of such updates counts."""
    keeper, _ = course(1)
    keeper.begin(0)
    for step in range(1, 60):
        assert keeper.judge(step, 1e-3, finite=True, items=8) == ""
    for step in range(60, 79):
        assert keeper.judge(step, 5.0, finite=True, items=8) == ""
    assert (keeper.streak, keeper.skipped) == (19, 0)
    keeper.judge(79, 1e-3, finite=True, items=8)
    assert keeper.streak == 0
    assert keeper.level.value == pytest.approx(1e-3)


def test_a_level_is_the_recent_mean_and_known_after_32_items():
    level = Level()
    for loss in (1.0, 2.0, 3.0):
        level.take(loss, 8)
    assert level.value == pytest.approx(2.0)
    assert not level.below(1e9, 50)
    level.take(2.0, 8)
    assert level.below(101.0, 50)
    assert not level.below(99.0, 50)


SETTINGS = {"net.width": 16, "net.depth": 1, "train.log_every": 7}


def test_a_run_that_went_back_is_the_same_bits_when_it_was_stopped_in_between(source, tmp_path):
    """Stopped at step 19, among broken updates, before going back to step 0's state at step 28:
    the copy that it goes back to, and how many were broken, come with the checkpoint."""

    def run(name, failpoints, **more):
        with arm(failpoints):
            learn(
                source,
                out=tmp_path / name,
                steps=60,
                batch=32,
                settings=SETTINGS,
                quiet=True,
                **more,
            )

    run("straight", "train.step@9-30=nan")
    with pytest.raises(Stopped):
        run("stopped", "train.step@9-30=nan, train.step@19=term")
    run("stopped", "train.step@9-30=nan", resume=True)
    one, two = (hashes(tmp_path / name) for name in ("straight", "stopped"))
    assert one == two
    lines = [
        json.loads(x) for x in (tmp_path / "stopped" / "metrics.jsonl").read_text().splitlines()
    ]
    [back] = [line for line in lines if "said" in line]
    assert (back["step"], back["skipped"], back["halvings"]) == (28, 20, 1)
    assert "went back to the state of step 0" in back["said"]
    assert lines[-1]["skipped"] == 22


def test_an_altered_copy_is_refused():
    keeper, loop = course(3)
    list(loop)
    facts, good = keeper.facts(), dict(keeper.good)
    again, _ = course(3)
    again.load(facts, good, "here")
    assert same(again.good, good)
    for wrong in ({"skipped": -1}, {"level": {"value": "x"}}, {"good": {}}, {"streak": None}):
        with pytest.raises(RunError, match="altered"):
            again.load({**facts, **wrong}, good, "here")
    name = next(iter(good))
    with pytest.raises(RunError, match="another model"):
        again.load(facts, {**good, name: torch.zeros(99)}, "here")
    with pytest.raises(RunError, match="another model"):
        again.load(facts, {n: v for n, v in good.items() if n != name}, "here")


def test_healthy_runs_never_look_broken():
    """Losses of single items spread over decades: none comes near fifty times the mean in a row."""
    keeper, _ = course(1)
    keeper.begin(0)
    losses = torch.exp(2 * BatchRng(3).normal(torch.empty(20_000))).tolist()
    for step, loss in enumerate(losses, 1):
        assert keeper.judge(step, loss, finite=True, items=1) == ""
    assert keeper.halvings == 0
    assert np.isfinite(keeper.level.value)
