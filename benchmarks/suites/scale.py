"""Memory and scale: what benchmarks/scale.py measures, where it is there."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import pathlib
import sys

from benchmarks.environments import ROOT, Home
from benchmarks.turns import Book, Record

NAME = "scale"
ABOUT = "memory, and how time grows with rows, sizes, threads and processes"


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scale", nargs=argparse.REMAINDER, default=[], help="its own options")


def play(asked: argparse.Namespace, home: Home, book: Book) -> None:
    if importlib.util.find_spec("benchmarks.scale") is None:
        print("benchmarks/scale.py is not there; nothing to run")
        return
    sys.path[:0] = [str(ROOT / "src"), str(ROOT / "benchmarks")]
    importlib.import_module("benchmarks.scale").main(asked.scale)


def told(records: list[Record]) -> str:
    return ""


def drawn(records: list[Record], path: pathlib.Path) -> bool:
    return False
