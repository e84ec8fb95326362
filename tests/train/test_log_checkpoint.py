"""What a run leaves on disk while it trains: lines that survive a crash, checkpoints that are whole."""

import json

import pytest
import torch
from torch import nn

from unfog.errors import ResourceError, RunError
from unfog.maths.paths import Linear
from unfog.maths.targets import Velocity
from unfog.model.ema import Ema
from unfog.model.model import Model
from unfog.nets import nets
from unfog.train import checkpoint
from unfog.train.log import Log, read, trim
from unfog.train.optim import adamw


def parts(seed=0, updates=3):
    """A model, its average and its optimiser after a few updates."""
    torch.manual_seed(seed)
    model = Model(nets.make("mlp", shape=[2], width=16, depth=1, vector=16), Linear(), Velocity())
    ema, optimiser = Ema(model), adamw(model, lr=1e-2)
    for step in range(updates):
        loss = sum((p - 1).square().sum() for p in model.parameters())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        ema.update(model, step + 1)
    return model, ema, optimiser


def everything(model, ema, optimiser):
    """Every tensor of a run, in an order that doesn't depend on how it was filled."""
    state = optimiser.state_dict()["state"]
    return [
        *model.state_dict().values(),
        *ema.model.state_dict().values(),
        *(
            torch.as_tensor(state[key][name])
            for key in sorted(state)
            for name in sorted(state[key])
        ),
    ]


def test_a_restored_run_is_bit_equal_and_goes_on_alike(tmp_path):
    saved, fresh = parts(), parts(seed=1, updates=0)
    checkpoint.save(tmp_path, 3, *saved, seconds=1.5, pending=[0.1])
    facts = checkpoint.restore(checkpoint.found(tmp_path)[0], *fresh)
    assert (facts["step"], facts["seconds"], facts["pending"]) == (3, 1.5, [0.1])
    for one in (saved, fresh):
        model, _, optimiser = one
        optimiser.zero_grad()
        sum(p.pow(4).sum() for p in model.parameters()).backward()
        optimiser.step()
    assert all(
        torch.equal(a, b) for a, b in zip(everything(*saved), everything(*fresh), strict=True)
    )


def test_the_newest_two_stay(tmp_path):
    for step in (1, 2, 10, 11):
        checkpoint.save(tmp_path, step, *parts())
    assert [kept.step for kept in checkpoint.found(tmp_path)] == [10, 11]
    again = checkpoint.save(tmp_path, 11, *parts(seed=2))
    assert [kept.step for kept in checkpoint.found(tmp_path)] == [10, 11]
    assert again.step == 11


def test_a_damaged_one_falls_back_with_a_sentence(tmp_path):
    assert checkpoint.newest(tmp_path) == (None, [])
    for step in (1, 2):
        checkpoint.save(tmp_path, step, *parts())
    weights = tmp_path / "checkpoints" / "step-00000002" / "ema.safetensors"
    weights.write_bytes(weights.read_bytes()[:-3])
    found, complaints = checkpoint.newest(tmp_path)
    assert found.step == 1
    assert len(complaints) == 1
    assert "step-00000002/ema.safetensors" in complaints[0]
    assert "going back" in complaints[0]
    (found.folder / "manifest.json").unlink()
    assert checkpoint.newest(tmp_path)[0] is None


def test_of_another_model_is_refused(tmp_path):
    checkpoint.save(tmp_path, 1, *parts())
    other = Model(nets.make("mlp", shape=[2], width=24, depth=1, vector=16), Linear(), Velocity())
    with pytest.raises(RunError, match="misshapen"):
        checkpoint.restore(checkpoint.found(tmp_path)[0], other, Ema(other), adamw(other, lr=1.0))


def test_a_full_disk_leaves_the_one_before(tmp_path, monkeypatch):
    from unfog.model import files

    checkpoint.save(tmp_path, 1, *parts())
    real = files.write_bytes

    def full(path, content):
        if path.name == "optimiser.safetensors":
            raise ResourceError(f"could not write {path}")
        real(path, content)

    monkeypatch.setattr(files, "write_bytes", full)
    with pytest.raises(ResourceError, match="optimiser"):
        checkpoint.save(tmp_path, 2, *parts())
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000001"]
    assert checkpoint.newest(tmp_path)[0].step == 1


def test_what_a_crash_left_is_removed(tmp_path):
    checkpoint.save(tmp_path, 1, *parts())
    (tmp_path / "checkpoints" / ".draft-00000002-9").mkdir()
    (tmp_path / ".config.json.9.tmp").write_text("{")
    checkpoint.tidy(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000001"]


def test_a_line_that_a_crash_cut_is_dropped_and_the_rest_goes_on(tmp_path):
    log = Log(tmp_path, board=False)
    for step in (10, 20, 30):
        log.write(step, loss=step / 10)
    log.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "lo')
    assert [line["step"] for line in read(tmp_path / "metrics.jsonl")] == [10, 20, 30]
    log = Log(tmp_path, after=20, board=False)
    log.write(30, loss=9.0)
    log.close()
    lines = [json.loads(text) for text in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == [
        {"step": 10, "loss": 1.0},
        {"step": 20, "loss": 2.0},
        {"step": 30, "loss": 9.0},
    ]


def test_trimming_is_atomic(tmp_path, monkeypatch):
    """A full disk while a resumed run trims its log costs no line."""
    import os

    log = Log(tmp_path, board=False)
    log.write(1, loss=1.0)
    log.write(2, loss=2.0)
    log.close()
    before = (tmp_path / "metrics.jsonl").read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError):
        trim(tmp_path / "metrics.jsonl", 1)
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_numbers_that_json_lacks_become_their_names(tmp_path):
    log = Log(tmp_path, board=False)
    log.write(1, loss=float("nan"), parts=[float("inf"), 1.0])
    log.close()
    assert read(tmp_path / "metrics.jsonl") == [{"step": 1, "loss": "nan", "parts": ["inf", 1.0]}]


def test_decay_leaves_gains_and_biases_alone():
    """With no gradient to speak of, matrices shrink by lr x decay and vectors stay."""
    module = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    before = {name: value.clone() for name, value in module.named_parameters()}
    optimiser = adamw(module, lr=0.1, weight_decay=0.5)
    for value in module.parameters():
        value.grad = torch.zeros_like(value)
    optimiser.step()
    for name, value in module.named_parameters():
        shrunk = 0.95 if value.ndim == 2 else 1.0
        torch.testing.assert_close(value, shrunk * before[name], msg=name)
