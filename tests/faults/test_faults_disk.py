"""Disks that are full or may not be written, TensorBoard that fails. (Rows 18, 19, 48.)"""

import json
import os
import resource
import shutil

import numpy as np
import pytest
from conftest import EACH, SETTINGS, alright, hashes

import unfog as library
from unfog.cli import run as command
from unfog.errors import ResourceError
from unfog.failpoints import arm
from unfog.tasks.fit import fit as learn
from unfog.tasks.shards import draw_shard
from unfog.train import checkpoint
from unfog.train.log import Log, read

FEW = ["--steps", 2]


def told(said, *words):
    assert "Traceback" not in said
    [line] = [line for line in said.splitlines() if line.startswith("unfog: ")]
    for word in words:
        assert word in line, line


@pytest.mark.parametrize("place", ["checkpoint.between@7", "checkpoint.after_tmp@2", "log.write@2"])
def test_a_disk_that_fills_up_in_training_ends_with_code_5(unfog, fit, straight, tmp_path, place):
    """The checkpoint before stays, no half of one does, and with room again the run goes on."""
    run = tmp_path / "run"
    code, said = unfog.run(*fit(run, **EACH), failpoints=f"{place}=full")
    assert code == 5
    told(said, "No space left on device")
    [*_, last] = checkpoint.found(run)
    assert checkpoint.newest(run) == (last, [])
    alright(run)
    assert unfog.run(*fit(run, resume=True))[0] == 0
    assert hashes(run)[:4] == hashes(straight)[:4]


def test_a_real_limit_on_file_size_is_met_like_a_full_disk(source, tmp_path):
    """RLIMIT_FSIZE: the kernel refuses in the middle of a file."""
    run, (soft, hard) = tmp_path / "run", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(ResourceError, match="File too large") as caught:
            learn(source, out=run, steps=20, batch=32, settings=SETTINGS, quiet=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.exit_code == 5
    assert checkpoint.found(run) == []
    alright(run)
    assert learn(source, out=run, resume=True, quiet=True).config.train.steps == 20


def test_samples_and_shards_that_do_not_fit_leave_nothing(straight, tmp_path, capsys):
    asked = ["sample", str(straight), "-n", "5", "-o", str(tmp_path / "x.npy"), "--steps", "2"]
    with arm("samples.write=full"):
        assert command(asked) == 5
    told(capsys.readouterr().err, "the disk is full", "nothing was left behind")
    model = library.load(straight)
    for place in ("samples.write", "file.write@1", "shard.after_tmp"):
        with arm(f"{place}=full"), pytest.raises(ResourceError):
            draw_shard(model, tmp_path / "shards", 10, 0, 2, steps=2)
        assert [p.name for p in (tmp_path / "shards").iterdir()] == ["request.json"]
    assert draw_shard(model, tmp_path / "shards", 10, 0, 2, steps=2).count == 5
    with arm("file.write=full"):
        assert command(["evaluate", str(straight), "-n", "20", "--steps", "2"]) == 5
    assert not (straight / "evaluation.json").exists()


def test_a_place_that_may_not_be_written_is_refused_before_anything_is_read(tmp_path, capsys):
    """The source is not even looked at: it is not there. Where root may write anywhere, /proc stands in."""
    place = "/proc/unfog-run"
    if os.geteuid():
        (tmp_path / "locked").mkdir(mode=0o555)
        place = str(tmp_path / "locked" / "run")
    if not os.path.isdir(os.path.dirname(place)):
        pytest.skip("no /proc here")
    assert command(["fit", "nowhere.npy", "-o", place]) == 2
    told(capsys.readouterr().err, "can't write into", "choose another folder")


def test_a_run_that_became_read_only_is_still_read(straight, tmp_path, monkeypatch):
    """Sampling writes nothing into the run; resuming says that it can't."""
    import pathlib

    run = pathlib.Path(shutil.copytree(straight, tmp_path / "run"))
    write = pathlib.Path.write_bytes

    def refuse(self, data):
        if self.is_relative_to(run):
            raise PermissionError(13, "Permission denied")
        return write(self, data)

    before = {p: p.stat().st_mtime_ns for p in run.rglob("*")}
    monkeypatch.setattr(pathlib.Path, "write_bytes", refuse)
    assert library.load(run).sample(3, steps=1).raw.shape == (3, 3)
    with pytest.raises(library.errors.ArgumentError, match="can't write into"):
        learn(None, out=run, resume=True, quiet=True)
    assert {p: p.stat().st_mtime_ns for p in run.rglob("*")} == before


def test_tensorboard_that_fails_midway_costs_one_warning(source, tmp_path):
    with arm("board.write@3-=full"), pytest.warns(UserWarning, match="TensorBoard") as seen:
        learn(source, out=tmp_path / "run", steps=40, batch=32, settings=SETTINGS, quiet=True)
    assert len([w for w in seen if "TensorBoard" in str(w.message)]) == 1
    steps = [line["step"] for line in read(tmp_path / "run" / "metrics.jsonl")]
    assert steps == [7, 14, 21, 28, 35, 40]


def test_event_files_that_are_damaged_or_gone_are_not_read(straight, unfog, fit, tmp_path):
    run = tmp_path / "run"
    code, _ = unfog.run(*fit(run), failpoints="train.step@20=kill")
    assert code == -9
    events = list(run.glob("events.out.tfevents*"))
    assert events
    for path in events:
        content = bytearray(path.read_bytes() or b"x")
        content[len(content) // 2] ^= 1
        path.write_bytes(content[:-1])
    assert unfog.run(*fit(run, resume=True))[0] == 0
    assert hashes(run) == hashes(straight)


def test_a_log_that_could_not_be_written_is_closed_quietly(tmp_path):
    log = Log(tmp_path, board=False)
    log.write(1, loss=1.0)
    with arm("log.write=full"), pytest.raises(ResourceError, match=r"metrics\.jsonl"):
        log.write(2, loss=2.0)
    log.close()
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {"step": 1, "loss": 1.0}
    assert np.isfinite(read(tmp_path / "metrics.jsonl")[0]["loss"])
