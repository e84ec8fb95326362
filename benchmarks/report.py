"""The page docs/benchmarks.md and the pictures, made from the results alone."""

from __future__ import annotations

import json
import pathlib
import platform
from dataclasses import dataclass
from typing import Any

from benchmarks.bars import BARS, Results
from benchmarks.environments import ENVIRONMENTS, ROOT
from benchmarks.figures import Record, markdown

PAGE = ROOT / "docs" / "benchmarks.md"
HEAD = """# Benchmarks: what is won, what is lost

This page and its pictures are written by `make bench SUITE=tables` (suites: {suites}; `make bench`
alone runs each of them once at its smallest) from the records in `benchmarks/results`. Every peer
is in an environment of its own, every run of a contestant is a process of its own, contestants
take turns (A B A B), and what is counted is the CPU time of the process as the kernel counts it,
wall-clock beside it in the records. Figures are medians with the least and the largest; with one
run there is no spread, and the page says how many there were. The judges are the same for
everybody, and what real data scores is printed as the floor. Of {threads}. Machines were shared
while these were taken, so that absolute times mean little and ratios of one run much.

"""

SHORT = """This is a short run: everything once, with budgets of seconds, to see that it runs and
roughly who is where. What was promised is for the long runs, `make bench SUITE=NAME`.
"""


def load(folder: pathlib.Path) -> dict[str, list[Record]]:
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))["records"]
        for path in sorted(folder.glob("*.json"))
    }


@dataclass(frozen=True)
class Page:
    """Where records are, and where they are told; pictures lie in a folder beside the page.

    Args:
        bars: whether these are the runs that the bars are about.
    """

    results: pathlib.Path
    file: pathlib.Path
    bars: bool = True


def write(page: Page, suites: list[Any]) -> None:
    """The page and the pictures of the suites that have results."""
    results = load(page.results)
    pictures = page.file.parent / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    threads = sorted({r["threads"] for rs in results.values() for r in rs if "threads" in r})
    said = "one thread" if threads == [1] else f"threads: {threads}"
    names = ", ".join(f"`{suite.NAME}`" for suite in suites)
    parts = [HEAD.format(suites=names, threads=said)]
    parts.append(bars(results) if page.bars else SHORT)
    for suite in suites:
        records = results.get(suite.NAME) or []
        parts.append(f"## {suite.NAME}: {suite.ABOUT}\n")
        if not records:
            parts.append(f"Not run yet: `make bench SUITE={suite.NAME}`.\n")
            continue
        parts += [suite.told(records), where(records)]
        path = pictures / f"bench_{suite.NAME}.png"
        if suite.drawn(records, path):
            parts.append(f"![{suite.ABOUT}](pictures/{path.name})\n")
        parts.append(failures(records))
    parts.append(versions(results))
    page.file.write_text("\n".join(part for part in parts if part), encoding="utf-8")
    if page.bars:
        print(bars(results))


def bars(results: Results) -> str:
    """Every bar with its figure and verdict."""
    rows, reasons = [], []
    for bar in BARS:
        value, verdict = bar.verdict(results)
        wanted = f"{'≥' if bar.least else '≤'} {bar.wanted:.4g}"
        rows.append([bar.suite, bar.text, wanted, plain(value), verdict])
        if verdict == "**lost**" and bar.why:
            reasons.append(f"* {bar.text}: {bar.why}.")
    table = markdown(["suite", "bar", "wanted", "measured", ""], rows)
    return table + ("\nWhy bars are lost:\n\n" + "\n".join(reasons) + "\n" if reasons else "")


def plain(value: float | None) -> str:
    """Three digits, and no exponents."""
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def where(records: list[Record]) -> str:
    """The processors of these records, which say so since it was seen to matter."""
    known = sorted({r.get("processor", "not recorded") for r in records})
    return "" if known == ["not recorded"] else f"Processor: {'; '.join(known)}.\n"


def failures(records: list[Record]) -> str:
    lines = [
        f"* {r['contestant']} ({', '.join(f'{k} {v}' for k, v in r['key'].items())}): {r['error']}"
        for r in records
        if "error" in r
    ]
    return "Runs that failed:\n\n" + "\n".join(lines) + "\n" if lines else ""


def versions(results: Results) -> str:
    """What was installed, as the contestants said themselves."""
    found: dict[str, set[str]] = {}
    for records in results.values():
        for record in records:
            for name, version in record.get("versions", {}).items():
                found.setdefault(name, set()).add(version)
    said = ", ".join(f"{name} {' / '.join(sorted(v))}" for name, v in sorted(found.items()))
    sources = ", ".join(
        f"{name} at {env.source[1][:7]} of {env.source[0]}"
        for name, env in ENVIRONMENTS.items()
        if env.source is not None
    )
    return f"## Versions\n\n{said}; {sources}. Python {platform.python_version()}.\n"
