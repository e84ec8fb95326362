"""The verb that follows a run from another process: watch."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from unfog.cli.app import Flag, Json, app


@app.command
def watch(
    run: Path,
    /,
    *,
    once: Flag = False,
    every: float = 1.0,
    json: Json = False,
) -> dict[str, Any] | None:
    """Follow a run while another process trains it.

    Example: unfog watch runs/photos

    Parameters
    ----------
    run
        A run folder; the run may be going on or be finished.
    once
        Say where it stands, and end.
    every
        Seconds between two looks at the folder.
    json
        One JSON object on standard output: where it stands now.
    """
    from unfog.cli.watched import drawn, said
    from unfog.errors import ArgumentError
    from unfog.tasks.following import Following

    if not 0.05 <= every <= 3600:
        raise ArgumentError(f"--every is a number of seconds from 0.05 to 3600; got {every}")
    following = Following(run)
    following.update()
    if json:
        return following.facts()
    if once:
        _print(drawn(following) if sys.stdout.isatty() else said(following))
        return None
    if sys.stdout.isatty():
        _live(following, every)
    else:
        _plain(following, every)
    return None


def _over(following: Any) -> bool:
    return following.state() in ("finished", "silent")


def _live(following: Any, every: float) -> None:
    """Draw over and over, until the run ends."""
    from rich.console import Console
    from rich.live import Live

    from unfog.cli.watched import drawn

    with Live(drawn(following), console=Console(), auto_refresh=False) as live:
        while not _over(following):
            time.sleep(every)
            following.update()
            live.update(drawn(following), refresh=True)


def _plain(following: Any, every: float) -> None:
    """A line for what is new, until the run ends."""
    from unfog.cli.watched import ending, look_line, metrics_line

    fresh = [*following.metrics.lines[-1:], *following.latest().values()]
    while True:
        logged = [line for line in fresh if "watch" not in line]
        for line in logged[-1:]:
            print(metrics_line(line), flush=True)
        for line in fresh:
            if "watch" in line:
                print(look_line(line), flush=True)
        if _over(following):
            break
        time.sleep(every)
        fresh = following.update()
    print(ending(following), flush=True)


def _print(content: Any) -> None:
    if isinstance(content, str):
        print(content)
        return
    from rich.console import Console

    Console().print(content)
