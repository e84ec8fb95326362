"""Memory and scale: the parts of benchmarks/scale.py, each once, where that script is there."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import pathlib
import sys

from benchmarks.environments import OURS, ROOT, Home, there
from benchmarks.figures import markdown
from benchmarks.turns import Book, Record, Turn, done

NAME = "scale"
ABOUT = "memory, and how time grows with rows, sizes, threads and processes"
PARTS = ("memory", "rows", "epochs", "samples", "images", "processes")
SHORT = {"parts": ["rows", "memory", "processes"], "counts": "50000,200000", "budget": "10s"}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=[*PARTS])
    parser.add_argument("--counts", default="", help="sizes by commas, for a quick look")
    parser.add_argument("--budget", default="60s", help="of every fit")


def play(asked: argparse.Namespace, home: Home, book: Book) -> None:
    if importlib.util.find_spec("benchmarks.scale") is None:
        print("benchmarks/scale.py is not there; nothing to run")
        return
    sys.path.insert(0, str(ROOT / "benchmarks"))  # it imports what lies beside it
    os.environ["PYTHONPATH"] = home.path(OURS)  # its runs are processes of ours
    script = importlib.import_module("benchmarks.scale")
    table, pictures = asked.data / "tables/adult_train.csv", asked.data / "images_fashion_mnist"
    if not there(table, pictures / "train.npz"):
        return
    for part in asked.parts:
        turn = Turn("unfog", "", OURS, {"case": part, "counts": asked.counts})
        if done(turn, book):
            continue
        sources = ["--table", str(table), "--pictures", str(pictures / "train.npz")]
        counts = ["--counts", asked.counts] if asked.counts else []
        found = script.main([part, *sources, *counts, "--budget", asked.budget])
        book.add({"contestant": "unfog", "key": turn.key, "rows": found})


def told(records: list[Record]) -> str:
    """Each part's rows as a table of whatever it measured."""
    parts = []
    for record in records:
        rows = record["rows"]
        head = list(dict.fromkeys(name for row in rows for name in row))
        cells = [[shown(row.get(name, "–")) for name in head] for row in rows]
        parts.append(f"**{record['key']['case']}**\n\n" + markdown(head, cells))
    return "\n".join(parts)


def shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def drawn(records: list[Record], path: pathlib.Path) -> bool:
    return False
