"""What a person sees while something long runs: a bar on a terminal, nothing in a pipe; notes on
stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def note(text: str, *, quiet: bool = False) -> None:
    """One line on standard error."""
    if not quiet:
        print(text, file=sys.stderr, flush=True)


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
