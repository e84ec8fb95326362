"""Memory and scale: the parts of benchmarks/scale.py, each once, where that script is there."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import pathlib
import sys
from collections.abc import Callable

from benchmarks.environments import OURS, ROOT, Home, there
from benchmarks.figures import markdown
from benchmarks.turns import Book, Record, Turn, done

NAME = "scale"
ABOUT = "memory, and how time grows with rows, sizes, threads and processes"
PARTS = ("memory", "rows", "epochs", "samples", "images", "processes")
SHORT = {
    "parts": ["rows", "memory", "processes"],
    "counts": "50000,200000",
    "budget": "10s",
    "updates": 80,
}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=[*PARTS])
    parser.add_argument("--counts", default="", help="sizes by commas, for a quick look")
    parser.add_argument("--budget", default="60s", help="of every fit")
    parser.add_argument("--updates", type=int, default=400, help="of processes and epochs")


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
        book.forget(turn)
        record: Record = {"contestant": "unfog", "key": turn.key}
        try:
            more = ["--budget", asked.budget, "--updates", str(asked.updates)]
            record["rows"] = script.main([part, *sources, *counts, *more])
        except SystemExit as error:
            record["error"] = str(error)
            print(f"{part} failed: {error}", flush=True)
        book.add(record)


def told(records: list[Record]) -> str:
    """Each part's rows as a table of whatever it measured."""
    parts = []
    for record in records:
        if "error" in record:
            parts.append(f"**{record['key']['case']}** failed: {record['error'].splitlines()[-1]}")
            continue
        rows = record["rows"]
        head = list(dict.fromkeys(name for row in rows for name in row))
        cells = [[shown(row.get(name, "–")) for name in head] for row in rows]
        parts.append(f"**{record['key']['case']}**\n\n" + markdown(head, cells))
    return "\n".join(parts)


def shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def drawn(records: list[Record], path: pathlib.Path) -> bool:
    return False


def _rows(records: list[Record], part: str) -> list[dict[str, float]]:
    """The rows of the part's fullest record."""
    found = [r["rows"] for r in records if r["key"]["case"] == part and "error" not in r]
    return max(found, key=len, default=[])


def missed(records: list[Record]) -> float | None:
    """How far the memory that was foreseen is off what was held, the worst of all nets."""
    return max((abs(row["ratio"] - 1) for row in _rows(records, "memory")), default=None)


def kept(records: list[Record]) -> float | None:
    """What was held over the limit that was stated, the worst of all nets."""
    found = [row["kept_mb"] / row["limit_mb"] for row in _rows(records, "memory")]
    return max(found, default=None)


def grown(records: list[Record]) -> float | None:
    """The peak with the most rows over that with a fifth of them or less, both on disk."""
    rows = sorted(_rows(records, "rows"), key=lambda row: row["rows"])
    few = [row for row in rows if 250_000 < row["rows"] <= rows[-1]["rows"] / 5]
    return rows[-1]["peak_mb"] / min(row["peak_mb"] for row in few) if few else None


def doubled(records: list[Record]) -> float | None:
    """An epoch's time by what the rows alone would make it, the worst."""
    rows = _rows(records, "epochs")
    found = [row["times"] * rows[0]["rows"] / row["rows"] for row in rows[1:]]
    return max(found, default=None)


def together(net: str) -> Callable[[list[Record]], float | None]:
    """Items a second of two processes over those of one thread, of that net."""

    def times(records: list[Record]) -> float | None:
        rows = [row for row in _rows(records, "processes") if row["net"] == net]
        return next((row["times"] for row in rows if row["how"] == "2 processes"), None)

    return times
