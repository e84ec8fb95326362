"""The held-out loss: compared item by item, absent without held-out items, and a ground to choose on."""

import math

import numpy as np
import pytest
import torch

from unfog.model import files
from unfog.tasks.fit import fit
from unfog.tasks.looks import seen
from unfog.tasks.watch_heldout import HeldOut


def few(n=80, d=12):
    """Points of no structure: whatever is learnt of them beyond a Gaussian is by heart."""
    return np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    settings = {"net.width": 96, "train.looks": 6, "train.choose": "heldout", "train.ema": 0.02}
    settings["train.stop_at"] = "never"
    return fit(
        few(), out=out, steps=480, batch=32, lr=4e-3, settings=settings, held=0.3, quiet=True
    )


def test_a_run_that_learns_by_heart_shows_it(run):
    lines = seen(run.folder, "heldout")
    assert len(lines) == 6
    last = lines[-1]
    assert len(last["levels"]) == len(last["train"]) == len(last["validation"]) == 8
    for part in ("train", "validation"):
        assert last[f"{part}_mean"] == pytest.approx(np.mean(last[part]), rel=1e-4)
    lowest = min(line["validation_mean"] for line in lines)
    assert last["validation_mean"] > 1.1 * lowest
    assert last["train_mean"] < 0.8 * lines[0]["train_mean"]
    changes = [line["change"] for line in lines[1:]]
    means = [line["validation_mean"] for line in lines]
    np.testing.assert_allclose(changes, np.diff(means), atol=1e-4)
    assert all(line["change_error"] < line["error"] for line in lines[1:])  # paired differences


def test_the_weights_of_the_lowest_held_out_loss_are_chosen_where_asked(run):
    home = run.folder / "checkpoints"
    kept = files.read_tensors(home / "kept" / "heldout.safetensors")
    last = files.read_tensors(home / "step-00000480" / "ema.safetensors")
    assert all(torch.equal(v, kept[n]) for n, v in run.net.state_dict().items())
    assert not all(torch.equal(v, last[n]) for n, v in run.net.state_dict().items())
    means = {line["step"]: line["validation_mean"] for line in seen(run.folder, "heldout")}
    step = files.read_json(home / "kept" / "heldout.json")["step"]
    assert means[step] < 1.02 * min(means.values())
    reason = run.config.reasons[-1]
    assert f"weights of step {step}" in reason
    assert "over-fitted" in reason
    assert reason in (run.folder / "README.md").read_text()


def test_with_no_validation_items_it_is_absent(tmp_path):
    settings = {"train.looks": 3, "net.width": 16}
    model = fit(
        few(), out=tmp_path / "run", steps=30, batch=16, settings=settings, held=0.0, quiet=True
    )
    assert seen(model.folder, "heldout") == []
    row = next(row for row in model.config.plan["rows"] if row["what"] == "looks")
    assert "no items validate" in row["choice"]


def watcher(best, last):
    found = HeldOut.__new__(HeldOut)
    found.choose, found.best, found.last = True, best, last
    return found


def test_it_prefers_only_what_is_clearly_better():
    noise = torch.randn(100, generator=torch.Generator().manual_seed(0)).double()
    base = 1 + noise
    worse = base + 0.1 + 0.05 * noise.flip(0)
    assert watcher((10, base), (30, base + 0.5 * noise.flip(0))).prefer() is None
    assert watcher((30, base), (30, base)).prefer() is None
    assert watcher(None, (30, base)).prefer() is None
    assert "step 10" in watcher((10, base), (30, worse)).prefer()
    assert watcher((10, worse), (30, base)).prefer() is None
    unpaired = (
        (10, base),
        (30, worse[torch.randperm(100, generator=torch.Generator().manual_seed(1))]),
    )
    assert watcher(*unpaired).prefer() is None  # item by item, or the gap drowns


def test_what_it_remembers_survives_json():
    import json

    one = watcher((10, torch.rand(5).double()), (30, torch.rand(5).double()))
    other = watcher(None, None)
    other.restore(json.loads(json.dumps(one.facts())))
    assert one.best[0] == other.best[0]
    assert torch.equal(one.best[1], other.best[1])
    assert torch.equal(one.last[1], other.last[1])
    assert math.isclose(float(other.last[1].sum()), float(one.last[1].sum()))
