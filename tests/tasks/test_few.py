"""The recipe for few items, crops and dropout in whole runs."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import unfog
from unfog.errors import ArgumentError, UnknownName
from unfog.kinds import kinds
from unfog.maths.randomness import BatchRng
from unfog.tasks.learn import batches_of
from unfog.tasks.prepare import prepare
from unfog.train import checkpoint

TINY = {"net.width": 16, "net.depth": 1}
FLAT = {"net": "mlp", "space": "pca", "space.explained": 0.9999}
UNET = {"net": "unet", "net.width": 8, "net.mult": [1, 2], "net.blocks": 1, "space": "wavelet"}
QUIET = {"quiet": True, "show": False}


def pictures(count: int = 40, side: int = 16) -> np.ndarray:
    """Bright discs of any place and size: a few numbers make each."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    made = []
    for _ in range(count):
        cy, cx, r = rng.uniform(4, side - 4), rng.uniform(4, side - 4), rng.uniform(2, 4)
        made.append(np.clip(255 * (1.5 - np.hypot(y - cy, x - cx) / r), 0, 255))
    colours = rng.uniform(0.3, 1, (count, 1, 1, 3))
    return (np.array(made)[..., None] * colours).astype(np.uint8)


def prepared(source, **more):
    options = {"kind": "image", "recipe": "few", "batch": None, "lr": None, "settings": {}}
    return prepare(source, **{**options, **more}, given=[], reading={}, seed=0, device="cpu")


def test_all_kinds_learn_and_hear_what_is_left_out(tmp_path, capsys) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "x.csv").write_text("a,b\n" + "".join(f"{i}.5,{'xyz'[i % 3]}\n" for i in range(60)))
    cases = (
        (pictures(), "image", {**FLAT, **TINY}, 0.5, "patch-wise training is left out: crops are"),
        (rng.normal(size=(40, 3)), "array", TINY, 0.0, "augmentation is left out: there is none"),
        (tmp_path / "x.csv", "table", TINY, 0.0, "augmentation is left out: there is none for tab"),
    )
    for source, kind, own, augment, left in cases:
        model = unfog.fit(source, kind=kind, recipe="few", steps=2, settings=own, show=False)
        assert model.config.recipe == "few"
        assert model.config.train.augment == augment
        assert model.config.net["dropout"] == 0.1
        assert left in " ".join(model.config.reasons)
        assert left in capsys.readouterr().err
        assert len(model.sample(3, steps=2, show=False)) == 3


def test_the_user_s_own_settings_win() -> None:
    own = {"train.augment": 0.0, "net.dropout": 0.25}
    config = prepared(pictures(), settings=own, batch=7).config
    assert (config.train.augment, config.net["dropout"], config.train.batch) == (0.0, 0.25, 7)
    assert not any("left out" in text for text in config.reasons)
    plain = prepared(pictures(), recipe="flow").config
    assert (plain.train.augment, plain.net["dropout"], plain.train.crop) == (0.0, 0.0, 0.0)


def test_crops_are_for_grids() -> None:
    with pytest.raises(ArgumentError, match=r"crops are for nets on a grid .* 'mlp'"):
        prepared(pictures(), settings={**FLAT, "train.crop": 0.5})
    made = prepared(pictures(), settings={**UNET, "train.crop": 0.5, "train.augment": 0.0})
    assert made.config.net["given"] == {"crop": {"type": "crop", "size": 4}}
    shapes = {tuple(next(batches_of(made).since(n)).x.shape[2:]) for n in range(12)}
    assert shapes == {(8, 8), (4, 4)}  # half and a quarter of 8 places, 4 at the least


def test_a_space_of_few_directions_keeps_those_of_augmentation() -> None:
    """Augmented items come back from the principal components, not from the span of ten items."""
    source, errors = pictures(12), {}
    for share in (0.0, 0.5):
        made = prepared(source, recipe="flow", settings={**FLAT, "train.augment": share})
        x = made.borders.codec.encode(source)
        moved, _ = kinds["image"].augment(0.5)(x, BatchRng(99))
        there = made.borders.space.back(made.borders.space.into(moved))
        errors[share] = float((there - moved).square().mean() / moved.var())
    assert errors[0.0] > 0.15, errors
    assert errors[0.5] < 0.25 * errors[0.0], errors


def test_killed_and_resumed_with_all_parts_is_bit_equal(tmp_path, monkeypatch) -> None:
    np.save(tmp_path / "x.npy", pictures())
    settings = {**UNET, "train.crop": 0.5, "train.checkpoint_seconds": 1e-6, "train.log_every": 1}

    def run(name, **more):
        how = {"kind": "image", "recipe": "few", "steps": 14, "batch": 8, "settings": settings}
        return unfog.fit(tmp_path / "x.npy", out=tmp_path / name, **how, **QUIET, **more)

    run("straight")
    save, counted = checkpoint.save, []

    def killed(*args, **facts):
        if len(counted) == 6:
            raise KeyboardInterrupt
        counted.append(save(*args, **facts))

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            run("killed")
    unfog.fit(out=tmp_path / "killed", resume=True, **QUIET)
    sides = [(tmp_path / n / "model.safetensors").read_bytes() for n in ("straight", "killed")]
    assert sides[0] == sides[1]
    curves = [
        [json.loads(t)["loss"] for t in (tmp_path / n / "metrics.jsonl").read_text().splitlines()]
        for n in ("straight", "killed")
    ]
    assert curves[0] == curves[1]
    assert len(set(curves[0])) == 14


def test_samples_are_drawn_without_dropout() -> None:
    model = unfog.fit(pictures(), kind="image", recipe="few", steps=3, settings=UNET, **QUIET)
    one, other = (model.sample(4, seed=1, batch=b, show=False).state for b in (4, 1))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-4)


def test_which_augmentations_is_a_setting() -> None:
    """Mirrored or not, and nothing else: the net is told one number that isn't zero."""
    own = {**FLAT, "train.augment": 0.5, "train.augmentations": ["mirror"]}
    made = prepared(pictures(), settings=own, batch=40)
    batch = next(iter(batches_of(made).since(0)))
    plain = made.borders.space.back(made.states[0][torch.from_numpy(batch.index)])
    mirrored = batch.cond["augment"][:, 0] == 1
    assert 8 <= int(mirrored.sum()) <= 32
    assert torch.equal(batch.cond["augment"][:, 1:], torch.zeros(40, 10))
    wanted = torch.where(mirrored.view(-1, 1, 1, 1), plain.flip(3), plain)
    torch.testing.assert_close(made.borders.space.back(batch.x), wanted, rtol=0, atol=0.02)
    with pytest.raises(UnknownName, match="did you mean 'mirror'"):
        prepared(pictures(), settings={**own, "train.augmentations": ["miror"]})
