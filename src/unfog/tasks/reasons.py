"""The columns that make a row strange, in sentences."""

from __future__ import annotations

from typing import Any

import numpy as np

from unfog.kinds.items import Items
from unfog.kinds.table.cells import Cells, Table
from unfog.kinds.table.objects import of_array

MOST = 3
LEVEL = 0.95  # of held-out rows: what is below in a column is no reason


def reasons(
    parts: np.ndarray,
    odd: np.ndarray,
    usual: np.ndarray,
    fresh: Items,
    train: Items,
    names: tuple[str, ...],
) -> list[list[str]]:
    """For every row at most three columns, by how much more they add than in 95 % of held-out
    rows; at least one.

    Args:
        parts, odd: (N, C).     usual: (n, C) parts of held-out rows.
    """
    over = parts - np.quantile(usual, LEVEL, axis=0)
    mine, theirs = _columns(fresh, names), _columns(train, names)
    said: dict[int, Any] = {place: _usual(theirs[place]) for place in range(len(names))}
    found = []
    for row in range(len(parts)):
        order = np.argsort(-over[row], kind="stable")[:MOST]
        chosen = [place for place in order if over[row, place] > 0] or [order[0]]
        found.append(
            [
                _sentence(
                    names[place],
                    mine[place].take(slice(row, row + 1)),
                    said[place],
                    bool(odd[row, place]),
                )
                for place in chosen
            ]
        )
    return found


def _columns(items: Items, names: tuple[str, ...]) -> list[Cells]:
    if isinstance(items.data, Table):
        return [items.data.columns[name] for name in names]
    return [
        of_array(name, items.data[:, place], ~np.isnan(items.data[:, place].astype(float))).cells
        for place, name in enumerate(names)
    ]


def _usual(cells: Cells) -> tuple[str, Any, Any]:
    """What is usual in a column: the words for it, and the ends of 98 % of its numbers."""
    known = cells.known()
    if not len(known):
        return "missing", None, None
    if known.dtype.kind in "Ob":
        levels, counts = np.unique(known.astype(str), return_counts=True)
        order = np.argsort(-counts, kind="stable")[:3]
        shown = [f"{levels[i]} in {100 * counts[i] / len(cells):.2g} %" for i in order]
        return ", ".join(shown), None, None
    ordered = np.sort(known)
    low, high = (
        ordered[int(0.01 * (len(known) - 1))],
        ordered[int(np.ceil(0.99 * (len(known) - 1)))],
    )
    return f"{_shown(low)} to {_shown(high)}", low, high


def _sentence(name: str, cells: Cells, usual: tuple[str, Any, Any], odd: bool) -> str:
    words, low, high = usual
    if not cells.present[0]:
        return f"{name} is missing" + (
            " and never was in training" if odd else f" (usually {words})"
        )
    value = cells.values[0]
    if odd:
        return f"{name} = {_shown(value)}, unseen in training (usually {words})"
    if low is not None and low <= value <= high:
        words += "; unusual beside the rest of the row"
    return f"{name} = {_shown(value)} (usually {words})"


def _shown(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    return str(value)
