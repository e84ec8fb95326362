"""SIGTERM and Ctrl-C in every phase: a sentence, the right exit code, nothing half-done. (Rows 10, 11, 21.)"""

import os
import signal
import time

import pytest
from conftest import EACH, STEPS, alright, hashes

CODES = {"term": 143, "int": 130}


def plain(said):
    """One sentence of unfog's, and no traceback."""
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if line.startswith("unfog: ")]
    assert len(lines) == 1, said
    return lines[0]


@pytest.mark.parametrize("signal_", CODES)
@pytest.mark.parametrize("place", ["fit.prepare", "fit.plan"])
def test_before_training_nothing_is_left(unfog, fit, tmp_path, place, signal_):
    run = tmp_path / "run"
    code, said = unfog.run(*fit(run), failpoints=f"{place}={signal_}")
    assert code == CODES[signal_]
    assert plain(said) == f"unfog: stopped before training began; nothing was left in {run}"
    assert list(run.iterdir()) == []


@pytest.mark.parametrize(
    ("place", "signal_", "step"),
    [("train.step@1", "term", 1), ("train.step@1", "int", 1), ("train.step@20", "term", 20)],
)
def test_in_an_update_it_saves_and_goes_on_alike(
    unfog, fit, straight, tmp_path, place, signal_, step
):
    """Also in the very first one."""
    run = tmp_path / "run"
    code, said = unfog.run(*fit(run), failpoints=f"{place}={signal_}")
    assert code == CODES[signal_]
    assert plain(said) == f"unfog: stopped at step {step} of {STEPS}; go on with --resume"
    assert (run / "checkpoints" / f"step-{step:08d}" / "manifest.json").exists()
    assert unfog.run(*fit(run, resume=True))[0] == 0
    assert hashes(run) == hashes(straight)


def test_while_saving_the_checkpoint_is_finished_first(unfog, fit, straight, tmp_path):
    run = tmp_path / "run"
    code, said = unfog.run(*fit(run, **EACH), failpoints="checkpoint.between@2=term")
    assert code == 143
    assert "go on with --resume" in plain(said)
    assert len(list((run / "checkpoints").glob("step-*/manifest.json"))) == 2
    alright(run)


def test_in_the_last_files_the_run_can_be_finished(unfog, fit, straight, tmp_path):
    run = tmp_path / "run"
    code, said = unfog.run(*fit(run), failpoints="finish.between=term")
    assert (code, plain(said)) == (143, f"unfog: stopped; go on with: --resume -o {run}")
    assert not (run / "manifest.json").exists()
    assert unfog.run(*fit(run, resume=True))[0] == 0
    assert hashes(run) == hashes(straight)


@pytest.mark.parametrize("signal_", CODES)
def test_while_sampling_and_judging(unfog, straight, tmp_path, signal_):
    out = tmp_path / "x.npy"
    asked = ["sample", straight, "-n", 5, "-o", out, "--steps", 3]
    code, said = unfog.run(*asked, failpoints=f"sample.step@2={signal_}")
    assert (code, plain(said)) == (CODES[signal_], "unfog: stopped")
    assert list(tmp_path.iterdir()) == []
    code, said = unfog.run("evaluate", straight, "-n", 30, failpoints=f"evaluate.judge={signal_}")
    assert (code, plain(said)) == (CODES[signal_], "unfog: stopped")
    assert not (straight / "evaluation.json").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_twice_is_at_once(unfog, fit, tmp_path, number, code):
    """The first waits for the update, which takes a minute; the second does not."""
    run = tmp_path / "run"
    asked = fit(run, steps=20, train__log_every=1)
    child, log = unfog.start(*asked, failpoints="train.step@12=sleep:60"), run / "metrics.jsonl"
    child.until(lambda: log.exists() and log.read_text().count("\n") == 11)
    time.sleep(0.5)  # until it sleeps
    begun = time.monotonic()
    os.kill(child.pid, number)
    time.sleep(0.3)
    os.kill(child.pid, number)
    found, said = child.end()
    assert time.monotonic() - begun < 30
    assert (found, plain(said)) == (code, f"unfog: stopped; go on with: --resume -o {run}")
    assert unfog.run(*fit(run, resume=True))[0] == 0


def test_clocks_that_jump_change_no_duration_and_no_decision(source, tmp_path, monkeypatch):
    """The wall clock goes back a year at every look, the time zone changes: a budget holds."""
    import json
    import random

    from unfog.tasks.fit import fit as learn

    draw = random.Random(0)
    monkeypatch.setattr(time, "time", lambda: draw.uniform(-1e9, 4e9))
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    begun = time.monotonic()
    settings = {"net.width": 16, "net.depth": 1}
    model = learn(source, out=tmp_path / "run", budget="4s", settings=settings, quiet=True)
    took = time.monotonic() - begun
    lines = [json.loads(x) for x in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds)
    assert 0 <= seconds[0] <= seconds[-1] <= took
    assert model.config.plan["seconds"]["training"] <= 4
    monkeypatch.undo()
    time.tzset()


def test_no_duration_is_read_off_the_wall_clock():
    import pathlib
    import re

    import unfog

    for path in pathlib.Path(unfog.__file__).parent.rglob("*.py"):
        if path.name == "following.py":  # the age of another process's files has no other clock
            continue
        assert not re.search(r"\btime\.time\(|datetime\.(now|utcnow|today)\(", path.read_text()), (
            path
        )
