"""Quality against calls of the net, as a table, as JSON and as a picture."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from unfog.judge.figure import Figure
from unfog.tasks.tuning import MEASURES

MARKS = "oDsv^<>P"
Value = Callable[["Point"], float | None]


@dataclass(frozen=True)
class Point:
    """One way to sample and how good it is.

    Attributes:
        calls: of nets for a sample, those of guidance included.
        figure: against held-out items; None where there are none.
        error: from where the first run's flow ends; None of runs that don't follow it.
    """

    calls: int
    figure: Figure | None
    error: float | None


@dataclass(frozen=True)
class Line:
    """A way of sampling at several numbers of calls; `peer` where it is another library's."""

    name: str
    points: tuple[Point, ...]
    peer: bool = False


@dataclass(frozen=True)
class Curve:
    """What `curve` found.

    Attributes:
        metric: registry name of the figure against held-out items.     measure: of the error.
        floor: what that error is of other noise, as well drawn.     count: samples at each point.
        heldout: in words, which items; empty without.     notes: what is not on it and why.
    """

    metric: str
    measure: str
    floor: float
    count: int
    heldout: str
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values."""
        lines = []
        for line in self.lines:
            points = [
                {
                    "calls": p.calls,
                    "error": p.error,
                    "figure": None if p.figure is None else p.figure.to_json(),
                }
                for p in line.points
            ]
            lines.append({"name": line.name, "points": points})
        told = {"metric": self.metric, "measure": self.measure, "floor": self.floor}
        told |= {"count": self.count, "heldout": self.heldout, "notes": list(self.notes)}
        return {**told, "lines": lines}

    def __str__(self) -> str:
        parts = [
            (f"{self.metric}, {self.count} samples against {self.heldout}", _value),
            (f"error, {MEASURES[self.measure]}", lambda point: point.error),
        ]
        said = []
        for title, value in parts:
            rows = [
                (line.name, {p.calls: v for p in line.points if (v := value(p)) is not None})
                for line in self.lines
            ]
            rows = [(name, cells) for name, cells in rows if cells]
            if rows:
                said += [title, *_table(rows), ""]
        return "\n".join([*said, *self.notes]).rstrip()

    def look(self, path: str | pathlib.Path | None = None) -> Any:
        """A matplotlib figure, a panel for each measure, written to `path` if given."""
        from matplotlib.figure import Figure as Picture

        judged = any(p.figure is not None for line in self.lines for p in line.points)
        picture = Picture(figsize=(12 if judged else 7.5, 4.8), dpi=100, layout="constrained")
        axes = picture.subplots(1, 2 if judged else 1, squeeze=False)[0]
        if judged:
            floor = next(p.figure for line in self.lines for p in line.points if p.figure)
            axes[0].axhspan(floor.floor_low, floor.floor_high, color="0.85", label="real data")
            title = f"{self.metric} to held-out items ({floor.better} is better)"
            _draw(axes[0], self.lines, _value, title)
            for line, drawn in zip(self.lines, axes[0].get_lines(), strict=True):
                spans = [(p.calls, p.figure) for p in line.points if p.figure is not None]
                low, high = [f.low for _, f in spans], [f.high for _, f in spans]
                axes[0].fill_between(
                    [n for n, _ in spans], low, high, color=drawn.get_color(), alpha=0.12, lw=0
                )
        title = f"error, {MEASURES[self.measure]}".replace(", from", ",\nfrom")
        _draw(axes[-1], self.lines, lambda point: point.error, title)
        if self.floor:
            axes[-1].axhline(self.floor, color="0.6", ls=":", label="other noise, well drawn")
        handles = {label: h for axis in axes for h, label in zip(*axis.get_legend_handles_labels())}
        picture.legend([*handles.values()], [*handles], loc="outside right upper", fontsize=8)
        if path is not None:
            picture.savefig(path)
        return picture


def _value(point: Point) -> float | None:
    return None if point.figure is None else point.figure.value


def _draw(axis: Any, lines: Sequence[Line], value: Value, title: str) -> None:
    """A panel: every line's values by calls."""
    ticks: set[int] = set()
    for place, line in enumerate(lines):
        there = [(p.calls, v) for p in line.points if (v := value(p)) is not None]
        ticks |= {calls for calls, _ in there}
        axis.plot(
            [n for n, _ in there], [v for _, v in there], label=line.name, color=f"C{place % 10}",
            marker="" if line.peer else MARKS[place % len(MARKS)], ms=5,
            lw=1 if line.peer else 2, ls="--" if line.peer else "-", zorder=2 if line.peer else 3,
        )  # fmt: skip
    axis.set(xscale="log", yscale="log", xlabel="calls of a net for a sample")
    axis.set_title(title, fontsize=10)
    axis.set_xticks(sorted(ticks), [str(n) for n in sorted(ticks)])
    axis.minorticks_off()
    axis.grid(alpha=0.3)


def _table(rows: Sequence[tuple[str, dict[int, float]]]) -> list[str]:
    """Lines of text: a row for each name, a column for each number of calls."""
    calls = sorted({n for _, cells in rows for n in cells})
    wide = max(len(name) for name, _ in rows)
    said = [" " * wide + "".join(f"{n:>9d}" for n in calls)]
    for name, cells in rows:
        said.append(
            f"{name:{wide}}" + "".join(f"{cells[n]:9.3g}" if n in cells else " " * 9 for n in calls)
        )
    return said
