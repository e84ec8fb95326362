"""Starting from another run: its weights where they mean the same, said where they don't."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch

import unfog
from unfog.errors import ArgumentError, RunError
from unfog.model import files

QUIET = {"quiet": True, "show": False}
STILL = {"lr": 1e-12}  # an update that moves nothing
UNET = {"net": "unet", "net.width": 8, "net.mult": [1, 2], "net.blocks": 1, "space": "wavelet"}


def pictures(seed: int, count: int = 30, side: int = 16) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rough = rng.normal(size=(count, 8, 8)).repeat(side // 8, 1).repeat(side // 8, 2)
    return np.clip(128 + 60 * rough, 0, 255).astype(np.uint8)[..., None].repeat(3, 3)


def weights(run) -> dict[str, torch.Tensor]:
    return files.read_tensors(run / "model.safetensors")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A perceptron on principal components of images, and a U-Net on wavelets of others."""
    place = tmp_path_factory.mktemp("base")
    settings = {"net": "mlp", "net.width": 16, "net.depth": 2, "space": "pca"}
    settings["space.explained"] = 0.9999
    how = {"kind": "image", "batch": 8, **QUIET}
    unfog.fit(pictures(0), out=place / "mlp", steps=20, settings=settings, **how)
    unfog.fit(pictures(0), out=place / "unet", steps=6, settings=UNET, **how)
    return place


@pytest.mark.parametrize("name", ["mlp", "unet"])
def test_on_the_same_data_the_first_sample_is_the_other_run_s(base, tmp_path, capsys, name) -> None:
    """Nothing learnt yet: the other run's weights and space, so its samples to the last bit."""
    options = {"kind": "image", "out": tmp_path / "run", "start": base / name, "steps": 1}
    model = unfog.fit(pictures(0), **options, **STILL)
    assert "starts from" in capsys.readouterr().err
    other = unfog.load(base / name)
    assert np.array_equal(model.sample(5, show=False).raw, other.sample(5, show=False).raw)
    told = model.config.start
    wanted = hashlib.sha256((base / name / "manifest.json").read_bytes()).hexdigest()
    assert (told["manifest"], told["run"]) == (wanted, str(base / name))
    assert (told["new"], told["share"]) == ([], 1.0)
    assert unfog.load(tmp_path / "run").config.start == told


def test_components_of_other_data_come_after_the_old_ones(base, tmp_path) -> None:
    """The net says of the old components what it said, and nothing yet of those added."""
    out = tmp_path / "run"
    model = unfog.fit(
        pictures(1), kind="image", out=out, start=base / "mlp", steps=1, **STILL, **QUIET
    )
    other = unfog.load(base / "mlp")
    ours, theirs = model.borders.space, other.borders.space
    k, more = theirs.shape[0], ours.shape[0] - theirs.shape[0]
    assert more > 0
    assert torch.equal(ours.basis[:k], theirs.basis)
    torch.testing.assert_close(ours.basis @ ours.basis.T, torch.eye(k + more), rtol=0, atol=1e-4)
    x = model.borders.codec.encode(model.items.take(model.splits.train).data)
    lost = [float((s.back(s.into(x)) - x).square().sum()) for s in (theirs, ours)]
    assert lost[1] < 0.001 * float((x - x.mean(0)).square().sum()) < lost[0]
    u, t = torch.randn(6, k), torch.rand(6)
    wide = torch.cat([u, torch.zeros(6, more)], 1)
    answer = model.net.answer(wide, t)
    torch.testing.assert_close(answer[:, :k], other.net.answer(u, t), rtol=0, atol=1e-5)
    assert float(answer[:, k:].abs().max()) < 1e-5
    assert model.config.start["new"] == []
    assert model.splits.fingerprint != other.splits.fingerprint
    assert unfog.load(out).borders.space.error == ours.error != theirs.error


def test_partly_the_same_is_said(base, tmp_path) -> None:
    """A new condition and crops: their tensors and the wider first layer are new, all else taken."""
    model = unfog.fit(
        pictures(1, side=32),
        kind="image",
        out=tmp_path / "run",
        start=base / "unet",
        settings={"train.augment": 0.2, "train.crop": 0.5},
        steps=1,
        **STILL,
        **QUIET,
    )
    own, theirs, told = weights(tmp_path / "run"), weights(base / "unet"), model.config.start
    new = set(told["new"])
    assert new == {name for name in own if ".conditions." in name} | {"net.first.weight"}
    assert told["taken"] == len(own) - len(new)
    for name in own.keys() - new:
        torch.testing.assert_close(own[name], theirs[name], rtol=0, atol=1e-6)
    assert any("of conditions, first" in text for text in model.config.reasons)
    assert model.config.train.lr == STILL["lr"]
    assert model.config.train.batch == 24  # the kind's, for the net that it would take itself


def test_conditions_go_by_name_and_vocabulary(tmp_path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    number, label = np.arange(60) / 60, np.array(["a", "b", "c"])[np.arange(60) % 3]

    def run(name, given, labels, **more):
        np.savez(tmp_path / f"{name}.npz", x=x, number=number, label=labels)
        how = {"settings": {"net.width": 16, "net.depth": 2}, "reading": {"key": "x"}, **QUIET}
        unfog.fit(tmp_path / f"{name}.npz", out=tmp_path / name, given=given, **how, **more)
        return weights(tmp_path / name)

    old = run("old", ["label", "number"], label, steps=4)
    new = run("new", ["number", "label"], label, steps=1, start=tmp_path / "old", **STILL)
    head = "net.conditions.parts."
    close = {"rtol": 0, "atol": 1e-6}
    torch.testing.assert_close(new[f"{head}1.table.weight"], old[f"{head}0.table.weight"], **close)
    torch.testing.assert_close(new[f"{head}0.inner.weight"], old[f"{head}1.inner.weight"], **close)
    torch.testing.assert_close(
        new["net.conditions.nulls.1"], old["net.conditions.nulls.0"], **close
    )
    others = np.array(["x", "y", "z"])[np.arange(60) % 3]
    third = run("third", ["label"], others, steps=1, start=tmp_path / "old", **STILL)
    assert not torch.allclose(third[f"{head}0.table.weight"], old[f"{head}0.table.weight"])
    assert torch.allclose(third["net.first.weight"], old["net.first.weight"], atol=1e-6)


def test_tables_give_their_borders_only_for_the_same_columns(tmp_path) -> None:
    rng = np.random.default_rng(0)

    def table(name, column, levels):
        rows = "".join(f"{rng.normal():.3f},{levels[i % 3]}\n" for i in range(80))
        (tmp_path / f"{name}.csv").write_text(f"{column},kind\n{rows}")
        return tmp_path / f"{name}.csv"

    settings = {"net.width": 32, "net.depth": 2}
    unfog.fit(table("one", "a", "xyz"), out=tmp_path / "one", steps=2, settings=settings, **QUIET)
    how = {"steps": 1, "start": tmp_path / "one", **STILL, **QUIET}
    same = unfog.fit(table("two", "a", "xyz"), out=tmp_path / "two", **how)
    assert same.config.start["new"] == []
    other = unfog.fit(table("three", "a", "uvw"), out=tmp_path / "three", **how)
    new = {name.split(".")[1] for name in other.config.start["new"]}
    assert new == {"first", "frequencies", "table", "known", "last"}


def test_another_net_or_kind_or_size_is_refused(base, tmp_path) -> None:
    how = {"kind": "image", "steps": 1, **QUIET}
    with pytest.raises(ArgumentError, match="leave --set space"):
        unfog.fit(pictures(1), start=base / "mlp", settings={"space": "identity"}, **how)
    with pytest.raises(ArgumentError, match="0 % of its weights would fit"):
        unfog.fit(pictures(1), start=base / "unet", settings={"net": "mlp"}, **how)
    with pytest.raises(ArgumentError, match=r"'unet' of width 8 .* of width 24"):
        unfog.fit(pictures(1), start=base / "unet", settings={"net.width": 24}, **how)
    with pytest.raises(ArgumentError, match=r"\(3, 16, 16\), and these are \(3, 32, 32\)"):
        unfog.fit(pictures(1, side=32), start=base / "mlp", **how)
    with pytest.raises(ArgumentError, match="learnt images and this data are arrays"):
        unfog.fit(np.random.default_rng(0).normal(size=(40, 3)), start=base / "mlp", steps=1)
    with pytest.raises(RunError, match="not a folder"):
        unfog.fit(pictures(1), start=tmp_path / "nothing", **how)
    with pytest.raises(ArgumentError, match="its own weights"):
        unfog.fit(out=tmp_path / "run", resume=True, start=base / "mlp", **QUIET)


def test_resumed_before_its_first_checkpoint_it_starts_there_again(
    base, tmp_path, monkeypatch
) -> None:
    np.save(tmp_path / "x.npy", pictures(1))
    how = {"kind": "image", "start": base / "mlp", "steps": 5, "batch": 8, **QUIET}
    unfog.fit(tmp_path / "x.npy", out=tmp_path / "straight", **how)
    from unfog.tasks import learn

    def stopped(*args, **more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(learn, "train", stopped)
        with pytest.raises(KeyboardInterrupt):
            unfog.fit(tmp_path / "x.npy", out=tmp_path / "killed", **how)
    path = tmp_path / "killed" / "config.json"
    config = json.loads(path.read_text())
    altered = {**config, "start": {**config["start"], "manifest": "0" * 64}}
    path.write_text(json.dumps(altered))
    with pytest.raises(ArgumentError, match="no longer the run"):
        unfog.fit(out=tmp_path / "killed", resume=True, **QUIET)
    path.write_text(json.dumps(config))
    unfog.fit(out=tmp_path / "killed", resume=True, **QUIET)
    one, other = weights(tmp_path / "straight"), weights(tmp_path / "killed")
    assert all(torch.equal(one[name], other[name]) for name in one)
