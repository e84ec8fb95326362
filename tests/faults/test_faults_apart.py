"""Every verb without a network, and with a secret in its environment that nothing keeps. (Rows 49, 51.)"""

import pathlib
import shutil
import subprocess

import numpy as np
import pytest
from conftest import Unfog

SECRET = "canary-5e1f0b7d-do-not-keep"
BLOCKED = """
import socket, sys
class Shut(socket.socket):
    def connect(self, *a): raise OSError(101, "Network is unreachable")
    def connect_ex(self, *a): return 101
socket.socket = Shut
def lookup(*a, **k): raise socket.gaierror(-3, "Temporary failure in name resolution")
socket.getaddrinfo = lookup
"""


def walls():
    """A command that runs another without a network; empty where the system has none for us."""
    tried = shutil.which("unshare") and subprocess.run(
        ["unshare", "-rn", "true"], capture_output=True
    )
    return ["unshare", "-rn"] if tried and tried.returncode == 0 else []


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder, command = tmp_path_factory.mktemp("alone"), walls()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "UNFOG_TOKEN", "PGPASSWORD"):
            patch.setenv(name, SECRET)
        if not command:
            (folder / "sitecustomize.py").write_text(BLOCKED)
            patch.setenv("PYTHONPATH", str(folder), prepend=":")
        server = Unfog(folder, command)
    yield server
    server.close()


def test_every_verb_works_alone_and_keeps_no_secret(alone, tmp_path):
    rng, work = np.random.default_rng(0), tmp_path / "work"
    work.mkdir()
    table = work / "t.csv"
    rows = [f"{a:.2f},{'xyz'[b]},{'' if a > 1 else c}" for a, b, c in
            zip(rng.normal(size=200), rng.integers(0, 3, 200), rng.poisson(9, 200))]  # fmt: skip
    table.write_text("\n".join(["a,b,c", *rows]) + "\n")
    run, few = work / "run", ["--steps", 4]
    small = ["--set", "net.width=16", "--set", "net.depth=1", "--set", "train.known=0.5"]
    verbs = [
        ["inspect", table],
        ["fit", table, "-o", run, "--steps", 8, "--batch", 32, *small],
        ["sample", run, "-n", 8, "-o", work / "s.csv", *few],
        ["fill", run, table, "-o", work / "f.csv", *few, "--unknown", "as-missing"],
        ["score", run, table, "-o", work / "sc.csv", "--draws", 1],
        ["evaluate", run, "-n", 30, *few, "--no-baselines"],
        ["report", run],
        ["inspect", run],
        ["solvers"],
    ]
    for verb in verbs:
        code, said = alone.run(*verb)
        assert code == 0, (verb, said)
        assert SECRET not in said
    code, said = alone.run("fit", "missing.csv", "-o", work / "no", "--debug")
    assert (code, SECRET in said) == (3, False), said
    code, said = alone.run("sample", run, "-n", 2, "-o", work / "s2", failpoints="sample.step=nan")
    assert (code, SECRET in said) == (2, False)
    kept = [p for p in work.rglob("*") if p.is_file()]
    assert len(kept) > 12
    assert any("tfevents" in p.name for p in kept)
    for path in kept:
        assert SECRET.encode() not in path.read_bytes(), path


def test_the_walls_hold(alone):
    """The check above would mean nothing if a connection could be made."""
    said = alone.folder / "probe.txt"
    probe = "import socket, sys; socket.create_connection(('127.0.0.1', 9), 0.5)"
    import sys

    done = subprocess.run([*walls(), sys.executable, "-c", probe], capture_output=True, text=True)
    assert done.returncode != 0
    assert "unreachable" in done.stderr or "refused" in done.stderr or not walls()
    assert not pathlib.Path(said).exists()
