"""Looking at a table: one small picture per column, another table behind it for comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unfog.errors import ArgumentError
from unfog.kinds.table.cells import Cells, Table

PANELS = 24
BARS = 12
BINS = 30
INTEGERS = 31  # a range of up to this many integers gets one bar each
TAIL = 0.005  # share on either side that an axis may leave out, said in the title
LONG = 50  # from this ratio of the upper end to the median on, positive numbers get a log axis
FRONT, BEHIND = "#2a78b5", "#b9b9b9"


def look(
    data: Table,
    labels: Sequence[Any] | None = None,
    path: str | Path | None = None,
    *,
    columns: int | None = None,
    beside: Table | None = None,
) -> Any:
    """A figure of a table: histograms of numbers, dates and durations, bars of the most frequent
    words; heights are shares of the cells that are there, missing ones stand in the title.

    Args:
        labels: without effect, because what a table is conditioned on is one of its columns.
        path: where to write the figure as PNG.      columns: panels per row.
        beside: another table (the real one), drawn behind where it has a column of that name.
    Raises: ArgumentError for a table without rows.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    if len(data) == 0:
        raise ArgumentError("there are no rows to look at")
    shown = data.names[:PANELS]
    wide = min(columns or 4, len(shown))
    high = -(-len(shown) // wide)
    figure = Figure(figsize=(3.0 * wide, 2.3 * high + 0.5), dpi=100, layout="constrained")
    grid = figure.subplots(high, wide, squeeze=False).ravel()
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    for axes, name in zip(grid, shown):
        other = None if beside is None else beside.columns.get(name)
        _panel(axes, name, data.columns[name], other)
    if len(data.names) > PANELS:
        left = len(data.names) - PANELS
        figure.suptitle(f"the first {PANELS} columns; {left} more are not shown", fontsize=9)
    if beside is not None:
        figure.legend(
            handles=[Patch(color=FRONT, label="drawn"), Patch(color=BEHIND, label="real")],
            loc="outside upper right",
            ncols=2,
            fontsize=9,
            frameon=False,
        )
    if path is not None:
        figure.savefig(path)
    return figure


def _panel(axes: Any, name: str, cells: Cells, other: Cells | None) -> None:
    known = cells.known()
    behind = None if other is None or other.values.dtype != known.dtype else other.known()
    title = _short(name, 28)
    gone = [1 - c.present.mean() for c in (cells, other) if c is not None]
    if any(gone):
        title += f"\n{_percent(gone[0])} missing"
        title += f" (real {_percent(gone[1])})" if len(gone) == 2 else ""
    axes.tick_params(labelsize=7, length=2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if len(known) == 0:
        _words_only(axes, "no cell is known")
    elif known.dtype.kind in "Ob":
        _bars(axes, known, behind)
    else:
        left_out = _histogram(axes, known, behind)
        if left_out > 0:
            title += f"{' ·' if any(gone) else chr(10)} {_percent(left_out)} beyond the axis"
    axes.set_title(title, fontsize=8)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share in (0, 1) else f"{100 * share:.2g} %"


def _words_only(axes: Any, said: str) -> None:
    axes.text(0.5, 0.5, said, ha="center", va="center", fontsize=8, transform=axes.transAxes)
    axes.set_xticks([])
    axes.set_yticks([])


def _bars(axes: Any, known: np.ndarray, behind: np.ndarray | None) -> None:
    """The most frequent words, as horizontal bars, and one bar for all others."""
    words, shares = _shares(known)
    real_words, real_shares = ([], []) if behind is None else _shares(behind)
    if len(words) > max(100, len(known) / 2):
        _words_only(axes, f"{len(words)} different values\nin {len(known)} cells")
        return
    lead = real_words or words
    first = lead[:BARS] if len(lead) > BARS + 1 else lead[: BARS + 1]
    ours, real = dict(zip(words, shares)), dict(zip(real_words, real_shares))
    rows: list[tuple[str, float, float]] = [
        (_short(w), ours.get(w, 0.0), real.get(w, 0.0)) for w in first
    ]
    count = len({*words, *real_words}) - len(first)
    if count:
        rest = [max(1 - sum(shares), 0.0) for shares in list(zip(*rows))[1:]]
        rows.append((f"{count} others", rest[0], rest[1]))
    places = max(len(rows), 4) - 1 - np.arange(len(rows))
    if behind is not None:
        axes.barh(places, [row[2] for row in rows], height=0.9, color=BEHIND)
    axes.barh(places, [row[1] for row in rows], height=0.9 if behind is None else 0.45, color=FRONT)
    axes.set_yticks(places, [row[0] for row in rows], fontsize=6 if len(rows) > 8 else 7)
    axes.set_ylim(-0.6, max(len(rows), 4) - 0.4)  # two bars are as thick as four
    axes.locator_params(axis="x", nbins=4)
    axes.xaxis.set_major_formatter(_share_ticks())


def _shares(known: np.ndarray) -> tuple[list[str], list[float]]:
    """Distinct words and their shares, the most frequent first."""
    words, counts = np.unique(known.astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return words[order].tolist(), (counts[order] / max(len(known), 1)).tolist()


def _short(word: str, most: int = 16) -> str:
    word = " ".join(word.split())
    word = word if len(word) <= most else f"{word[: most - 1]}…"
    return word.replace("$", r"\$")  # no mathematics


def _share_ticks() -> Any:
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda share, _: f"{100 * share:.3g} %")


def _histogram(axes: Any, known: np.ndarray, behind: np.ndarray | None) -> float:
    """Shares per bin over what all but a thin tail spans; returns the share left out."""
    values, real = _numbers(axes, known, behind)
    edges = _edges(values if real is None else np.concatenate([values, real]), known.dtype.kind)
    if edges[0] > 0 and edges[-1] - edges[-2] > 2 * (edges[1] - edges[0]):
        axes.set_xscale("log")
    for part, style in ((real, {"color": BEHIND}), (values, {"color": FRONT})):
        if part is None or len(part) == 0:
            continue
        heights = np.histogram(part, edges)[0] / len(part)
        if real is not None and part is values:
            axes.stairs(heights, edges, linewidth=1.4, **style)
        else:
            axes.stairs(heights, edges, fill=True, **style)
    axes.yaxis.set_major_formatter(_share_ticks())
    return float(((values < edges[0]) | (values > edges[-1])).mean())


def _edges(values: np.ndarray, kind: str) -> np.ndarray:
    """The bins' edges: of all values, or of all but thin tails that would take half of the axis."""
    low, high = np.quantile(values, [TAIL, 1 - TAIL])
    if kind == "f" and values.min() > 0 and high > LONG * np.median(values):
        return np.geomspace(values.min(), values.max(), BINS + 1)
    if high - low > 0.5 * (values.max() - values.min()) or high == low:
        low, high = values.min(), values.max()
    if kind == "i" and high - low < INTEGERS:
        return np.arange(np.floor(low), np.ceil(high) + 2) - 0.5
    if high == low:
        return np.array([low - 0.5, low + 0.5])
    if kind == "i":  # steps of whole numbers, so that no bar has more of them than its neighbour
        step = np.ceil((high - low + 1) / BINS)
        return low - 0.5 + step * np.arange(np.ceil((high - low + 1) / step) + 1)
    return np.linspace(low, high, BINS + 1)


def _numbers(
    axes: Any, known: np.ndarray, behind: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Values to bin: numbers, days since 1970 on an axis of dates, durations in a fitting unit."""
    kind = known.dtype.kind
    per = 1.0
    if kind == "M":
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        per = 86400e6
        places = AutoDateLocator(minticks=2, maxticks=5)
        axes.xaxis.set_major_locator(places)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(places))
    elif kind == "m":
        longest = float(np.abs(known.astype(np.int64)).max())
        units = (("days", 86400e6), ("hours", 3600e6), ("minutes", 60e6), ("seconds", 1e6))
        unit, per = next((one for one in units if longest >= 2 * one[1]), units[-1])
        axes.set_xlabel(unit, fontsize=7)
    else:
        axes.ticklabel_format(axis="x", style="sci", scilimits=(-3, 5))
        axes.xaxis.get_offset_text().set_fontsize(7)
        axes.locator_params(axis="x", nbins=5, integer=kind == "i")
    plain = [
        None if part is None else part.astype(np.int64 if kind in "Mm" else np.float64) / per
        for part in (known, behind)
    ]
    assert plain[0] is not None
    return plain[0], plain[1]
