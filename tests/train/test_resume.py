"""Killed, stopped or damaged: a run goes on as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from unfog.tasks.fit import fit

STEPS = 900  # long enough that a signal after the first checkpoint comes before the end


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "x.npy"
    np.save(path, np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32))
    return path


def command(source, out, *more):
    settings = ["net.width=48", "train.checkpoint_seconds=0.2", "train.log_every=7"]
    return [
        sys.executable, "-m", "unfog", "fit", str(source), "-o", str(out), "--steps", str(STEPS), "--batch", "64",
        *[part for text in settings for part in ("--set", text)], *more,
    ]  # fmt: skip


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def curve(run):
    lines = [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()]
    return [
        (line["step"], line["loss"], line["last_loss"], line["lr"], line["gradient"])
        for line in lines
    ]


def wait_for_checkpoint(run, process):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if list((run / "checkpoints").glob("step-*/manifest.json")):
            return
        time.sleep(0.02)


@pytest.fixture(scope="module")
def straight(source, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "straight"
    subprocess.run(command(source, run), check=True, env=environment(), capture_output=True)
    return run


@pytest.mark.slow
@pytest.mark.parametrize("moments", [(0.1,), (0.5,), (0.3, 0.4)])
def test_kill_and_resume_is_bit_equal(source, straight, tmp_path, moments):
    run = tmp_path / "killed"
    more = []
    for moment in moments:
        process = subprocess.Popen(
            command(source, run, *more), env=environment(), stderr=subprocess.DEVNULL
        )
        wait_for_checkpoint(run, process)
        time.sleep(moment)
        process.kill()
        process.wait()
        more = ["--resume"]
    subprocess.run(
        command(source, run, "--resume"), check=True, env=environment(), capture_output=True
    )
    assert curve(run) == curve(straight)
    assert (run / "model.safetensors").read_bytes() == (straight / "model.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_asked_to_stop_it_saves_and_says_so(source, straight, tmp_path, number, code):
    run = tmp_path / "stopped"
    process = subprocess.Popen(
        command(source, run), env=environment(), stderr=subprocess.PIPE, text=True
    )
    wait_for_checkpoint(run, process)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert "go on with --resume" in said
    assert "Traceback" not in said
    subprocess.run(
        command(source, run, "--resume"), check=True, env=environment(), capture_output=True
    )
    assert (run / "model.safetensors").read_bytes() == (straight / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_a_damaged_newest_checkpoint_falls_back(source, straight, tmp_path):
    run = tmp_path / "damaged"
    process = subprocess.Popen(command(source, run), env=environment(), stderr=subprocess.DEVNULL)
    wait_for_checkpoint(run, process)
    deadline = time.monotonic() + 30
    while len(list((run / "checkpoints").glob("step-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    newest = sorted((run / "checkpoints").glob("step-*"))[-1]
    weights = newest / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    orphan = run / "checkpoints" / ".draft-00000001-1"
    orphan.mkdir()
    done = subprocess.run(
        command(source, run, "--resume"),
        check=True,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert "was altered" in done.stderr
    assert not orphan.exists()
    assert (run / "model.safetensors").read_bytes() == (straight / "model.safetensors").read_bytes()


def test_resume_refuses_another_run_and_other_data(source, tmp_path):
    from unfog.errors import ArgumentError, DataError

    run = tmp_path / "run"
    fit(source, out=run, steps=3, batch=8, quiet=True)
    with pytest.raises(ArgumentError, match="started with batch = 8, not 16"):
        fit(source, out=run, batch=16, resume=True, quiet=True)
    other = tmp_path / "other.npy"
    np.save(other, np.zeros((500, 3), np.float32) + np.arange(500, dtype=np.float32)[:, None])
    with pytest.raises(DataError, match="data has changed"):
        fit(other, out=run, resume=True, quiet=True)
    assert fit(source, out=run, batch=8, resume=True, quiet=True).config.train.steps == 3


def test_tensorboard_out_of_order_does_not_stop_training(source, tmp_path, monkeypatch):
    import torch.utils.tensorboard as board

    def broken(*_):
        raise OSError("no room")

    monkeypatch.setattr(board, "SummaryWriter", broken)
    with pytest.warns(UserWarning, match="TensorBoard events are off: no room"):
        model = fit(source, out=tmp_path / "run", steps=3, batch=8, quiet=True)
    assert (model.folder / "metrics.jsonl").read_text().count("\n") == 1


@pytest.mark.slow
def test_a_killed_table_goes_on_bit_equal(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        f"{a:.3f},{'xyz'[b]},{'' if m else c}"
        for a, b, c, m in zip(
            rng.normal(size=400),
            rng.integers(0, 3, 400),
            rng.poisson(50, 400),
            rng.random(400) < 0.2,
        )
    ]
    source = tmp_path / "table.csv"
    source.write_text("\n".join(["a,b,c", *rows]) + "\n")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(source, whole), check=True, env=environment(), capture_output=True)
    process = subprocess.Popen(
        command(source, killed), env=environment(), stderr=subprocess.DEVNULL
    )
    wait_for_checkpoint(killed, process)
    process.kill()
    process.wait()
    subprocess.run(
        command(source, killed, "--resume"), check=True, env=environment(), capture_output=True
    )
    assert curve(killed) == curve(whole)
    assert (killed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
