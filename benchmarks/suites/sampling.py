"""Sampling: quality against network calls on one net, and overhead per call.

The overheads, and errors on an exact mixture, are those of benchmarks/solvers.py. The quality is of
one Fashion-MNIST run, which is trained once into the cache, by the fixed judge.
"""

from __future__ import annotations

import argparse
import functools
import pathlib
import statistics
import subprocess
import sys

import numpy as np

from benchmarks.environments import Home, there
from benchmarks.figures import chosen, markdown, ordered, said
from benchmarks.judges.images import scored
from benchmarks.picture import Panel, dots
from benchmarks.turns import Book, Record, Turn, run

NAME = "sampling"
ABOUT = "quality against network calls, overhead per call"
SHORT = {"turns": 1, "inner": 1, "errors": False, "budget": "30s", "count": 500}
CALLS = (5, 6, 8, 10, 15, 20, 60)
AT_ONCE = (1, 16, 256)
RUNS = {  # of whose samples the latency is measured: name -> data, options of `unfog fit`
    "fashion": ("images_fashion_mnist/train.npz", ()),
    "adult": ("tables/adult_train.csv", ()),
    "waveforms": ("audio_waveforms_akwf/akwf.npz", ("--key", "waveforms")),
}
DEFAULT = "unipc"


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--inner", type=int, default=7, help="turns of solvers.py's own")
    parser.add_argument("--errors", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--quality", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--budget", default="120s", help="of the run that is sampled from")
    parser.add_argument("--count", type=int, default=2000)


def play(asked: argparse.Namespace, home: Home, book: Book) -> None:
    for turn in range(asked.turns):
        request = {"turns": asked.inner, "errors": asked.errors and turn == 0}
        run(
            [Turn("all", "solvers", "solvers", {"case": "solvers", "turn": turn}, request)],
            book,
            home,
        )
    if asked.quality:
        by_calls(asked, home, book)
    latencies(asked, home, book)


def fitted(name: str, asked: argparse.Namespace, home: Home) -> pathlib.Path | None:
    """A run that is trained once into the cache; None where its data is not there."""
    place, options = RUNS[name]
    data, folder = asked.data / place, home.cache / "runs" / f"{name}-{asked.budget}"
    if not there(data):
        return None
    if not (folder / "manifest.json").exists():
        fit = [sys.executable, "-m", "unfog", "fit", str(data), "-o", str(folder), "--overwrite"]
        subprocess.run([*fit, *options, "--budget", asked.budget], check=True, env=home.ours())
    return folder


def latencies(asked: argparse.Namespace, home: Home, book: Book) -> None:
    """The time of a draw of one, of some and of many samples, of each kind of data."""
    for name in RUNS:
        folder = fitted(name, asked, home)
        request = {"run": str(folder), "sizes": AT_ONCE, "draws": 5}
        for turn in range(asked.turns if folder is not None else 0):
            key = {"case": "latency", "of": name, "turn": turn, "budget": asked.budget}
            run([Turn("unfog", "unfog_latency", "unfog", key, request)], book, home)


def by_calls(asked: argparse.Namespace, home: Home, book: Book) -> None:
    """The run is fitted once, and judged at several numbers of calls."""
    if not there(asked.judge):
        return
    folder = fitted("fashion", asked, home)
    if folder is None:
        return
    request = {"run": str(folder), "calls": CALLS, "count": asked.count}
    look = functools.partial(judged, asked.judge)
    for seed in range(asked.turns):
        key = {"case": "calls", "seed": seed, "budget": asked.budget}
        run([Turn("unfog", "unfog_calls", "unfog", key, request)], book, home, look)


def judged(judge: pathlib.Path, turn: Turn, folder: pathlib.Path, record: Record) -> Record:
    found = {}
    for calls in turn.request["calls"]:
        with np.load(folder / f"calls-{calls}.npz") as file:
            found[str(calls)] = scored(judge, file["images"])
    return {"by_calls": found}


def ratios(records: list[Record]) -> dict[int, list[float]]:
    """calls -> the Frechet distance over that of the most calls, one per seed."""
    found: dict[int, list[float]] = {}
    for record in chosen(records, "unfog", case="calls"):
        by = {int(n): row["frechet"] for n, row in record.get("by_calls", {}).items()}
        for n, value in by.items():
            found.setdefault(n, []).append(value / by[max(by)])
    return found


def calls(records: list[Record]) -> float | None:
    """The fewest calls that are, in the median, within 10 % of the most."""
    near = [n for n, values in ratios(records).items() if statistics.median(values) <= 1.1]
    return min(near) if near else None


def overheads(records: list[Record]) -> dict[str, list[float]]:
    """library: solver -> microseconds per call, one for each turn."""
    found: dict[str, list[float]] = {}
    for record in chosen(records, case="solvers"):
        for library, members in record.get("overhead", {}).items():
            for name, value in members.items():
                found.setdefault(f"{library}: {name}", []).append(value)
    return found


def overhead(records: list[Record]) -> float | None:
    found = overheads(records).get(f"unfog: {DEFAULT}")
    return statistics.median(found) if found else None


def told(records: list[Record]) -> str:
    parts = []
    turns = len(chosen(records, case="solvers"))
    rows = [[name, said(values)] for name, values in overheads(records).items()]
    if rows:
        parts.append(
            f"Overhead, turns: {turns}; states 64×1×32×32, 20 steps, CPU time of one thread:\n"
        )
        parts.append(markdown(["solver", "µs per call"], rows))
    found = ratios(records)
    if found:
        seeds = len(ordered(chosen(records, case="calls"), "seed"))
        first = chosen(records, case="calls")[0]
        budget, solver, grid = first["key"]["budget"], first.get("solver"), first.get("grid")
        parts.append(
            f"A Fashion-MNIST run (--budget {budget}), its default solver ({solver}) "
            f"and grid ({grid}), {seeds} seeds:\n"
        )
        most = max(found)
        head = ["calls", *map(str, found)]
        parts.append(markdown(head, [[f"Fréchet over that of {most} calls",
                                      *(said(v) for v in found.values())]]))  # fmt: skip
    parts += latency_told(chosen(records, "unfog", case="latency"))
    parts.append(
        "Errors at equal numbers of calls on an exact mixture: [](solvers.md); tuned solvers "
        "beside all others on one net: [](few_steps.md).\n"
    )
    return "\n".join(parts)


def latency_told(records: list[Record]) -> list[str]:
    """Milliseconds of a draw and items a second."""
    rows = []
    for name in RUNS:
        mine = [r for r in chosen(records, of=name) if "latency" in r]
        if mine:
            first = mine[0]
            what = f"{name}: {first['net']} {first['width']}, {first['steps']} steps"
            rows.append([what])
            for size in AT_ONCE:
                walls = [record["latency"][str(size)][0] for record in mine]
                cpus = [record["latency"][str(size)][1] for record in mine]
                rows[-1] += [said([1000 * w for w in walls]), said([size / c for c in cpus])]
    if not rows:
        return []
    head = ["run"]
    head += [x for n in AT_ONCE for x in (f"ms for {n}", "items per CPU-second")]
    about = (
        "A draw by the run's default, solver and steps, median of five in each turn, one thread:\n"
    )
    return [about, markdown(head, rows)]


def drawn(records: list[Record], path: pathlib.Path) -> bool:
    rows = {name: {name.split(":")[0]: v} for name, v in overheads(records).items()}
    grown = {f"{n} calls": {"unfog": v} for n, v in ratios(records).items()}
    title = "Fréchet distance over that of the most calls (1 is best)"
    panels = [Panel("µs per call beyond the net's (less is better)", rows, 100, True),
              Panel(title, grown, 1.1)]  # fmt: skip
    dots(panels, path, "Sampling")
    return bool(rows or grown)
