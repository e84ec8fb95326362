"""Follow a run from another process, by the files that it writes. Needs no torch."""

from __future__ import annotations

import json
import pathlib
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from unfog.errors import RunError

SILENT = 120.0
"""Seconds without a new line from which a run may be dead."""
SLOW = 20
"""Usual pauses between lines that have to pass as well."""


@dataclass
class Tail:
    """The whole lines that were added to a JSONL file since it was read last.

    A line that is being written is left for the next time; a file that became shorter (a run that
    was resumed drops lines) is read anew.
    """

    path: pathlib.Path
    offset: int = 0
    lines: list[dict[str, Any]] = field(default_factory=list)

    def fresh(self) -> list[dict[str, Any]]:
        """The new lines, which are put behind `lines` too."""
        try:
            if self.path.stat().st_size < self.offset:
                self.offset = 0
                self.lines.clear()
            with self.path.open("rb") as file:
                file.seek(self.offset)
                content = file.read()
        except OSError:
            return []
        whole = content[: content.rfind(b"\n") + 1]
        self.offset += len(whole)
        found = [line for line in map(_parsed, whole.splitlines()) if line is not None]
        self.lines += found
        return found


def _parsed(text: bytes) -> dict[str, Any] | None:
    """One line; None where it is damaged."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and isinstance(line.get("step"), int) else None


class Following:
    """A run that is followed: what it has logged, what its watchers saw, and whether it lives.

    Raises: RunError where there is no run.
    """

    def __init__(self, run: pathlib.Path):
        if not (run / "config.json").exists():
            what = "has no config.json" if run.is_dir() else "is not a folder"
            raise RunError(f"{run} {what}; name the folder of a run that was begun by `unfog fit`")
        self.run = run
        self._begin()

    def _begin(self) -> None:
        """Point at the files; a flow that is straightened writes into RUN/first before."""
        first = self.run / "first"
        alone = (self.run / "metrics.jsonl").exists() or not (first / "metrics.jsonl").exists()
        self.home = self.run if alone else first
        self.metrics = Tail(self.home / "metrics.jsonl")
        self.looks = Tail(self.home / "looks.jsonl")

    def update(self) -> list[dict[str, Any]]:
        """Read on; returns new lines, those of looks have a key "watch"."""
        if self.home != self.run and (self.run / "metrics.jsonl").exists():
            self._begin()
        return [*self.metrics.fresh(), *self.looks.fresh()]

    @property
    def finished(self) -> bool:
        """Whether the run has come to its end: the manifest is written last."""
        return (self.run / "manifest.json").exists()

    def age(self) -> float:
        """Seconds since the run has written anything that is watched."""
        paths = (self.metrics.path, self.looks.path, self.run / "config.json")
        times = [path.stat().st_mtime for path in paths if path.exists()]
        return max(0.0, time.time() - max(times)) if times else 0.0

    def silent(self) -> bool:
        """Whether nothing was written for so long that the run looks dead."""
        pauses = [
            b["seconds"] - a["seconds"]
            for a, b in pairwise(self.metrics.lines[-20:])
            if "seconds" in a and "seconds" in b
        ]
        return self.age() > max(SILENT, SLOW * max(pauses, default=0.0))

    def state(self) -> str:
        """Finished, silent, starting or learning."""
        if self.finished:
            return "finished"
        if self.silent():
            return "silent"
        return "learning" if self.metrics.lines else "starting"

    def facts(self) -> dict[str, Any]:
        """Where the run stands, as one JSON object."""
        last = self.metrics.lines[-1] if self.metrics.lines else {}
        finished = self.finished
        return {
            "run": str(self.run),
            "state": self.state(),
            "step": last.get("step", 0),
            "steps": last.get("steps"),
            "loss": last.get("loss"),
            "items_per_second": last.get("items_per_second"),
            "seconds": last.get("seconds"),
            "left": 0.0 if finished else last.get("left"),
            "age": round(self.age(), 1),
            "looks": self.latest(),
        }

    def latest(self) -> dict[str, dict[str, Any]]:
        """What every watcher saw last, by its name."""
        return {str(line.get("watch")): line for line in self.looks.lines}
