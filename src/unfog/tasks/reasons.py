"""The columns that make a row strange, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from unfog.kinds.items import Items
from unfog.kinds.table.cells import Cells, Table
from unfog.kinds.table.objects import of_array

Rule = tuple[str, Cells]
MOST = 3
LEAST = 0.1  # of the strangest column's part
LEVEL = 0.95  # of held-out rows: what is below in a column is no reason


def reasons(
    parts: np.ndarray,
    odd: np.ndarray,
    usual: np.ndarray,
    fresh: Items,
    train: Items,
    names: tuple[str, ...],
    rules: Mapping[str, Rule] | None = None,
) -> list[list[tuple[str, str]]]:
    """For every row one to three (column, sentence), the strangest column first.

    Columns count by how much more they add than in 95 % of held-out rows, and those with less than
    a tenth of the first one's are left out.

    Args:
        parts, odd: (N, C).     usual: (n, C) parts of held-out rows.
        rules: column -> the rule that held in all training rows, in words, and what it says of
            these rows, where it is broken.
    """
    over = parts - np.quantile(usual, LEVEL, axis=0)
    mine, theirs = _columns(fresh, names), _columns(train, names)
    said = [_usual(cells) for cells in theirs]
    found, rules = [], rules or {}
    for row in range(len(parts)):
        order = np.argsort(-over[row], kind="stable")[:MOST]
        least = max(0.0, LEAST * over[row, order[0]])
        chosen = [place for place in order if over[row, place] > least] or [parts[row].argmax()]
        cells = [mine[place].take(slice(row, row + 1)) for place in chosen]
        found.append(
            [
                (
                    names[place],
                    _sentence(names[place], cell, said[place], bool(odd[row, place]))
                    if names[place] not in rules
                    else _ruled(names[place], cell, rules[names[place]], row, odd[row, place]),
                )
                for place, cell in zip(chosen, cells)
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
        shown = [f"{levels[i]} in {100 * counts[i] / len(cells):.0f} %" for i in order]
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


def _ruled(name: str, cells: Cells, rule: Rule, row: int, odd: bool) -> str:
    """A column that is computed from others, and is otherwise or not."""
    words, said = rule
    shown = _shown(cells.values[0]) if cells.present[0] else "missing"
    if not odd:
        return f"{name} = {shown}, as it has to be ({words})"
    told = f", which gives {_shown(said.values[row])}" if said.present[row] else ""
    return f"{name} = {shown}, but {words}{told}"


def _shown(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    if isinstance(value, np.datetime64):
        return str(value).removesuffix("T00:00:00.000000")
    return str(value)
