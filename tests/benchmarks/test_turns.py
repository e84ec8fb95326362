"""Turns: CPU-seconds are counted, failures are records, recorded turns are not repeated."""

import json
import os
import pathlib
import subprocess
import sys
import types

import pytest

from benchmarks import turns
from benchmarks.contestants.child import until
from benchmarks.environments import ENVIRONMENTS, OURS, Home, pinned_torch
from benchmarks.turns import Book, Turn, measure, rotated, run, take

WORK = """
import sys, time
from benchmarks.contestants.child import Child
child = Child()
with child.phase("work"):
    begun = time.process_time()
    while time.process_time() - begun < child.asked["busy"]:
        pass
time.sleep(child.asked["idle"])
child.answer("numpy", threads=child.asked["threads"])
"""


@pytest.fixture
def busy():
    """A contestant that works and rests as asked, in `benchmarks.contestants`."""
    name = f"busy_for_tests_{os.getpid()}"
    path = pathlib.Path(turns.__file__).parent / "contestants" / f"{name}.py"
    path.write_text(WORK, encoding="utf-8")
    yield name
    path.unlink()


def test_cpu_seconds_are_of_the_process_and_rest_is_not_counted(tmp_path, busy):
    request = {"busy": 0.4, "idle": 0.5}
    record = take(Turn("a", busy, OURS, {"seed": 0}, request), Home(tmp_path))
    assert "error" not in record
    assert 0.35 < record["work_cpu"] < 0.6
    assert record["work_cpu"] <= record["cpu"] < record["work_cpu"] + 0.5
    assert record["wall"] > record["work_cpu"] + 0.5
    assert record["versions"]["numpy"]


def test_a_contestant_that_fails_is_a_record_with_its_last_words(tmp_path, busy):
    record = take(Turn("a", busy, OURS, {"seed": 0}, {"busy": 0}), Home(tmp_path))
    assert "KeyError: 'idle'" in record["error"]
    assert record["exit"] == 1


def test_an_environment_that_is_not_made_fails_its_contestants_alone(tmp_path, monkeypatch):
    asked = []

    def python(self, name):
        asked.append(name)
        raise subprocess.CalledProcessError(1, ["git", "clone"])

    monkeypatch.setattr(Home, "python", python)
    home, book = Home(tmp_path), Book(tmp_path / "book.json")
    run([Turn("a", "none", "tabddpm", {"seed": seed}) for seed in range(2)], book, home)
    assert [record["error"] for record in book.records] == [
        "its environment was not made: Command '['git', 'clone']' returned non-zero exit status 1."
    ] * 2
    assert asked == ["tabddpm"]


def test_a_contestant_that_takes_too_long_is_killed(tmp_path):
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    measured = measure(command, {}, 0.3, tmp_path)
    assert measured["exit"] == -9
    assert measured["wall"] < 5


def test_recorded_turns_are_not_repeated_but_those_that_failed(tmp_path, monkeypatch):
    taken = []

    def record(turn, home, look=None):
        taken.append((turn.contestant, turn.key["seed"]))
        failed = {"error": "exit 1"} if len(taken) == 2 else {}
        return {"contestant": turn.contestant, "key": turn.key, "cpu": 1.0, **failed}

    monkeypatch.setattr(turns, "take", record)
    path = tmp_path / "kept" / "suite.json"
    plan = [Turn(name, "m", OURS, {"seed": seed}) for seed in (0, 1) for name in "ab"]
    run(plan[:3], Book(path), Home(tmp_path))
    run(plan, Book(path), Home(tmp_path))
    assert taken == [("a", 0), ("b", 0), ("a", 1), ("b", 0), ("b", 1)]  # b failed once
    assert len(json.loads(path.read_text())["records"]) == 4


def test_rotated_begins_elsewhere_and_keeps_all():
    assert rotated([1, 2, 3], 4) == [2, 3, 1]


def test_a_bar_ends_when_the_seconds_are_spent():
    ticks = iter([0.0, 0.5, 0.9, 1.1, 9.9])
    bar = until(1.0, lambda: next(ticks))
    assert list(bar(range(100), disable=True)) == [0, 1]


def test_environments_are_made_once_and_again_when_their_row_changes(tmp_path, monkeypatch):
    commands = []

    def record(command, **options):
        command = [str(word) for word in command]
        commands.append(command)
        if command[1:3] == ["-m", "venv"]:
            (pathlib.Path(command[3]) / "bin").mkdir(parents=True)
            (pathlib.Path(command[3]) / "bin" / "python").touch()
            (pathlib.Path(command[3]) / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
        return types.SimpleNamespace(returncode=1)

    monkeypatch.setattr("benchmarks.environments.subprocess.run", record)
    home = Home(tmp_path, torch_from=pathlib.Path("/lent"))
    first = home.python("tabddpm")
    assert any(pinned_torch() in command for command in commands)
    assert any(command[:2] == ["git", "clone"] for command in commands)
    assert any(ENVIRONMENTS["tabddpm"].source[1] in command for command in commands)
    (pth,) = tmp_path.glob("tabddpm/lib/*/site-packages/lent.pth")
    assert pth.read_text() == "/lent\n"
    count = len(commands)
    assert home.python("tabddpm") == first
    assert len(commands) == count
    (tmp_path / "tabddpm" / ".made").write_text("an older row")
    home.python("tabddpm")
    assert len(commands) > count


def test_every_contestant_that_a_suite_names_is_there():
    from benchmarks.suites import quality, tables, throughput

    folder = pathlib.Path(turns.__file__).parent / "contestants"
    named = [row[:2] for rows in (tables.METHODS, throughput.LOOPS, quality.PICTURES, quality.SMALL)
             for row in rows.values()]  # fmt: skip
    for module, environment in named:
        assert (folder / f"{module}.py").exists()
        assert environment == OURS or environment in ENVIRONMENTS
