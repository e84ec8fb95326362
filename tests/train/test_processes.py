"""Two processes learn what one does, stop together, and leave nothing behind (gloo, on the CPU)."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from unfog.errors import Stopped
from unfog.tasks.fit import fit

pytestmark = pytest.mark.slow
STEPS = 150
SETTINGS = {"net.width": 32, "train.log_every": 10}
OFTEN = ["--set", "train.checkpoint_seconds=0.05"]  # so that a signal comes before the end


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "x.npy"
    np.save(path, np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32))
    return path


@pytest.fixture(scope="module")
def straight(source, tmp_path_factory):
    """One process; 63 items a batch, which two processes can't share evenly."""
    run = tmp_path_factory.mktemp("runs") / "straight"
    fit(source, out=run, steps=STEPS, batch=63, settings=SETTINGS, quiet=True)
    return run


class Launched:
    """`unfog fit --nproc 2`, whose processes can be found again whoever their parent is."""

    def __init__(self, source, out, *more):
        self.mark = f"{out}-{time.monotonic_ns()}"
        chosen = [part for item in SETTINGS.items() for part in ("--set", f"{item[0]}={item[1]}")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "unfog", "fit", str(source), "-o", str(out), "--nproc", "2",
             "--batch", "63", *chosen, *more],
            env={**os.environ, "OMP_NUM_THREADS": "2", "UNFOG_MARK": self.mark},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.out = out

    def ranks(self):
        """rank -> process id, of those that live."""
        found = {}
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                text = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
                here = dict(line.split("=", 1) for line in text if "=" in line)
                dead = (folder / "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
                if here.get("UNFOG_MARK") == self.mark and not dead:
                    found[int(here.get("RANK", -1))] = int(folder.name)
        return found

    def at_checkpoint(self):
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and self.process.poll() is None:
            if list((self.out / "checkpoints").glob("step-*/manifest.json")):
                return self.ranks()
            time.sleep(0.01)
        raise AssertionError(f"no checkpoint came: {self.process.communicate()}")

    def end(self):
        """Exit code and what was said on standard error; nobody may be left."""
        said = self.process.communicate(timeout=200)[1]
        assert self.ranks() == {}
        return self.process.returncode, said


def curve(run):
    lines = [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines]
    assert steps == list(range(10, STEPS + 1, 10))
    return np.array([[line["loss"], line["last_loss"], line["lr"]] for line in lines])


def resumed_and_stopped(source, run):
    """One process goes on for a while; a quick machine may be through before it is stopped."""
    lines = (run / "metrics.jsonl").read_text().count("\n")
    before, stop = signal.signal(signal.SIGTERM, signal.SIG_IGN), threading.Event()

    def watch():
        while not stop.wait(0.01):
            if (run / "metrics.jsonl").read_text().count("\n") > lines + 1:
                os.kill(os.getpid(), signal.SIGTERM)
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    with contextlib.suppress(Stopped):
        fit(source, out=run, resume=True, quiet=True)
    stop.set()
    watcher.join()
    signal.signal(signal.SIGTERM, before)


def unnoted(said):
    """What is said besides the plan (its rows are indented) and notes."""
    plain = ("note:", "warning:", "plan:", "resum", "  ")
    return [line for line in said.splitlines() if not line.startswith(plain)]


@pytest.mark.parametrize("shard", ["ddp", "fsdp"])
def test_two_processes_have_the_loss_curve_of_one(source, straight, tmp_path, shard):
    run = tmp_path / "run"
    launched = Launched(source, run, "--steps", str(STEPS), "--set", f"train.shard={shard}")
    code, said = launched.end()
    assert code == 0, said
    assert len(unnoted(said)) == 1  # "done", said by one
    assert np.abs(curve(run) - curve(straight)).max() < 1e-4
    from unfog.tasks.load import load

    two, one = load(run), load(straight)
    far = [(a - b).abs().max() for a, b in zip(two.net.parameters(), one.net.parameters())]
    assert max(far) < 1e-3


def test_resume_with_another_number_of_processes(source, straight, tmp_path):
    """Two processes, of which one gets SIGTERM; then one; then two of which each has a slice."""
    run = tmp_path / "run"
    first = Launched(source, run, "--steps", str(STEPS), *OFTEN)
    os.kill(first.at_checkpoint()[1], signal.SIGTERM)
    code, said = first.end()
    assert code == 143
    assert len(unnoted(said)) == 1
    assert "stopped at step" in said
    resumed_and_stopped(source, run)
    code, said = Launched(source, run, "--resume", "--set", "train.shard=fsdp").end()
    assert code == 2
    assert "started with set" in said
    code, said = Launched(source, run, "--resume").end()
    assert code == 0, said
    assert np.abs(curve(run) - curve(straight)).max() < 1e-4


def test_when_a_process_dies_the_others_end_and_its_number_is_said(source, tmp_path):
    launched = Launched(source, tmp_path / "run", "--steps", "100000", *OFTEN)
    os.kill(launched.at_checkpoint()[1], signal.SIGKILL)
    begun = time.monotonic()
    code, said = launched.end()
    assert time.monotonic() - begun < 30
    assert code == 137
    assert "process 1 of 2 was killed by signal 9" in said
    assert "Traceback" not in said


EXIT = """
from unfog.errors import DataError
from unfog.train.dist import joined
with joined() as world:
    assert world.vote(world.rank, -world.rank) == [1, 0]
    assert world.say({"a": [world.rank]}) == {"a": [0]}
    try:
        world.lead(lambda: (_ for _ in ()).throw(DataError("no")))
    except DataError as error:
        assert str(error) == "no"
"""


@pytest.mark.parametrize("time", range(5))
def test_two_processes_agree_and_exit_well(time):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    announced = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    pair = [
        subprocess.Popen(
            [sys.executable, "-c", EXIT],
            env={**os.environ, **announced, "RANK": str(rank), "OMP_NUM_THREADS": "1"},
        )
        for rank in range(2)
    ]
    assert [process.wait(60) for process in pair] == [0, 0]
