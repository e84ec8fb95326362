"""Runs with augmentation: resolved, resumable to the bit, sampled without a word about it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import unfog
from unfog.errors import ArgumentError
from unfog.tasks.learn import batches_of
from unfog.tasks.prepare import prepare


def data() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)


def prepared(**settings):
    return prepare(
        data(),
        kind=None,
        given=[],
        recipe="flow",
        batch=16,
        lr=None,
        settings={"train.augment": 0.5, **settings},
        reading={},
        seed=0,
        device="cpu",
    )


def test_batches_are_augmented_by_number() -> None:
    made = prepared()
    batches = batches_of(made)
    first, second = (next(iter(batches.since(number))) for number in (5, 5))
    assert torch.equal(first.x, second.x)
    assert torch.equal(first.cond["augment"], second.cond["augment"])
    plain = made.states[0][torch.from_numpy(first.index)]
    same = (first.cond["augment"] == 0).all(1)
    assert torch.equal(first.x[same], plain[same])
    assert not torch.equal(first.x, plain)
    assert made.config.net["given"]["augment"]["size"] == first.cond["augment"].shape[1]


def test_a_run_fits_loads_and_samples(tmp_path) -> None:
    options = {"steps": 6, "batch": 16, "settings": {"train.augment": 0.3}, "quiet": True}
    model = unfog.fit(data(), out=tmp_path / "run", **options)
    loaded = unfog.load(tmp_path / "run")
    samples = loaded.sample(4, show=False)
    assert np.array_equal(samples.raw, model.sample(4, show=False).raw)
    assert samples.given == {}


def test_what_can_not_be_augmented() -> None:
    numbers = np.random.default_rng(0).normal(size=(50, 3))
    with pytest.raises(ArgumentError, match="no augmentation for arrays"):
        unfog.fit(numbers, steps=2, settings={"train.augment": 0.1}, quiet=True)
    with pytest.raises(ArgumentError, match="no probability"):
        prepared(**{"train.augment": 3})
