"""kill -9 anywhere: what was saved is whole, what was half-written is removed, and the run that goes
on is the straight one, bit for bit. (Rows 1, 2, 3, 4, 47.)"""

import hashlib
import random
import shutil
import signal

import numpy as np
import pytest
from conftest import EACH, alright, hashes

from unfog.train import checkpoint


def test_twenty_kills_at_random_moments_change_no_bit(unfog, fit, straight, tmp_path):
    """Between updates, inside a checkpoint, before and after its rename; then in the last files."""
    run, draw = tmp_path / "killed", random.Random(4)
    plan = ["train.step"] * 14 + ["checkpoint.between@3", "checkpoint.after_tmp@2"]
    plan += ["checkpoint.after_rename@1", "log.write@1", "file.write@4"]
    draw.shuffle(plan)
    for place in [*plan, "finish.between"]:
        resume = (run / "config.json").exists()
        if place == "train.step":
            kept = checkpoint.found(run)
            place += f"@{(kept[-1].step if kept else 0) + draw.randint(1, 2)}"
        code, said = unfog.run(*fit(run, resume=resume, **EACH), failpoints=f"{place}=kill")
        assert code == -signal.SIGKILL, (place, code, said)
    assert unfog.run(*fit(run, resume=True))[0] == 0
    assert hashes(run) == hashes(straight)
    alright(run)


@pytest.mark.parametrize(
    ("place", "loses"),
    [("checkpoint.between@7", 1), ("checkpoint.after_tmp@2", 1), ("checkpoint.after_rename@2", 0)],
)
def test_a_kill_while_saving_keeps_the_checkpoint_before(
    unfog, fit, straight, tmp_path, place, loses
):
    """The second save is cut: in its files, before its rename, after it."""
    run = tmp_path / "run"
    assert unfog.run(*fit(run, **EACH), failpoints=f"{place}=kill")[0] == -signal.SIGKILL
    kept = checkpoint.found(run)
    assert len(kept) == 2 - loses
    assert checkpoint.newest(run) == (kept[-1], [])
    halves = list((run / "checkpoints").glob(".draft-*"))
    assert len(halves) == loses
    code, said = unfog.run(*fit(run, resume=True))
    assert (code, "going back" in said) == (0, False)
    assert hashes(run) == hashes(straight)
    alright(run)


def test_a_kill_while_a_checkpoint_replaces_itself_loses_none(unfog, fit, straight, tmp_path):
    """The last step's checkpoint is written twice where the clock asked for one there."""
    run = pathlib_copy(straight, tmp_path / "run")
    code, _ = unfog.run(*fit(run, resume=True), failpoints="checkpoint.after_tmp=kill")
    assert code == -signal.SIGKILL
    last = checkpoint.found(run)[-1].folder
    last.rename(last.with_name(f"{checkpoint.OLD}{last.name[5:]}"))  # one move later
    assert unfog.run(*fit(run, resume=True), failpoints="train.step=exit:9")[0] == 0
    assert hashes(run) == hashes(straight)
    alright(run)


def test_a_run_killed_before_its_configuration_is_there_starts_anew(unfog, fit, tmp_path):
    run = tmp_path / "run"
    assert unfog.run(*fit(run, steps=3), failpoints="fit.founded=kill")[0] == -signal.SIGKILL
    assert (run / "splits.json").exists()
    assert not (run / "config.json").exists()
    code, said = unfog.run(*fit(run, steps=3))
    assert code == 0, said
    alright(run)


def test_a_shard_that_was_killed_is_drawn_again_with_the_same_bytes(unfog, straight, tmp_path):
    """While sampling, before the rename, after it: never half a shard, always the same bytes."""

    def draw(out, failpoints=""):
        asked = ["sample", straight, "-n", 60, "-o", out, "--shard", "1/2", "--batch", 10]
        return unfog.run(*asked, "--steps", 4, "--device", "cpu", failpoints=failpoints)

    def samples(out):
        return (out / "shard-00001-of-00002" / "samples.npy").read_bytes()

    assert draw(tmp_path / "straight")[0] == 0
    for number, place in enumerate(["sample.step@3", "shard.after_tmp", "shard.after_rename"]):
        out = tmp_path / f"out{number}"
        assert draw(out, f"{place}=kill")[0] == -signal.SIGKILL
        assert (out / "shard-00001-of-00002").exists() == (place == "shard.after_rename")
        code, said = draw(out)
        assert code == 0
        assert ("already" in said) == (place == "shard.after_rename")
        assert samples(out) == samples(tmp_path / "straight")
        assert sorted(p.name for p in out.iterdir()) == ["request.json", "shard-00001-of-00002"]
    assert len(np.load(tmp_path / "straight" / "shard-00001-of-00002" / "samples.npy")) == 30


def test_samples_that_are_killed_before_their_rename_are_not_there(unfog, straight, tmp_path):
    out = tmp_path / "x.npy"
    asked = ["sample", straight, "-n", 5, "-o", out, "--steps", 2]
    assert unfog.run(*asked, failpoints="samples.write=kill")[0] == -signal.SIGKILL
    assert not out.exists()
    assert unfog.run(*asked)[0] == 0
    assert len(np.load(out)) == 5


def pathlib_copy(start, end):
    shutil.copytree(start, end)
    same = [hashlib.sha256((f / "model.safetensors").read_bytes()).digest() for f in (start, end)]
    assert same[0] == same[1]
    return end
