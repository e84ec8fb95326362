"""A run folder is believed only when it is whole; bad input never leaves half of one."""

import json
import os
import pathlib
import pickle
import shutil

import numpy as np
import pytest

import unfog
from unfog.errors import ArgumentError, DataError, ResourceError, RunError
from unfog.tasks.fit import fit

TINY = {"net": "mlp", "net.width": 16, "net.depth": 1}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    run = tmp_path_factory.mktemp("run") / "good"
    x = np.random.default_rng(0).normal(size=(40, 3))
    fit(x, out=run, steps=3, batch=8, settings=TINY, quiet=True)
    return run


@pytest.fixture
def run(good, tmp_path):
    return pathlib.Path(shutil.copytree(good, tmp_path / "run"))


def refused(run, match):
    with pytest.raises(RunError, match=match) as caught:
        unfog.load(run)
    assert caught.value.exit_code == 4


def edited(run, change):
    """config.json changed and signed again in the manifest, as a careful attacker would."""
    from unfog.model import files

    config = json.loads((run / "config.json").read_text())
    change(config)
    (run / "config.json").write_text(json.dumps(config))
    names = list(json.loads((run / "manifest.json").read_text())["files"])
    files.write_manifest(run, names)


def test_the_folder_holds_what_it_should(good):
    names = {path.name for path in good.iterdir()}
    assert {
        "config.json", "manifest.json", "model.safetensors", "codec.json", "codec.safetensors", "splits.json",
        "metrics.jsonl", "checkpoints", "README.md",
    } <= names  # fmt: skip
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert unfog.load(good).config.train.steps == 3


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "codec.json", "codec.safetensors", "splits.json"]
)
@pytest.mark.parametrize("damage", ["truncated", "flipped", "longer", "missing"])
def test_a_damaged_file_is_named(run, name, damage):
    path = run / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        flipped = content[:-2] + bytes([content[-2] ^ 1]) + content[-1:]
        path.write_bytes(
            {"truncated": content[:-5], "flipped": flipped, "longer": content + b" "}[damage]
        )
    refused(run, name)


def test_newer_unfinished_missing_and_foreign_folders(run, tmp_path):
    refused(tmp_path / "nowhere", "is not a folder")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "not a run folder")
    edited(run, lambda config: config.update(format=99, version="9.0"))
    refused(run, "written by unfog 9.0 in run format 99.*update unfog")
    (run / "manifest.json").unlink()
    edited_back = json.loads((run / "config.json").read_text()) | {"format": 1}
    (run / "config.json").write_text(json.dumps(edited_back))
    refused(run, "not finished.*--resume")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda c: c.update(surprise=1), "surprise"),
        (lambda c: c["net"].update(name="os.system"), "unknown net 'os.system'"),
        (lambda c: c["net"].update(width=48), "does not fit the configuration"),
        (lambda c: c["train"].update(batch=-1), "train.batch"),
        (lambda c: c.update(kind="../../etc"), "unknown kind"),
        (lambda c: c.update(sigma_data="NaN"), "sigma_data"),
    ],
)
def test_an_altered_configuration_is_refused(run, change, match):
    edited(run, change)
    with pytest.raises(unfog.UnfogError, match=match) as caught:
        unfog.load(run)
    assert caught.value.exit_code == 4


def test_a_manifest_that_points_outside_is_refused(run):
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["files"]["../secret"] = {"bytes": 1, "sha256": "0"}
    (run / "manifest.json").write_text(json.dumps(manifest))
    refused(run, "outside the folder")


def test_duplicate_keys_are_refused(run):
    text = (run / "config.json").read_text().replace('"seed": 0', '"seed": 0, "seed": 1', 1)
    (run / "config.json").write_text(text)
    with pytest.raises(RunError, match="key twice"):
        unfog.load(run)


def test_a_pickle_is_never_opened(tmp_path):
    canary = tmp_path / "canary"

    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(canary),))

    folder = tmp_path / "evil"
    folder.mkdir()
    (folder / "model.pt").write_bytes(pickle.dumps(Evil()))
    refused(folder, "pickled models are never loaded")
    assert not canary.exists()


def test_an_existing_folder_is_refused_unless_asked(good, tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 3))
    with pytest.raises(ArgumentError, match=r"--resume.*--overwrite"):
        fit(x, out=good, steps=1, quiet=True)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(ArgumentError, match="not a run folder"):
        fit(x, out=mine, steps=1, overwrite=True, quiet=True)
    assert (mine / "thesis.txt").read_text() == "years of work"
    with pytest.raises(ArgumentError, match="no run to resume"):
        fit(x, out=tmp_path / "new", steps=1, resume=True, quiet=True)


def test_overwrite_replaces_a_run(run):
    x = np.random.default_rng(0).normal(size=(40, 3))
    assert (
        fit(
            x, out=run, steps=2, batch=8, settings=TINY, overwrite=True, quiet=True
        ).config.train.steps
        == 2
    )
    assert unfog.load(run).config.train.steps == 2


@pytest.mark.parametrize("bad", [np.full((20, 3), np.nan), np.zeros((1, 3)), np.zeros((20, 3))])
def test_bad_data_leaves_no_run(tmp_path, bad):
    out = tmp_path / "run"
    with pytest.raises(DataError):
        fit(bad, out=out, steps=1, quiet=True)
    assert not (out / "config.json").exists()


def test_bad_data_keeps_the_run_it_should_have_replaced(run):
    with pytest.raises(DataError):
        fit(np.full((20, 3), np.nan), out=run, steps=1, overwrite=True, quiet=True)
    assert unfog.load(run).config.train.steps == 3


def test_no_room_is_said_before_training(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(ResourceError, match="MB free") as caught:
        fit(
            np.random.default_rng(0).normal(size=(40, 3)), out=tmp_path / "run", steps=1, quiet=True
        )
    assert caught.value.exit_code == 5


def test_a_disk_that_fills_up_leaves_the_last_checkpoint(good, run, monkeypatch):
    """A write that fails midway: error 5, and what was there is still whole."""
    from unfog.model import files

    real = os.fsync

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    before = (run / "config.json").read_bytes()
    with pytest.raises(ResourceError, match="No space left"):
        files.write_bytes(run / "config.json", b"{}")
    monkeypatch.setattr(os, "fsync", real)
    assert (run / "config.json").read_bytes() == before
    assert not list(run.glob(".*.tmp"))


def test_a_read_only_place_is_refused_first(tmp_path):
    if os.geteuid() == 0:
        place = pathlib.Path("/proc/unfog-run")  # not even root can make a folder here
    else:
        place = tmp_path / "locked" / "run"
        place.parent.mkdir(mode=0o555)
    with pytest.raises(ArgumentError, match="can't write into"):
        fit(np.random.default_rng(0).normal(size=(40, 3)), out=place, steps=1, quiet=True)
