"""Whether comparisons can all be true of one row: linear ones, by linear programming."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unfog.kinds.table.formula import Linear

STRICT = 1e-6  # of a strict inequality's room, in scaled units: less is none
Comparison = tuple[str, str, Linear | None]


def feasible(comparisons: Sequence[Comparison]) -> list[str]:
    """The words of some comparisons that contradict each other, as few as can be; empty if none.

    Args:
        comparisons: (words, sign, left - right); what is not linear is left out, as is "!=".
    """
    linear = [(text, sign, form) for text, sign, form in comparisons if form and sign != "!="]
    if _possible(linear):
        return []
    for one in list(linear):  # whatever can go without making the rest possible does not matter
        rest = [other for other in linear if other is not one]
        if not _possible(rest):
            linear = rest
    return [text for text, _, _ in linear]


def _possible(comparisons: Sequence[tuple[str, str, Linear]]) -> bool:
    """Whether a point obeys all; strict ones are given as much room as there is, up to 1."""
    from scipy.optimize import linprog

    if not comparisons:
        return True
    names = list(dict.fromkeys(name for _, _, form in comparisons for name in form[0]))
    upper, above, equal, at = [], [], [], []
    for _, sign, (factors, constant) in comparisons:
        row = np.array([factors.get(name, 0.0) for name in names] + [0.0])
        size = np.abs(row).max() or 1.0
        row, bound = row / size, -constant / size
        if sign == "==":
            equal.append(row)
            at.append(bound)
            continue
        if sign in (">", ">="):
            row, bound = -row, -bound
        row[-1] = float(sign in ("<", ">"))
        upper.append(row)
        above.append(bound)
    goal = np.zeros(len(names) + 1)
    goal[-1] = -1.0  # as much room as there is
    done = linprog(
        goal,
        A_ub=np.array(upper) if upper else None,
        b_ub=above or None,
        A_eq=np.array(equal) if equal else None,
        b_eq=at or None,
        bounds=[(None, None)] * len(names) + [(0, 1)],
    )
    strict = any(sign in ("<", ">") for _, sign, _ in comparisons)
    return bool(done.status != 2) and not (strict and done.status == 0 and -done.fun <= STRICT)
