"""What every contestant shares: the request, the answer, phases of CPU-seconds. No dependencies."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

WALL = time.perf_counter  # some contestants put another clock in its place


def cpu() -> float:
    """CPU-seconds of this process and of its finished children, user and system."""
    return sum(os.times()[:4])


class Child:
    """A contestant's side of one turn.

    Attributes:
        asked: the request.     figures: the answer so far, phases as NAME_cpu, NAME_wall.
    """

    def __init__(self) -> None:
        path = pathlib.Path(sys.argv[1])
        self.asked: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        self.folder = path.parent
        self.figures: dict[str, Any] = {"start_cpu": cpu()}

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the CPU-seconds and the wall-clock of a part of the work."""
        used, wall = cpu(), WALL()
        yield
        self.figures[f"{name}_cpu"] = round(cpu() - used, 3)
        self.figures[f"{name}_wall"] = round(WALL() - wall, 3)

    def answer(self, *packages: str, **figures: Any) -> None:
        """Write the answer, with the versions of the packages that did the work."""
        self.figures.update(figures)
        self.figures["versions"] = {name: importlib.metadata.version(name) for name in packages}
        text = json.dumps(self.figures)
        (self.folder / "answer.json").write_text(text, encoding="utf-8")


def until(seconds: float, clock: Callable[[], float] = cpu) -> Callable[..., Iterator[int]]:
    """A `tqdm` that ends once so many CPU-seconds are spent, counted from now.

    It stands in for the progress bar of a peer's training loop, which is thus left as it is.
    """
    begun = clock()

    def bar(steps: Any, *args: Any, **options: Any) -> Iterator[int]:
        for step in steps:
            if clock() - begun >= seconds:
                return
            yield step

    return bar
