"""What a person sees while something long runs: a bar on a terminal, nothing in a pipe; notes on
stderr.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TextIO


def note(text: str, *, quiet: bool = False) -> None:
    """One line on standard error."""
    if not quiet:
        print(text, file=sys.stderr, flush=True)


class Line:
    """A line that is written over, for notebooks, where a terminal's bar can't be drawn."""

    def __init__(self, title: str, total: float):
        self.title, self.total, self.begun, self.shown = title, total, time.monotonic(), -1

    def update(self, task: None, *, completed: float, text: str) -> None:
        share = int(100 * completed / self.total)
        if share != self.shown:
            self.shown = share
            spent = time.monotonic() - self.begun
            left = f", {spent * (100 - share) / share:.0f} s left" if share else ""
            print(
                f"\r{self.title} {share:3d} %{left}  {text}   ", end="", file=sys.stderr, flush=True
            )


class Bar:
    """A progress bar that may be there or not."""

    def __init__(self, progress: Any = None, task: Any = None):
        self._progress, self._task = progress, task

    def to(self, done: float, text: str = "") -> None:
        """Move to `done` and say `text` beside the bar."""
        if self._progress is not None:
            self._progress.update(self._task, completed=done, text=text)


@contextmanager
def bar(title: str, total: float, *, show: bool | None = None) -> Iterator[Bar]:
    """A bar with time left on a terminal or in a notebook; silent elsewhere unless `show`."""
    if show is None:
        show = sys.stderr.isatty() or "ipykernel" in sys.modules
    if not show:
        yield Bar()
        return
    if "ipykernel" in sys.modules:
        yield Bar(Line(title, total))
        print(file=sys.stderr)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=False) as progress:
        yield Bar(progress, progress.add_task(title, total=total, text=""))


PATIENCE = 1.0
"""Seconds that work goes on before a bar says so."""


@contextmanager
def reporting(title: str) -> Iterator[Callable[[int, int], None]]:
    """(done, total) -> a bar on a terminal, where it goes on for more than a second."""
    begun, opened = time.monotonic(), ExitStack()
    lines: list[Bar] = []

    def tell(done: int, total: int) -> None:
        if not lines:
            if time.monotonic() - begun < PATIENCE:
                return
            lines.append(opened.enter_context(bar(title, total)))
        lines[0].to(done)

    with opened:
        yield tell


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], stream: TextIO) -> None:
    """Rows of words under heads: drawn on a terminal, aligned lines elsewhere."""
    if stream.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        drawn = Table(*heads)
        for row in rows:
            drawn.add_row(*(Text(cell) for cell in row))
        Console(file=stream).print(drawn)
        return
    wide = [max(len(row[i]) for row in rows) for i in range(len(heads) - 1)]
    print(heads[0], file=stream)
    for row in rows:
        cells = [f"{cell:{width}}" for cell, width in zip(row, wide)]
        print("  " + "  ".join([*cells, row[-1]]).rstrip(), file=stream, flush=True)
