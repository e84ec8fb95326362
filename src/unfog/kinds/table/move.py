"""Moving cells to the nearest value that obeys a constraint: for rows that no draw brings there."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from unfog.kinds.table.cells import Cells, Table
from unfog.kinds.table.codec import TableCodec
from unfog.kinds.table.constraints import Constraint
from unfog.kinds.table.derived import computed, lost
from unfog.kinds.table.formula import Linear
from unfog.kinds.table.functions import Function
from unfog.kinds.table.rounding import CLOSE, Rounding, plain
from unfog.kinds.table.settle import rounding_of

SWEEPS = 20


def moved(
    codec: TableCodec,
    constraints: Sequence[Constraint],
    table: Table,
    rows: np.ndarray,
    fixed: Collection[str] = (),
    free: Mapping[str, np.ndarray] | None = None,
) -> Table:
    """The table in which rows (N,) bool obey as many linear constraints as moving one column of
    each can do; the column that stands last in it is moved first.

    Args:
        fixed: columns that stay.     free: column → (N,) bool, the cells that may move; all where
            None.
    """
    for sweep in range(SWEEPS):
        wrong = [rows & ~one.obeyed(table.columns) for one in constraints]
        if not any(bad.any() for bad in wrong):
            break
        for one, bad in zip(constraints, wrong):
            linear = one.linear()
            if linear is None or one.sign == "!=":
                continue
            factors, constant, margin = _expanded(codec, linear)
            # the other end first in every second sweep, since another constraint may hold the last
            for name in list(factors)[:: 1 if sweep % 2 else -1]:
                bad = rows & ~one.obeyed(table.columns)
                if name in fixed or not codec.columns[name].role.coded or not bad.any():
                    continue
                if free is not None:
                    bad = bad & free.get(name, False)
                table = _with(codec, one, table, bad, (factors, constant), name, margin)
    return table


def _expanded(codec: TableCodec, linear: Linear) -> tuple[dict[str, float], float, float]:
    """With columns that are computed linearly replaced by what they are computed from; and how far
    their rounding may take the sum.
    """
    factors, constant, margin = dict(linear[0]), linear[1], 0.0
    while True:
        name = next((n for n in factors if _is_sum(codec.functions.get(n))), None)
        if name is None:
            return factors, constant, margin
        rule, factor = codec.functions[name], factors.pop(name)
        numbers = rule.numbers or (1.0, 0.0)
        margin += abs(factor) * 0.5 * rule.rounding.unit * (1 + 1e-6)
        for parent, one in zip(rule.parents, numbers):
            factors[parent] = factors.get(parent, 0.0) + factor * one
        factors = {n: f for n, f in factors.items() if f}
        constant += factor * numbers[-1]


def _is_sum(rule: Function | None) -> bool:
    return rule is not None and rule.form in ("linear", "copy")


def _with(
    codec: TableCodec, one: Constraint, table: Table, bad: np.ndarray, linear: Linear, name: str,
    margin: float,
) -> Table:  # fmt: skip
    """The table with a column moved in bad rows, wherever that makes the constraint true."""
    factors, constant = linear
    cells = table.columns[name]
    rest, size = np.full(len(table), constant), np.full(len(table), abs(constant))
    for other, factor in factors.items():
        if other != name:
            rest = rest + factor * plain(table.columns[other])
            size = size + np.abs(factor * plain(table.columns[other]))
    own = factors[name]
    sign = one.sign if own > 0 else one.sign.translate(str.maketrans("<>", "><"))
    bound, slack = -rest / own, CLOSE * size / abs(own)
    if sign != "==":
        bound = bound + margin / abs(own) * (1 if sign[0] == ">" else -1)
    usable = bad & cells.present & np.isfinite(bound)
    if not usable.any():
        return table
    wanted = _beside(codec, name, cells, bound[usable], slack[usable], sign, one.plainly)
    values = cells.values.copy()
    values[usable] = wanted
    tried = _computed(codec, table, name, Cells(values, cells.present))
    good = usable & one.obeyed(tried.columns)
    values = np.where(good, values, cells.values)
    return _computed(codec, table, name, Cells(values, cells.present))


def _computed(codec: TableCodec, table: Table, name: str, cells: Cells) -> Table:
    gone = lost(codec.functions, table)
    return computed(codec.functions, Table({**table.columns, name: cells}), gone)


def _beside(
    codec: TableCodec, name: str, cells: Cells, bound: np.ndarray, slack: np.ndarray, sign: str,
    plainly: bool,
) -> np.ndarray:  # fmt: skip
    """Values of the column nearest to a bound, on the side that the sign says."""
    rounding, levels = rounding_of(codec, name, cells), codec.columns[name].levels
    if levels is not None:
        whole = np.array(levels.values)
        known = Cells(whole.astype(rounding.dtype), np.ones(len(whole), dtype=bool))
        numbers = plain(known)
        good = _on_side(numbers[None, :], bound[:, None], sign)
        gap = np.where(good, np.abs(numbers[None, :] - bound[:, None]), np.inf)
        values: np.ndarray = known.values[gap.argmin(1)]
        return values
    return rounding.typed(_nearest(rounding, bound, slack, sign, plainly))


def _on_side(numbers: np.ndarray, bound: np.ndarray, sign: str) -> np.ndarray:
    compared: np.ndarray = {
        "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
        "==": np.equal,
    }[sign](numbers, bound)  # fmt: skip
    return compared


def _nearest(
    rounding: Rounding, bound: np.ndarray, slack: np.ndarray, sign: str, plainly: bool
) -> np.ndarray:
    """Plain numbers on the column's own steps."""
    if sign == "==":
        return bound
    up = sign[0] == ">"
    unit = rounding.unit
    if unit:
        steps = bound / unit
        near = np.rint(steps)
        whole = np.isclose(steps, near, rtol=0, atol=1e-6)
        k = np.where(whole, near, np.ceil(steps) if up else np.floor(steps))
        if len(sign) == 1:
            k = np.where(whole, near + (1 if up else -1), k)
        return np.asarray(k * unit)
    if len(sign) == 2:
        return bound
    away = math.inf if up else -math.inf
    step = 0.0 if plainly else 4.0
    return np.nextafter(bound + (step * slack if up else -step * slack), away)
