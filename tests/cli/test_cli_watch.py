"""Following a run from another process, by its files, whatever state they are in."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from unfog.cli import run as cli
from unfog.cli.watched import curve, span
from unfog.errors import RunError
from unfog.tasks.following import SILENT, Following, Tail


def metrics(step, steps=100, **more):
    line = {
        "step": step,
        "loss": 1 / step,
        "items_per_second": 50.0,
        "steps": steps,
        "seconds": step,
        "left": steps - step,
    }
    return json.dumps({**line, **more}) + "\n"


def held(step):
    facts = {
        "levels": [0.2, 0.8],
        "train": [1.0, 2.0],
        "validation": [1.5, 2.5],
        "train_mean": 1.5,
        "validation_mean": 2.0,
        "error": 0.1,
        "best": step,
    }
    return json.dumps({"step": step, "seconds": step, "watch": "heldout", **facts}) + "\n"


@pytest.fixture
def run(tmp_path):
    home = tmp_path / "run"
    home.mkdir()
    (home / "config.json").write_text("{}")
    return home


def test_a_tail_gives_whole_lines_once_and_starts_anew_when_a_run_is_resumed(tmp_path):
    path = tmp_path / "metrics.jsonl"
    tail = Tail(path)
    assert tail.fresh() == []
    path.write_text(metrics(10) + metrics(20)[:17])
    assert [line["step"] for line in tail.fresh()] == [10]
    assert tail.fresh() == []
    path.write_text(metrics(10) + metrics(20) + "not json\n" + "[1]\n" + metrics(30))
    assert [line["step"] for line in tail.fresh()] == [20, 30]
    path.write_text(metrics(10))
    assert [line["step"] for line in tail.fresh()] == [10]
    assert [line["step"] for line in tail.lines] == [10]
    path.write_bytes(b"\xff\xfe broken\n" + metrics(40).encode() * 3)
    assert [line["step"] for line in tail.fresh()][-1] == 40


def test_where_a_run_stands_is_one_json_object(run, capsys):
    assert cli(["watch", str(run), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["state"] == "starting"
    assert facts["loss"] is None
    (run / "metrics.jsonl").write_text(metrics(10) + metrics(20) + metrics(30)[:9])
    (run / "looks.jsonl").write_text(held(20))
    assert cli(["watch", str(run), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["state"], facts["step"], facts["steps"], facts["left"]) == (
        "learning",
        20,
        100,
        80,
    )
    assert facts["looks"]["heldout"]["validation_mean"] == 2.0


def test_once_says_it_in_lines(run, capsys):
    (run / "metrics.jsonl").write_text(metrics(20))
    clock = {"step": 20, "seconds": 20, "watch": "clock", "copies": 0.25, "unknown": [1, 2]}
    (run / "looks.jsonl").write_text(held(20) + json.dumps(clock) + "\n")
    assert cli(["watch", str(run), "--once"]) == 0
    out = capsys.readouterr().out
    assert "step 20 of 100  20 %  loss 0.05  50 items/s  80 s left" in out
    assert "heldout at step 20: loss 2 ± 0.1 on held-out items, 1.5 on training items" in out
    assert "clock at step 20: copies 0.25" in out
    assert "learning: the last line is" in out


def test_a_run_that_went_silent_is_said_to_look_dead_and_following_ends(run, capsys):
    (run / "metrics.jsonl").write_text(metrics(2) + metrics(3))
    old = time.time() - 2 * SILENT
    for path in run.iterdir():
        os.utime(path, (old, old))
    assert cli(["watch", str(run)]) == 0
    out = capsys.readouterr().out
    assert "nothing new for 4.0 min: it looks dead" in out
    assert "--resume" in out
    slow = metrics(10) + metrics(100)  # a line every 90 s is usual there
    (run / "metrics.jsonl").write_text(slow)
    os.utime(run / "metrics.jsonl", (old, old))
    following = Following(run)
    following.update()
    assert following.state() == "learning"


@pytest.mark.parametrize("make", [True, False])
def test_no_run_is_one_sentence_and_code_4(tmp_path, capsys, make):
    place = tmp_path / "nothing"
    if make:
        place.mkdir()
    assert cli(["watch", str(place)]) == 4
    assert "run" in capsys.readouterr().err
    with pytest.raises(RunError, match="unfog fit"):
        Following(place)


def test_the_first_flow_is_followed_until_the_second_logs(run):
    (run / "first").mkdir()
    (run / "first" / "metrics.jsonl").write_text(metrics(5))
    following = Following(run)
    following.update()
    assert following.facts()["step"] == 5
    (run / "metrics.jsonl").write_text(metrics(1, steps=7))
    following.update()
    assert (following.facts()["step"], following.facts()["steps"]) == (1, 7)


def test_a_terminal_sees_curves_of_every_watcher(run):
    from io import StringIO

    from rich.console import Console

    from unfog.cli.watched import drawn

    (run / "metrics.jsonl").write_text("".join(metrics(k) for k in range(1, 61)))
    quality = {
        "step": 60,
        "watch": "quality",
        "metric": "columns",
        "value": 0.2,
        "floor": 0.1,
        "samples": 9,
    }
    (run / "looks.jsonl").write_text(held(30) + held(60) + json.dumps(quality) + "\n")
    following = Following(run)
    following.update()
    page = StringIO()
    Console(file=page, width=110).print(drawn(following))
    text = page.getvalue()
    for word in ("training loss", "█", "heldout", "data → noise", "columns 0.2", "40 s left"):
        assert word in text


def test_a_curve_is_from_the_lowest_to_the_highest_and_never_too_wide():
    assert curve([0.0, 1.0, 2.0]).startswith("▁▅█") or curve([0.0, 1.0, 2.0]).startswith("▁▄█")
    assert len(curve(list(range(10_000)), 48).split()[0]) <= 48
    assert curve([float("nan")]) == "–"
    assert curve([2.0, float("inf"), 2.0]).startswith("▁▁")
    assert [span(s) for s in (41.6, 300, 7200)] == ["42 s", "5.0 min", "2.0 h"]


@pytest.mark.slow
def test_a_live_run_is_followed_to_its_end(tmp_path):
    source, out = tmp_path / "x.npy", tmp_path / "run"
    np.save(source, np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32))
    settings = ["--set", "net.width=48", "--set", "train.looks=3", "--stop-at", "never"]
    command = [sys.executable, "-m", "unfog"]
    fit = subprocess.Popen(
        [*command, "fit", str(source), "-o", str(out), "--steps", "600", *settings]
    )
    while not (out / "config.json").exists() and fit.poll() is None:
        time.sleep(0.05)
    done = subprocess.run(
        [*command, "watch", str(out), "--every", "0.1"], capture_output=True, text=True, check=True
    )
    assert fit.wait() == 0
    assert "heldout at step 600" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("finished: 600 steps")
