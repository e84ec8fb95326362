"""`unfog` in processes of its own, cheaply; a small source; and what a finished run is made of."""

import hashlib
import itertools
import json
import os
import pathlib
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
import pytest

STEPS = 30  # with 100 or more, the plan tries some first
SETTINGS = {"net.width": 16, "net.depth": 1, "train.log_every": 7}


EACH = {"train__checkpoint_seconds": 1e-6}
"""A checkpoint after every update."""


@dataclass
class Child:
    """A process that runs one command line."""

    unfog: "Unfog"
    pid: int
    path: pathlib.Path

    @property
    def said(self):
        return self.path.read_text()

    def end(self):
        """Its exit code, negative for a signal, and all it said."""
        return self.unfog.ask({"wait": self.pid}), self.said

    def until(self, ready, seconds=60.0):
        """Wait for something that the process does."""
        deadline = time.monotonic() + seconds
        while not ready():
            assert time.monotonic() < deadline, self.said
            time.sleep(0.005)


class Unfog:
    """Starts command lines; see forks.py."""

    def __init__(self, folder, command=()):
        self.folder, self.numbers = folder, itertools.count()
        self.server = subprocess.Popen(
            [*command, sys.executable, str(pathlib.Path(__file__).with_name("forks.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert self.server.stdout.readline() == "ready\n"

    def ask(self, job):
        self.server.stdin.write(json.dumps(job) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def start(self, *arguments, failpoints="", **env):
        path = self.folder / f"said-{next(self.numbers)}.txt"
        env = {**env, "UNFOG_FAILPOINTS": failpoints}
        job = {"start": [str(a) for a in arguments], "env": env, "said": str(path)}
        return Child(self, self.ask(job), path)

    def run(self, *arguments, **how):
        return self.start(*arguments, **how).end()

    def close(self):
        self.server.stdin.close()
        self.server.wait(30)


@pytest.fixture(scope="session")
def unfog(tmp_path_factory):
    server = Unfog(tmp_path_factory.mktemp("said"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "x.npy"
    np.save(path, np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32))
    return path


@pytest.fixture(scope="session")
def fit(source):
    """The arguments of a training; with more settings, or as a resumption."""

    def arguments(run, *more, resume=False, steps=STEPS, **settings):
        chosen = {**SETTINGS, **{k.replace("__", "."): v for k, v in settings.items()}}
        if resume:
            return ["fit", "-o", run, "--resume", *more]
        sets = [part for k, v in chosen.items() for part in ("--set", f"{k}={v}")]
        return ["fit", source, "-o", run, "--steps", steps, "--batch", 32, *sets, *more]

    return arguments


@pytest.fixture(scope="session")
def straight(unfog, fit, tmp_path_factory):
    """A run that nothing happened to."""
    run = tmp_path_factory.mktemp("runs") / "straight"
    assert unfog.run(*fit(run))[0] == 0
    return run


def hashes(run):
    """SHA-256 of weights, average and optimiser at the end, and of the weights that sampling uses;
    and the logged curve."""
    last = sorted((run / "checkpoints").glob("step-*"))[-1]
    files = [
        run / "model.safetensors",
        *(last / f"{n}.safetensors" for n in ("model", "ema", "optimiser")),
    ]
    found = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    lines = [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()]
    curve = [tuple(x[n] for n in ("step", "loss", "last_loss", "lr", "gradient")) for x in lines]
    return [*found, last.name, curve]


def alright(run):
    """No temporary file, lock or half of a checkpoint is left."""
    hidden = [p.name for p in run.rglob("*") if p.name.startswith(".")]
    assert hidden == []
