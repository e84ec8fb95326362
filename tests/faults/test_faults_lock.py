"""Two processes at one run folder: the second is told who has it; a dead holder holds nothing. (Row 20.)"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess

import pytest
from conftest import alright, hashes

from unfog.tasks import lock
from unfog.tasks.lock import Taken, only


def test_the_second_training_is_told_who_has_the_folder(unfog, fit, straight, tmp_path):
    """While the first prepares, and while it trains; afresh, resumed, or to replace it. When it is
    killed, its lock is nobody's."""
    run = tmp_path / "run"

    def refused(child, *asked):
        code, said = unfog.run(*asked)
        held = f"{run} is being trained by process {child.pid} on {socket.gethostname()}"
        assert (code, held in said) == (2, True), said

    def killed(child):
        os.kill(child.pid, signal.SIGKILL)
        assert child.end()[0] == -signal.SIGKILL
        assert (run / ".lock").read_text() == f"process {child.pid} on {socket.gethostname()}"

    child = unfog.start(*fit(run), failpoints="fit.prepare=sleep:600")
    child.until(lambda: (run / ".lock").exists() and (run / ".lock").read_text())
    refused(child, *fit(run))
    killed(child)
    child = unfog.start(*fit(run), failpoints="train.step@20=sleep:600")
    child.until((run / "config.json").exists)
    refused(child, *fit(run, resume=True))
    refused(child, *fit(run, "--overwrite"))
    killed(child)
    assert unfog.run(*fit(run, resume=True))[0] == 0
    assert hashes(run) == hashes(straight)
    alright(run)


def test_a_lock_is_released_whatever_happens(tmp_path):
    path = tmp_path / ".lock"
    holding = only(path)
    holding.__enter__()
    assert path.read_text() == f"process {os.getpid()} on {socket.gethostname()}"
    with pytest.raises(Taken, match=str(os.getpid())), only(path):
        pass
    assert path.exists()
    assert not holding.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert not path.exists()


def test_without_the_systems_locks_a_file_does(tmp_path, monkeypatch):
    """Only one makes it; one of a dead process here is taken over, one of another machine is not."""
    monkeypatch.setattr(lock, "_locked", lambda _: None)
    path = tmp_path / ".lock"
    with only(path), pytest.raises(Taken, match=f"process {os.getpid()} on .*remove"), only(path):
        pass
    assert not path.exists()
    dead = subprocess.Popen(["true"])
    dead.wait()
    path.write_text(f"process {dead.pid} on {socket.gethostname()}")
    with only(path):
        assert f"process {os.getpid()}" in path.read_text()
    path.write_text(f"process {dead.pid} on elsewhere")
    with pytest.raises(Taken, match="elsewhere"), only(path):
        pass
    assert path.exists()


def test_a_folder_that_holds_only_a_lock_and_crumbs_is_new(tmp_path, source):
    from unfog.errors import ArgumentError
    from unfog.tasks import runfolder

    run = tmp_path / "run"
    run.mkdir()
    for name in (".lock", ".config.json.12.tmp", "splits.json", "codec.json"):
        (run / name).write_text("{}")
    runfolder.claim(run)
    (run / "notes.txt").write_text("mine")
    with pytest.raises(ArgumentError, match="holds files already"):
        runfolder.claim(run)


def test_what_replaces_a_run_keeps_its_lock_and_ends_with_its_configuration(
    straight, tmp_path, monkeypatch
):
    """A crash while a run is being replaced leaves something that --overwrite still knows."""
    from unfog.tasks import runfolder

    run = pathlib.Path(shutil.copytree(straight, tmp_path / "run"))
    (run / ".lock").write_text("mine")
    gone, unlink = [], pathlib.Path.unlink
    monkeypatch.setattr(pathlib.Path, "unlink", lambda p: gone.append(p.name) or unlink(p))
    runfolder.clear(run)
    assert gone[-1] == "config.json"
    assert [p.name for p in run.iterdir()] == [".lock"]
