"""Failpoints: what is written happens there and then, what is misspelt is refused, unset is free."""

import errno
import re
import timeit

import pytest

import unfog.failpoints as failpoints
from unfog.cli import run
from unfog.errors import ArgumentError
from unfog.failpoints import ACTIONS, PLACES, arm, at, parse


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train.stp@3=nan", "unknown place 'train.stp'.*did you mean 'train.step'"),
        ("train.step=explode", "unknown action 'explode'; known: kill"),
        ("train.step", "takes place=action"),
        ("train.step@x=kill", "takes place=action"),
        ("train.step=sleep", "wait so many seconds"),
        ("train.step=kill:3", "SIGKILL"),
        ("log.write=nan", "'nan' is for train.step"),
    ],
)
def test_a_misspelt_one_is_refused_before_anything_runs(text, said, monkeypatch, capsys):
    with pytest.raises(ArgumentError, match=said):
        parse(text)
    monkeypatch.setenv(failpoints.VARIABLE, text)
    monkeypatch.setattr(failpoints, "_faults", None)
    assert run(["solvers"]) == 2
    assert re.search(said, capsys.readouterr().err)


def test_numbers_ranges_and_passings():
    with arm("train.step@3=nan, train.step@6-7=nan, train.step@9-=nan"):
        assert [n for n in range(1, 12) if at("train.step", n)] == [3, 6, 7, 9, 10, 11]
        assert [n for n in range(1, 12) if at("train.step", n)] == [6, 7, 9, 10, 11]  # 3: once
    with arm("log.write@2=full"):
        at("log.write")
        with pytest.raises(OSError) as caught:
            at("log.write")
        assert caught.value.errno == errno.ENOSPC
        at("log.write")
    assert not at("train.step", 3)


def test_every_place_is_passed_somewhere_and_every_action_is_known():
    import pathlib

    import unfog

    home = pathlib.Path(unfog.__file__).parent
    text = "".join(p.read_text() for p in home.rglob("*.py") if p.name != "failpoints.py")
    used = set(re.findall(r"""\bat\("([\w.]+)\"""", text))
    assert used == set(PLACES)
    for action in set(ACTIONS) - {"nan"}:
        value = ":1" if action in ("sleep", "exit") else ""
        assert parse(f"log.write={action}{value}")["log.write"][0].action == action


def test_unset_they_cost_under_two_microseconds():
    with arm(""):
        seconds = min(timeit.repeat(lambda: at("train.step", 7), number=1000, repeat=20)) / 1000
    assert seconds < 2e-6
