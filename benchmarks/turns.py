"""Turns: one contestant's run as a child process, measured; many of them interleaved, resumable."""

from __future__ import annotations

import json
import os
import pathlib
import platform
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.environments import ROOT, Home
from benchmarks.held import Held

THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)
Record = dict[str, Any]


@dataclass(frozen=True)
class Turn:
    """One run of one contestant.

    Args:
        contestant: what tables call it.     module: the file in `benchmarks/contestants`.
        environment: a row of ENVIRONMENTS, or "unfog".
        key: what makes it this turn (case, seed, budget …); recorded turns are not repeated.
        request: what the contestant is asked.     threads: how many it may use.
        limit: wall-clock seconds after which it is killed.
    """

    contestant: str
    module: str
    environment: str
    key: Record
    request: Record = field(default_factory=dict)
    threads: int = 1
    limit: float = 3600.0


Look = Callable[[Turn, pathlib.Path, Record], Record]


class Book:
    """The records of a suite in one JSON file, rewritten after each turn."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        self.records: list[Record] = []
        if path.exists():
            self.records = json.loads(path.read_text(encoding="utf-8"))["records"]

    def find(self, turn: Turn) -> Record | None:
        for record in self.records:
            if record["contestant"] == turn.contestant and record["key"] == turn.key:
                return record
        return None

    def add(self, record: Record) -> None:
        self.records.append({**record, "processor": processor()})
        text = json.dumps({"records": self.records}, indent=1)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text(text + "\n", encoding="utf-8")
        new.replace(self.path)

    def forget(self, turn: Turn) -> None:
        old = self.find(turn)
        self.records = [record for record in self.records if record is not old]


def take(turn: Turn, home: Home, look: Look | None = None) -> Record:
    """Run one contestant; CPU-seconds are those of its process as the kernel counts them.

    `look` sees what it left in its folder and adds figures; its time is nobody's. A contestant that
    fails is a record with its error: a lost bar, not the end of the run.
    """
    record = {"contestant": turn.contestant, "key": turn.key, "threads": turn.threads}
    if why := home.made(turn.environment):
        return {**record, "error": why}
    python = home.python(turn.environment)
    env = {**os.environ, "PYTHONPATH": home.path(turn.environment)}
    env.update({name: str(turn.threads) for name in THREADS})
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = pathlib.Path(name)
        asked = {**turn.request, **turn.key, "threads": turn.threads, "folder": name}
        (folder / "request.json").write_text(json.dumps(asked), encoding="utf-8")
        command = [python, "-m", f"benchmarks.contestants.{turn.module}", f"{name}/request.json"]
        measured = measure(command, env, turn.limit, folder)
        record.update(measured)
        answer = folder / "answer.json"
        if answer.exists() and measured["exit"] == 0:
            record.update(json.loads(answer.read_text(encoding="utf-8")))
            if look is not None:
                record.update(look(turn, folder, record))
        else:
            record["error"] = last_words(folder / "stderr.txt", measured["exit"])
    return record


def measure(command: list[str], env: dict[str, str], limit: float, folder: pathlib.Path) -> Record:
    """The exit code, CPU-seconds, wall-clock and peak memory (MiB) of a command."""
    begun = time.perf_counter()
    with open(folder / "stdout.txt", "wb") as out, open(folder / "stderr.txt", "wb") as err:
        child = subprocess.Popen(command, env=env, cwd=ROOT, stdout=out, stderr=err)
        held = Held(child)
        killer = threading.Timer(limit, child.kill)
        killer.start()
        _, status, used = os.wait4(child.pid, 0)
        killer.cancel()
        child.returncode = os.waitstatus_to_exitcode(status)
    return {
        "exit": child.returncode,
        "cpu": round(used.ru_utime + used.ru_stime, 3),
        "wall": round(time.perf_counter() - begun, 3),
        "peak_mib": round(held.ended(used) / 2**20, 1),
    }


def last_words(path: pathlib.Path, code: int) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"exit {code}: {lines[-1][:300] if lines else 'no message'}"


def run(turns: Iterable[Turn], book: Book, home: Home, look: Look | None = None) -> None:
    """All turns in the order given, which is the interleaving; recorded ones are passed over.

    Those that failed are tried again.
    """
    for turn in turns:
        if done(turn, book):
            continue
        book.forget(turn)
        record = take(turn, home, look)
        book.add(record)
        print(line(record), flush=True)


def done(turn: Turn, book: Book) -> bool:
    """Whether the turn is recorded and did not fail."""
    known = book.find(turn)
    return known is not None and "error" not in known


def line(record: Record) -> str:
    where = " ".join(f"{k}={v}" for k, v in record["key"].items())
    figures = {
        k: v
        for k, v in record.items()
        if isinstance(v, int | float) and k not in ("exit", "threads")
    }
    said = record.get("error") or " ".join(f"{k}={v:.4g}" for k, v in figures.items())
    return f"{record['contestant']:24} {where}: {said}"


def rotated(items: list[Any], by: int) -> list[Any]:
    """The items, begun at another one, so that no contestant is always first."""
    by %= len(items)
    return items[by:] + items[:by]


def processor() -> str:
    path = pathlib.Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
