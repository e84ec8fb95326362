"""Arithmetic between columns: sums, differences, products and ratios of two, sums of several."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from unfog.kinds.table.evidence import DISTINCT, certain
from unfog.kinds.table.functions import Function
from unfog.kinds.table.rounding import CLOSE, SINGLE, Rounding, plain

if TYPE_CHECKING:
    from unfog.kinds.table.find import Search

FIRST = 64  # rows that pairs are tried on together
PERCENT = (1.0, 100.0)
COMPLETE = 2000  # rows for sums of several
FORMS = 8  # of two numbers
HARDLY = 0.1  # of the last digit


def pairs(search: Search) -> None:
    """Sums, differences, products, ratios and percentages of two numbers."""
    names = search.free(search.numbers)
    tries = FORMS * len(names) ** 3
    able = [n for n in names if certain(search.table.columns[n].known(), 0.0, tries)]
    if len(able) < 3:
        return
    rows = search.some[:FIRST]
    values = np.stack([search.numbers[n][rows] for n in able], 1)
    slack, close = _slack([search.roundings[n] for n in able])
    found: dict[frozenset[str], list[tuple[str, Function]]] = {}
    for i, j in combinations(range(len(able)), 2):
        for form, parents, numbers, exact, size in _of_two(able, values, i, j, search.dates):
            with np.errstate(invalid="ignore", over="ignore"):
                off = np.abs(values - exact[:, None]) > slack + close * size[:, None]
            for k in np.flatnonzero(~off.any(0)).tolist():
                if k in (i, j) or not _dated(form, able[k], parents, search.dates):
                    continue
                child = able[k]
                rule = Function(form, parents, search.roundings[child], numbers)
                sure = search.certain(child, 0.0, tries, DISTINCT) and search.holds(child, rule)
                if sure and _rounds(search, child, rule):
                    found.setdefault(frozenset((child, *parents)), []).append((child, rule))
    for group in sorted(found.values(), key=lambda g: max(_place(search, c) for c, _ in g)):
        _take_best(search, group)


def _rounds(search: Search, child: str, rule: Function) -> bool:
    """Whether products and ratios are exact, or are rounded as numbers are: by a quarter of the
    last digit on average. What is hardly rounded at all, in a few rows, follows from another rule.
    """
    unit = rule.rounding.unit
    if rule.form == "linear" or not unit:
        return True
    tables = [search.table] if search.held is None else [search.table, search.held]
    whole = [rule.exact(table.columns) for table in tables]
    numbers = np.concatenate([plain(table.columns[child]) for table in tables])
    exact, size = (np.concatenate([one[place] for one in whole]) for place in (0, 1))
    off = np.nan_to_num(np.abs(numbers - exact))
    exactly = bool((off <= CLOSE * np.nan_to_num(size)).all())
    return exactly or float(off[~np.isnan(numbers)].mean()) > HARDLY * unit


def _slack(roundings: list[Rounding]) -> tuple[np.ndarray, np.ndarray]:
    """(K,) half of every column's last digit, and the share of the terms that floats may miss."""
    half = np.array([0.5 * r.unit * (1 + 1e-6) for r in roundings])
    close = np.array([1e-13 if r.unit else SINGLE if r.single else CLOSE for r in roundings])
    return half, close


def _of_two(
    names: list[str], values: np.ndarray, i: int, j: int, dates: set[str]
) -> Iterator[tuple[str, tuple[str, ...], tuple[float, ...], np.ndarray, np.ndarray]]:
    """(form, parents, numbers, exact value, size) of what two columns can make."""
    a, b, one, two = values[:, i], values[:, j], names[i], names[j]
    size = np.abs(a) + np.abs(b)
    dated = (one in dates) + (two in dates)
    if dated < 2:
        yield "linear", (one, two), (1.0, 1.0, 0.0), a + b, size
    if two not in dates or dated == 2:
        yield "linear", (one, two), (1.0, -1.0, 0.0), a - b, size
    if one not in dates or dated == 2:
        yield "linear", (two, one), (1.0, -1.0, 0.0), b - a, size
    if dated:
        return
    with np.errstate(all="ignore"):
        yield "product", (one, two), (1.0,), a * b, np.abs(a * b)
        for scale in PERCENT:
            yield "ratio", (one, two), (scale,), *_ratio(a, b, scale)
            yield "ratio", (two, one), (scale,), *_ratio(b, a, scale)


def _ratio(a: np.ndarray, b: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    found = np.where(b == 0, np.nan, scale * a / b)
    return found, np.abs(found)


def _dated(form: str, child: str, parents: tuple[str, ...], dates: set[str]) -> bool:
    """Dates come of a date and days, days of two dates."""
    count = sum(name in dates for name in parents)
    return (child in dates) == (form == "linear" and count == 1)


def _place(search: Search, name: str) -> int:
    return search.table.names.index(name)


def _take_best(search: Search, group: list[tuple[str, Function]]) -> None:
    """Of rules about the same columns the one that says most about the others.

    A product without rounding says what its ratios are; a ratio that is rounded, or has all its
    digits, says what its product is. A sum is better than a difference that could turn negative
    where no number is. Otherwise the column furthest right is computed.
    """

    def key(one: tuple[str, Function]) -> tuple[Any, ...]:
        child, rule = one
        columns = search.table.columns
        exact, size = rule.exact(columns)
        with np.errstate(invalid="ignore"):
            rounded = bool((np.abs(search.numbers[child] - exact) > CLOSE * size).any())
        units = [search.roundings[name].unit for name in rule.parents]
        own = rule.rounding.unit
        coarse = rounded or bool(own and min(units) == 0)
        weak = {"product": coarse, "ratio": not (rounded or own == 0)}.get(rule.form, False)
        negative = rule.form == "linear" and min(rule.numbers[:-1]) < 0
        positive = child not in search.dates and bool((columns[child].known() >= 0).all())
        return weak, negative and positive, -_place(search, child)

    for child, rule in sorted(group, key=key):
        if search.holds(child, rule):
            search.add(child, rule)
            return


def sums(search: Search) -> None:
    """Columns that are sums and differences of three or more others."""
    names = [n for n in search.free(search.numbers) if n not in search.dates]
    names = [n for n in names if search.table.columns[n].values.dtype.kind != "m"]
    if len(names) < 4:
        return
    whole = np.all([~np.isnan(search.numbers[n]) for n in names], axis=0)
    rows = np.flatnonzero(whole)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), COMPLETE)).astype(int)]
    if len(rows) < 2 * len(names):
        return
    for place in range(3, len(names)):
        if names[place] in search.found:
            continue
        for others in (names[:place], names[:place] + names[place + 1 :]):
            rule = _sum_of(search, names[place], [n for n in others if n not in search.found], rows)
            if rule is not None:
                _take_best(search, _turned(search, names[place], rule, len(names)))
                break


def _sum_of(search: Search, child: str, others: list[str], rows: np.ndarray) -> Function | None:
    """A sum, with signs, of at least three of the others; None where there is none."""
    x = np.stack([search.numbers[n][rows] for n in others], 1)
    y, rounding = search.numbers[child][rows], search.roundings[child]
    spread = np.abs(x).max(0)
    spread[spread == 0] = 1.0
    factors = np.linalg.lstsq(x / spread, y, rcond=1e-10)[0] / spread
    signs = np.rint(factors)
    used = np.flatnonzero(signs)
    if len(used) < 3 or np.abs(signs).max() > 1 or np.abs(factors - signs).max() > 0.05:
        return None
    exact, size = x[:, used] @ signs[used], np.abs(x[:, used]).sum(1)
    if not rounding.agree(y, exact, size).all():
        return None
    numbers = (*signs[used].tolist(), 0.0)
    return Function("linear", tuple(others[i] for i in used.tolist()), rounding, numbers)


def _turned(search: Search, child: str, rule: Function, wide: int) -> list[tuple[str, Function]]:
    """The same sum solved for each of its columns, where it holds and is no accident."""
    found = []
    signs = dict(zip(rule.parents, rule.numbers)) | {child: -1.0}
    for name, own in signs.items():
        others = tuple(n for n in signs if n != name)
        numbers = (*(-signs[n] / own for n in others), 0.0)
        turned = Function("linear", others, search.roundings[name], numbers)
        free = wide * math.log(3)
        sure = search.certain(name, free, wide, DISTINCT) and all(
            certain(search.table.columns[n].known(), 0.0, wide) for n in others
        )
        if sure and search.holds(name, turned):
            found.append((name, turned))
    return found
