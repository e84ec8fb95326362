"""Bars are won, lost or not measured by the figures alone; the page says so."""

import json

import numpy as np
import pytest

from benchmarks import report
from benchmarks.__main__ import SUITES, parser, suite
from benchmarks.bars import BARS, Bar
from benchmarks.environments import there
from benchmarks.figures import median, said
from benchmarks.judges import points
from benchmarks.suites import scale, startup, tables


def row(contestant, case, seed=0, budget=60.0, **figures):
    key = {"case": case, "seed": seed, "budget": budget, "rows": 100}
    return {"contestant": contestant, "key": key, "threads": 1, **figures}


def records(mine, theirs):
    found = []
    for case in tables.SEVEN:
        found.append(row("unfog", case, two_sample=mine, columns=0.01, rows_per_cpu=2000.0))
        found += [
            row(name, case, two_sample=theirs, columns=0.02, rows_per_cpu=100.0)
            for name in tables.RIVALS
        ]
    return found


def test_bars_are_judged_on_both_sides():
    least = Bar("s", "t", lambda r: 2.0, 3.0, least=True)
    assert least.verdict({"s": [{}]}) == (2.0, "**lost**")
    assert Bar("s", "t", lambda r: 2.0, 3.0).verdict({"s": [{}]}) == (2.0, "won")
    assert Bar("s", "t", lambda r: None, 3.0).verdict({"s": [{}]}) == (None, "not measured")
    assert least.verdict({}) == (None, "not measured")


def test_wins_on_tables_need_all_seven_and_every_rival():
    best = tables.best("two_sample")
    assert best(records(0.55, 0.6)) == 7
    assert best(records(0.65, 0.6)) == 0
    assert best(records(0.55, 0.6)[:-1]) is None
    assert tables.both_best()(records(0.55, 0.6)) == 7
    assert tables.faster(records(0.55, 0.6)) == 20


def test_a_failure_of_ours_is_no_win():
    broken = [
        r for r in records(0.55, 0.6) if r["contestant"] != "unfog" or r["key"]["case"] != "adult"
    ]
    broken.append(row("unfog", "adult", error="exit 1"))
    assert tables.best("two_sample")(broken) == 6


def test_scale_goes_by_the_worst_case():
    def part(case, *rows):
        return {"contestant": "unfog", "key": {"case": case, "counts": ""}, "rows": list(rows)}

    found = [
        part(
            "memory",
            {"ratio": 1.1, "kept_mb": 80, "limit_mb": 100},
            {"ratio": 0.85, "kept_mb": 99, "limit_mb": 100},
        ),
        part(
            "rows",
            {"rows": 100_000, "peak_mb": 100},  # held, so it says nothing of what is on disk
            {"rows": 1_000_000, "peak_mb": 400},
            {"rows": 10_000_000, "peak_mb": 500},
        ),
        part("epochs", {"rows": 500, "times": 1.0}, {"rows": 1000, "times": 2.1}),
        part(
            "processes",
            {"net": "table", "how": "2 threads", "times": 1.9},
            {"net": "table", "how": "2 processes", "times": 1.5},
            {"net": "unet", "how": "2 processes", "times": 1.8},
        ),
    ]
    assert scale.missed(found) == pytest.approx(0.15)
    assert scale.kept(found) == 0.99
    assert scale.grown(found) == 1.25
    assert scale.doubled(found) == 1.05
    assert (scale.together("table")(found), scale.together("unet")(found)) == (1.5, 1.8)


def test_every_bar_of_an_empty_suite_is_not_measured():
    assert all(bar.verdict({bar.suite: []})[1] == "not measured" for bar in BARS)


def test_the_page_says_what_is_lost_and_why(tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    text = json.dumps({"records": records(0.55, 0.6)})
    (results / "tables.json").write_text(text, encoding="utf-8")
    report.write(report.Page(results, tmp_path / "page.md"), [tables, startup])
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    (rate,) = [
        line for line in page.splitlines() if line.startswith("| tables | rows per CPU-second, the")
    ]
    assert "| ≥ 5000 | 2000 | **lost**" in rate
    assert "Why bars are lost" in page
    assert "make bench SUITE=startup" in page
    assert (tmp_path / "pictures" / "bench_tables.png").stat().st_size > 10_000
    report.write(report.Page(results, tmp_path / "short.md", bars=False), [tables, startup])
    short = (tmp_path / "short.md").read_text(encoding="utf-8")
    assert "short run" in short
    assert "**lost**" not in short


def test_a_short_run_takes_options_that_suites_have(monkeypatch):
    for name in SUITES:
        assert set(suite(name).SHORT) <= set(vars(parser([name]).parse_args([])))
    long = vars(parser(["tables"]).parse_args(["tables"]))
    monkeypatch.setattr("sys.argv", ["benchmarks", "tables", "--short"])
    short = vars(parser(["tables"]).parse_args(["tables", "--short", "--seeds", "2"]))
    assert short["budget"] < long["budget"]
    assert short["seeds"] == 2


def test_what_is_not_there_is_said_and_left_out(tmp_path, capsys):
    assert there(tmp_path)
    assert not there(tmp_path, tmp_path / "none")
    assert f"left out: {tmp_path / 'none'} not found" in capsys.readouterr().out


def test_medians_and_spreads():
    assert median([{"a": 1}, {"a": 3}, {"a": 10}, {}], "a") == 3
    assert median([{}], "a") is None
    assert said([1.0, 3.0, 10.0]) == "3 (1 to 10)"
    assert said([2.0]) == "2"


def test_distances_of_points_have_their_closed_forms():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(20_000, 2)), rng.normal(size=(20_000, 2)) * 2 + [3, 0]
    # normals: |m - n|^2 + sum (s - t)^2; sliced: half the squared shift a direction and the spread's
    assert points.frechet(a, b) == pytest.approx(9 + 2, rel=0.05)
    assert points.sliced(a, b) == pytest.approx(np.sqrt(9 / 2 + 1), rel=0.05)
    assert points.sliced(a, a) == 0


def test_the_parts_of_scale_are_each_run_once_and_told(tmp_path, monkeypatch):
    import argparse
    import importlib.util
    import sys
    import types

    from benchmarks.environments import Home
    from benchmarks.suites import scale
    from benchmarks.turns import Book

    asked = []

    def main(argv):
        asked.append(argv[0])
        return [{"rows": 1000, "peak": 12.345678}, {"rows": 2000, "late": True}]

    monkeypatch.setitem(sys.modules, "benchmarks.scale", types.SimpleNamespace(main=main))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setattr(sys, "path", list(sys.path))
    wanted = argparse.Namespace(
        parts=["rows", "memory"], counts="", budget="1s", updates=4, data=tmp_path
    )
    scale.play(wanted, Home(tmp_path), Book(tmp_path / "scale.json"))
    assert asked == []  # no data
    for file in ("tables/adult_train.csv", "images_fashion_mnist/train.npz"):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).touch()
    for _ in range(2):
        scale.play(wanted, Home(tmp_path), Book(tmp_path / "scale.json"))
    assert asked == ["rows", "memory"]
    page = scale.told(Book(tmp_path / "scale.json").records)
    assert "| rows | peak | late |" in page
    assert "| 1000 | 12.35 | – |" in page

    def failing(argv):
        raise SystemExit("unfog fit ended with 5:\nmemory=1 MB is too little")

    sys.modules["benchmarks.scale"].main = failing
    wanted.parts = ["epochs", "rows"]  # one that failed is tried again, and ends nothing
    scale.play(wanted, Home(tmp_path), Book(tmp_path / "scale.json"))
    records = Book(tmp_path / "scale.json").records
    assert "**epochs** failed: memory=1 MB is too little" in scale.told(records)
    assert scale.doubled(records) is None
    assert all(record["processor"] for record in records)


def test_every_bar_says_which_side_is_won():
    """A reason in the place of `least` once made a lost bar a won one."""
    assert all(isinstance(bar.least, bool) and isinstance(bar.why, str) for bar in BARS)
    with pytest.raises(TypeError):
        Bar("s", "t", lambda r: 2.0, 3.0, "a reason")
