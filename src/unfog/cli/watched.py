"""What is shown of a run that is followed: lines in a pipe, a drawing on a terminal."""

from __future__ import annotations

import math
from typing import Any

BARS = "▁▂▃▄▅▆▇█"
WIDE = 48
"""Columns of a curve."""


def metrics_line(line: dict[str, Any]) -> str:
    """One log line of a run in words."""
    steps = line.get("steps") or line["step"]
    found = [f"step {line['step']} of {steps}", f"{100 * line['step'] / steps:.0f} %"]
    if "loss" in line:
        found.append(f"loss {float(line['loss']):.4g}")
    if "items_per_second" in line:
        found.append(f"{line['items_per_second']:.0f} items/s")
    if line.get("left") is not None:
        found.append(f"{span(line['left'])} left")
    return "  ".join(found)


def look_line(line: dict[str, Any]) -> str:
    """What a watcher saw, in words."""
    return f"  {line['watch']} at step {line['step']}: {look_words(line)}"


def look_words(line: dict[str, Any]) -> str:
    """A look's facts without name and step."""
    if line["watch"] == "heldout" and line.get("validation_mean") is not None:
        return (
            f"loss {line['validation_mean']:.4g} ± {line.get('error') or 0:.2g} on held-out items, "
            f"{line.get('train_mean') or math.nan:.4g} on training items; weights of "
            f"step {line.get('best')} are kept"
        )
    if line["watch"] == "quality" and "value" in line:
        return (
            f"{line['metric']} {line['value']:.4g}, of real items {line['floor']:.4g} "
            f"({line['samples']} samples)"
        )
    plain = {k: v for k, v in line.items() if k not in ("step", "seconds", "watch")}
    short = {k: v for k, v in plain.items() if isinstance(v, (int, float, str)) or v is None}
    return ", ".join(f"{k} {_short(v)}" for k, v in short.items()) or "nothing"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def ending(following: Any) -> str:
    """Why following ends, or where the run stands."""
    facts = following.facts()
    if facts["state"] == "finished":
        took = "" if facts["seconds"] is None else f" in {span(facts['seconds'])}"
        then = f"unfog sample {following.run} -n 16 -o samples"
        return f"finished: {facts['step']} steps{took}; next: {then}"
    if facts["state"] == "silent":
        return (
            f"nothing new for {span(facts['age'])}: it looks dead or stopped; go on with "
            f"unfog fit -o {following.run} --resume"
        )
    if facts["state"] == "starting":
        return "starting: nothing was logged yet"
    return f"learning: the last line is {span(facts['age'])} old"


def said(following: Any) -> str:
    """Where a run stands, as lines."""
    lines = [metrics_line(line) for line in following.metrics.lines[-1:]]
    lines += [look_line(line) for line in following.latest().values()]
    return "\n".join([*lines, ending(following)])


def drawn(following: Any) -> Any:
    """Where a run stands, for a terminal."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    facts = following.facts()
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    if facts["steps"]:
        words = metrics_line(following.metrics.lines[-1])
        grid.add_row("progress", Text(words))
        grid.add_row("", ProgressBar(total=facts["steps"], completed=facts["step"], width=WIDE))
        losses = [_number(line.get("loss")) for line in following.metrics.lines]
        grid.add_row("training loss", Text(curve(losses), style="cyan"))
    for name, line in following.latest().items():
        grid.add_row(name, Text(f"step {line['step']}: {look_words(line)}"))
        for title, values, style in _curves(following, name, line):
            grid.add_row("", Text(f"{title:<22} {curve(values)}", style=style))
    body = Group(grid, Text(ending(following), style="dim"))
    colour = {"finished": "green", "silent": "red"}.get(facts["state"], "blue")
    return Panel(body, title=f"{following.run}", title_align="left", border_style=colour)


def _curves(following: Any, name: str, line: dict[str, Any]) -> list[tuple[str, list[float], str]]:
    """Curves of a watcher that is known here."""
    before = [one for one in following.looks.lines if one.get("watch") == name]
    if name == "heldout":
        means = [_number(one.get("validation_mean")) for one in before]
        levels = [_number(v) for v in line.get("validation", [])]
        return [("over the run", means, "magenta"), ("data → noise", levels, "magenta")]
    if name == "quality":
        return [("over the run", [_number(one.get("value")) for one in before], "yellow")]
    return []


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def curve(values: list[float], wide: int = WIDE) -> str:
    """A line of blocks from the lowest to the highest value, with both in figures; means of
    neighbours where there are more values than columns.
    """
    there = [v for v in values if math.isfinite(v)]
    if not there:
        return "–"
    size = max(1, math.ceil(len(there) / wide))
    means = [
        sum(there[i : i + size]) / len(there[i : i + size]) for i in range(0, len(there), size)
    ]
    low, high = min(means), max(means)
    drawn = "".join(BARS[round(7 * (m - low) / ((high - low) or 1))] for m in means)
    return f"{drawn}  {low:.4g} to {high:.4g}"


def span(seconds: float) -> str:
    """42 s, 12.5 min, 2.0 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
