"""Stored averages: the run's own comes back, others are made, and a resumed run stores the same."""

import signal

import numpy as np
import pytest
import torch

import unfog
from unfog.cli import run as cli
from unfog.errors import ArgumentError, RunError, Stopped
from unfog.model import files
from unfog.tasks import learn as learning
from unfog.tasks.fit import fit
from unfog.tasks.posthoc import reconstruct


@pytest.fixture(scope="module")
def data():
    return np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)


def learnt(data, out, **settings):
    settings = {"net.width": 24, "train.snapshots": 8, "train.looks": 0, **settings}
    return fit(data, out=out, steps=160, batch=16, settings=settings, quiet=True)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return learnt(data, tmp_path_factory.mktemp("runs") / "run")


def far(one, other):
    pairs = [(one[n].double(), other[n].double()) for n in one]
    gap = sum(float((a - b).square().sum()) for a, b in pairs)
    return (gap / sum(float(b.square().sum()) for _, b in pairs)) ** 0.5


def test_the_runs_own_length_gives_the_runs_own_weights(run):
    found, misfit = reconstruct(run.folder, run.config.train.ema)
    assert misfit < 1e-5
    assert far(found, dict(run.net.named_parameters())) < 1e-5


@pytest.mark.parametrize("length", [0.1, 0.12])
def test_another_length_is_what_tracking_it_gives(run, data, tmp_path, length):
    other = learnt(data, tmp_path / "other", **{"train.ema": length, "train.snapshots": 0})
    made = run.averaged(length)
    own, wanted = (dict(m.net.named_parameters()) for m in (run, other))
    assert far(dict(made.net.named_parameters()), wanted) < 0.05 * far(own, wanted)
    assert made.config.train.ema == length
    assert len(made.sample(4, seed=0, show=False)) == 4
    assert torch.equal(next(run.net.parameters()), own[next(iter(own))])


def test_the_verb_rewrites_the_run(run, data, tmp_path, capsys):
    copy = run.save(tmp_path / "copy")
    assert cli(["ema", str(copy), "--length", "0.1"]) == 0
    again = unfog.load(copy)
    assert again.config.train.ema == 0.1
    assert torch.equal(next(again.net.parameters()), next(run.averaged(0.1).net.parameters()))
    assert "averaged afterwards" in (copy / "README.md").read_text()
    assert cli(["ema", str(copy), "--length", "0.05", "--json"]) == 0
    back = dict(unfog.load(copy).net.named_parameters())
    assert far(back, dict(run.net.named_parameters())) < 1e-5
    assert cli(["ema", str(copy), "--length", "0.5"]) == 2
    assert cli(["ema", str(copy), "--length", "0.002"]) == 2
    assert "can't be made" in capsys.readouterr().err
    assert unfog.load(copy).config.train.ema == 0.05


def test_a_run_without_or_with_altered_snapshots_is_refused(run, data, tmp_path):
    bare = learnt(data, tmp_path / "bare", **{"train.snapshots": 0})
    with pytest.raises(RunError, match="--snapshots"):
        bare.averaged(0.1)
    copy = run.save(tmp_path / "copy")
    path = sorted((copy / "snapshots").glob("step-*"))[0]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match="altered"):
        reconstruct(copy, 0.1)


def test_storing_changes_no_weight_and_a_resumed_run_stores_the_same(
    run, data, tmp_path, monkeypatch
):
    bare = learnt(data, tmp_path / "bare", **{"train.snapshots": 0})
    assert far(dict(bare.net.named_parameters()), dict(run.net.named_parameters())) == 0

    class Stopping:
        name, count = "stopping", 0

        def look(self, sight):
            signal.raise_signal(signal.SIGTERM)

        def prefer(self):
            return None

        def facts(self):
            return {}

        def restore(self, facts):
            pass

    source, out = tmp_path / "x.npy", tmp_path / "stopped"
    np.save(source, data)
    with monkeypatch.context() as patch:
        patch.setattr(learning, "watchers_of", lambda prepared: [Stopping()])
        with pytest.raises(Stopped):
            learnt(source, out, **{"train.looks": 2})
    assert len(list((out / "snapshots").glob("resume-*.safetensors"))) == 1
    fit(out=out, resume=True, quiet=True)
    names = sorted(path.name for path in (run.folder / "snapshots").iterdir())
    assert sorted(path.name for path in (out / "snapshots").iterdir()) == names
    assert len(names) == 10
    for name in names:
        if name != files.MANIFEST:
            assert (out / "snapshots" / name).read_bytes() == (
                run.folder / "snapshots" / name
            ).read_bytes()


def test_a_length_that_is_none_is_refused(run):
    with pytest.raises(ArgumentError, match=r"0\.001 to 0\.28"):
        run.averaged(0.0)
