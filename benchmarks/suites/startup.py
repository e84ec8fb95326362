"""Start-up: imports beside the peers', `unfog --help`, the first sample of a saved run."""

from __future__ import annotations

import argparse
import pathlib
import subprocess
import sys

from benchmarks.environments import Home
from benchmarks.figures import chosen, contestants, markdown, median, ordered, said, values
from benchmarks.picture import Panel, dots
from benchmarks.turns import Book, Record, Turn, rotated, run

NAME = "startup"
ABOUT = "CPU-seconds until something happens: imports, help, the first sample"
SHORT = {"turns": 1}
IMPORTS = {
    "unfog": ("unfog", "unfog"),
    "unfog and its fit": ("unfog", "unfog; unfog.fit"),
    "torch alone": ("unfog", "torch"),
    "diffusers": ("diffusers", "diffusers; diffusers.UNet2DModel"),
    "torchcfm": ("torchcfm", "torchcfm.conditional_flow_matching"),
    "SDV": ("sdv", "sdv.single_table"),
    "ForestDiffusion": ("forest", "ForestDiffusion"),
}
FIT = (
    "import sys, numpy as np, unfog;"
    "x = np.random.default_rng(0).normal(size=(500, 1, 16, 16)).astype('float32');"
    "unfog.fit(x, steps=5, out=sys.argv[1], overwrite=True, quiet=True)"
)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--turns", type=int, default=5)


def play(asked: argparse.Namespace, home: Home, book: Book) -> None:
    folder = home.cache / "runs" / "startup"
    if not (folder / "config.json").exists():
        subprocess.run([sys.executable, "-c", FIT, str(folder)], check=True, env=home.ours())
    sample = ["-m", "unfog", "sample", str(folder), "-n", "1", "-o"]
    for turn in range(asked.turns):
        turns = [
            made(name, environment, "import", turn, ["-c", f"import {what}"])
            for name, (environment, what) in IMPORTS.items()
        ]
        turns.append(made("unfog", "unfog", "unfog --help", turn, ["-m", "unfog", "--help"]))
        out = str(home.cache / "runs" / f"first-{turn}.npy")
        pathlib.Path(out).unlink(missing_ok=True)
        turns.append(made("unfog", "unfog", "unfog sample RUN -n 1", turn, [*sample, out]))
        run(rotated(turns, turn), book, home)


def made(name: str, environment: str, what: str, turn: int, arguments: list[str]) -> Turn:
    key = {"case": what, "turn": turn}
    return Turn(name, "command", environment, key, {"arguments": arguments}, limit=300)


def imported(records: list[Record]) -> float | None:
    return median(chosen(records, "unfog", case="import"), "command_cpu")


def cells(records: list[Record], figure: str) -> dict[str, dict[str, list[float]]]:
    return {
        f"{case}, {name}" if case == "import" else case: {name: values(found, figure)}
        for case in ordered(records, "case")
        for name in contestants(records)
        if (found := chosen(records, name, case=case))
    }


def told(records: list[Record]) -> str:
    count = len(ordered(records, "turn"))
    rows = [
        [where, said(numbers), said(walls)]
        for (where, row), other in zip(
            cells(records, "command_cpu").items(), cells(records, "command_wall").values()
        )
        for numbers, walls in zip(row.values(), other.values())
    ]
    return f"Turns: {count}.\n\n" + markdown(["what", "CPU-seconds", "wall-clock seconds"], rows)


def drawn(records: list[Record], path: pathlib.Path) -> bool:
    panel = Panel("CPU-seconds (less is better)", cells(records, "command_cpu"), log=True)
    dots([panel], path, "Start-up")
    return True
