"""Times drawn by their loss: the law is right, means are unbiased, and a checkpoint brings it back."""

import json

import numpy as np
import pytest
import torch

from unfog.errors import ArgumentError, RunError
from unfog.maths.paths import Linear
from unfog.maths.randomness import BatchRng
from unfog.maths.times import Histogram, LossAware
from unfog.maths.weights import Unit
from unfog.tasks.fit import fit
from unfog.train import checkpoint
from unfog.train.importance import Importance, weighted


def warmed(profile, law=None, updates=60):
    """A memory that has seen losses profile(t), weighted as training weighs them."""
    memory = Importance(law or LossAware(bins=8, history=4, floor=0.02, low=0.0))
    for step in range(updates):
        now = memory.times()
        t = now.draw(Linear(), 256, rng=BatchRng(0, step))
        memory.update(now, t, profile(t) * weighted(Unit(), now)(Linear(), t))
    return memory


def test_a_histogram_draws_its_shares():
    law = Histogram(low=0.2, high=0.6, chances=(0.5, 0.3, 0.15, 0.05))
    t = law.draw(Linear(), 100_000, rng=BatchRng(0))
    shares = law.bin(t).bincount(minlength=4) / len(t)
    torch.testing.assert_close(shares, torch.tensor(law.chances), atol=1e-4, rtol=0)
    assert 0.2 <= t.min() < t.max() <= 0.6
    # 1 / p: the mean of any function is the one under uniform t
    mean = (t.square() * law.weight(None, t)).mean().item()
    assert mean == pytest.approx((0.6**3 - 0.2**3) / 3 / 0.4, rel=2e-3)


def test_chances_follow_the_root_of_the_squared_loss():
    memory = warmed(lambda t: 1 + 4 * (t > 0.5))
    chances = memory.times().chances
    wanted = [0.98 * loss / 24 + 0.02 / 8 for loss in [1] * 4 + [5] * 4]
    assert chances == pytest.approx(wanted, rel=1e-4)


def test_until_all_bins_are_known_times_are_uniform():
    memory = Importance(LossAware(bins=4, history=3))
    law = memory.times()
    assert law.chances == (0.25,) * 4
    for _ in range(2):
        memory.update(law, torch.tensor([0.1, 0.3, 0.6, 0.9]), torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert memory.times().chances == (0.25,) * 4
    memory.update(law, torch.tensor([0.1, 0.3, 0.6]), torch.ones(3))
    assert memory.times().chances == (0.25,) * 4
    memory.update(law, torch.tensor([0.9]), torch.ones(1))
    assert memory.times().chances != (0.25,) * 4


def test_a_memory_comes_back_and_anothers_is_refused():
    memory = warmed(lambda t: t)
    again = Importance(memory.law)
    again.load(memory.tensors())
    assert again.times() == memory.times()
    with pytest.raises(RunError, match="another run"):
        Importance(LossAware(bins=9)).load(memory.tensors())
    with pytest.raises(ArgumentError, match="bins >= 2"):
        LossAware(bins=1)


def test_resume_is_bit_equal_with_times_that_follow_the_loss(tmp_path, monkeypatch):
    """Killed after 40 of 60 updates, with a checkpoint at each: the straight run's curve and weights."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32))
    settings = {
        "net.width": 16,
        "net.depth": 1,
        "times.bins": 4,
        "times.history": 2,
        "train.checkpoint_seconds": 1e-6,
        "train.log_every": 1,
    }

    def run(name, **more):
        return fit(
            tmp_path / "x.npy",
            out=tmp_path / name,
            recipe="iddpm",
            steps=60,
            batch=64,
            settings=settings,
            quiet=True,
            **more,
        )

    def curve(name):
        text = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        return [(line["step"], line["loss"]) for line in map(json.loads, text)]

    run("straight")
    save, counted = checkpoint.save, []

    def killed(*args, **facts):
        if len(counted) == 40:
            raise KeyboardInterrupt
        counted.append(save(*args, **facts))

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            run("killed")
    run("killed", resume=True)
    assert curve("killed") == curve("straight")
    weights = [(tmp_path / n / "model.safetensors").read_bytes() for n in ("killed", "straight")]
    assert weights[0] == weights[1]
    found, _ = checkpoint.newest(tmp_path / "straight")
    assert found is not None
    from unfog.model.files import read_tensors

    squares = read_tensors(found.folder / "memory.safetensors")["squares"]
    assert squares.isfinite().all()  # the times really followed the losses
