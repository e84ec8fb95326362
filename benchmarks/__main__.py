"""`python -m benchmarks [SUITE …]`: peers in their own environments, interleaved, measured, told.

Results are kept in benchmarks/results/SUITE.json and a turn that is in there is not repeated, so a
run that was interrupted goes on; `--fresh` begins again. After each suite its picture and the page
docs/benchmarks.md are made anew from all results that there are; `--report` does only that.
`--short` runs each suite once at its smallest, and writes all of that into the cache folder.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import os
import pathlib
import sys
from typing import Any

from benchmarks import report
from benchmarks.environments import ROOT, Home
from benchmarks.turns import THREADS, Book

SUITES = ("startup", "throughput", "sampling", "tables", "quality", "scale")
RESULTS = ROOT / "benchmarks" / "results"


def suite(name: str) -> Any:
    return importlib.import_module(f"benchmarks.suites.{name}")


def default(name: str, value: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(os.environ.get(name, value))


def parser(names: list[str]) -> argparse.ArgumentParser:
    """The options of all suites' runs, and those of the suite if it is one."""
    found = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    found.add_argument("suites", nargs="*", help=f"of {', '.join(SUITES)}; all where left out")
    shared = ROOT.parent / "shared"
    places = {
        "cache": ("BENCH_CACHE", ROOT / ".bench"),
        "data": ("BENCH_DATA", shared / "data"),
        "judge": ("BENCH_JUDGE", shared / "judge" / "judge.py"),
    }
    for name, (variable, value) in places.items():
        found.add_argument(f"--{name}", type=pathlib.Path, default=default(variable, value))
    found.add_argument("--results", type=pathlib.Path, help=f"default {RESULTS}")
    found.add_argument("--torch-from", type=pathlib.Path, metavar="FOLDER",
                       help="a site-packages folder that is lent to every environment")  # fmt: skip
    found.add_argument("--source", action="append", default=[], metavar="NAME=REPOSITORY",
                       help="take a peer's source from here instead of its home")  # fmt: skip
    found.add_argument("--fresh", action="store_true", help="forget the suite's results first")
    found.add_argument("--report", action="store_true", help="only pictures and the page")
    found.add_argument("--short", action="store_true", help="each suite once, at its smallest")
    if len(names) == 1:
        options(found, names[0])
    return found


def options(found: argparse.ArgumentParser, name: str) -> None:
    """A suite's own, with the defaults of a short run where one is asked for."""
    suite(name).options(found)
    if "--short" in sys.argv:
        found.set_defaults(**suite(name).SHORT)


def main() -> None:
    names = [name for name in sys.argv[1:] if name in SUITES]
    asked = parser(names).parse_args()
    unknown = [name for name in asked.suites if name not in SUITES]
    if unknown:
        raise SystemExit(f"no suite {unknown[0]!r}; there are {', '.join(SUITES)}")
    for name in THREADS:
        os.environ.setdefault(name, "1")
    home = Home(
        asked.cache.resolve(),
        asked.torch_from,
        dict(text.split("=", 1) for text in asked.source),
    )
    page = report.Page(RESULTS, report.PAGE)
    if asked.short:
        page = report.Page(home.cache / "short", home.cache / "short" / "benchmarks.md", bars=False)
    if asked.results is not None:
        page = dataclasses.replace(page, results=asked.results)
    chosen = asked.suites or list(SUITES)
    for name in [] if asked.report else chosen:
        path = page.results / f"{name}.json"
        if asked.fresh:
            path.unlink(missing_ok=True)
        if len(names) != 1:
            extra = argparse.ArgumentParser()
            options(extra, name)
            vars(asked).update(vars(extra.parse_args([])))
        print(f"== {name}: {suite(name).ABOUT}", flush=True)
        suite(name).play(asked, home, Book(path))
        report.write(page, [suite(name) for name in SUITES])
    if asked.report:
        report.write(page, [suite(name) for name in SUITES])
    print(f"written: {page.file}")


if __name__ == "__main__":
    main()
