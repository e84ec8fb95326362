"""Find the columns of a table that are exact functions of others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from unfog.kinds.table.affine import affine
from unfog.kinds.table.cells import Cells, Table
from unfog.kinds.table.evidence import DISTINCT, certain
from unfog.kinds.table.functions import PARTS, Function, date_part, levels_of
from unfog.kinds.table.roles import Role
from unfog.kinds.table.rounding import EXACT, Rounding, plain
from unfog.kinds.table.sums import pairs, sums

LEVELS = 10_000  # of a column that determines another, at most
SAMPLE = 256  # rows that a rule is tried on first
WIDE = 120  # numbers from which on pairs are not searched: their count grows with the square


@dataclass
class Search:
    """A table being searched.

    Attributes:
        kept: columns that must not be computed: what the model is conditioned on.
        held: rows that were not fitted on; a rule has to hold there too.
        found: column → its function.     notes: sentences about what was not searched.
    """

    table: Table
    roles: Mapping[str, Role]
    kept: frozenset[str] = frozenset()
    held: Table | None = None
    found: dict[str, Function] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        columns = self.table.columns
        self.numbers = {n: plain(columns[n]) for n in columns if self._numeric(n)}
        self.roundings = {n: Rounding.of(columns[n].known()) for n in columns}
        self.dates = {n for n in self.numbers if columns[n].values.dtype.kind == "M"}
        rng = np.random.default_rng(0)
        self.some = np.sort(rng.permutation(len(self.table))[:SAMPLE])

    def _numeric(self, name: str) -> bool:
        cells, role = self.table.columns[name], self.roles[name]
        if cells.values.dtype.kind not in "fiMm" or role.kind in ("identifier", "constant"):
            return False
        known = cells.known()
        return bool(len(known)) and float(np.abs(known.astype(np.float64)).max()) < EXACT

    def free(self, names: Iterable[str] | None = None) -> list[str]:
        """Of these columns (all where None) those that are not computed yet."""
        return [n for n in (self.table.names if names is None else names) if n not in self.found]

    def holds(self, child: str, rule: Function) -> bool:
        """Whether the rule holds in every row, fitted on or held out, and is free of circles."""
        if child in self.kept or child in self.found or self._circles(child, rule.parents):
            return False
        for table in (self.table, self.held):
            if table is None:
                continue
            cells, columns = table.columns[child], table.columns
            there = np.all([columns[name].present for name in rule.parents], axis=0)
            if (cells.present & ~there).any() or rule.broken(columns, cells).any():
                return False
        return True

    def certain(self, child: str, freedom: float, tries: int, least: int = 2) -> bool:
        """Whether a rule for this column would be no accident; see `evidence`."""
        known = self.table.columns[child].known()
        return len(np.unique(known)) >= least and certain(known, freedom, tries)

    def add(self, child: str, rule: Function) -> None:
        """Enter a rule, with the rows that it holds in."""
        rows = int(self.table.columns[child].present.sum())
        self.found[child] = Function(
            rule.form, rule.parents, rule.rounding, rule.numbers, rule.levels, rule.part, rows
        )

    def _circles(self, child: str, parents: Iterable[str]) -> bool:
        return any(
            name == child or (name in self.found and self._circles(child, self.found[name].parents))
            for name in parents
        )


def find(
    table: Table,
    roles: Mapping[str, Role],
    kept: Iterable[str] = (),
    held: Table | None = None,
    declared: Mapping[str, Function] | None = None,
) -> tuple[dict[str, Function], list[str]]:
    """Column → the function of other columns that it is, in every row; and notes.

    Copies, affine functions of one number, parts of a date, levels that determine another column,
    sums, differences, products and ratios of two numbers, sums of several; each to the column's own
    rounding. A rule counts where it holds in all rows, held-out ones too, and where it would hold
    by accident with a chance below 1e-6 (`evidence`).

    Args:
        kept: columns that must not be computed.     held: rows to try every rule on once more.
        declared: what the user said of columns.
    """
    search = Search(table, roles, frozenset(kept), held, dict(declared or {}))
    if len(table) >= 2:
        _copies(search)
        _affine(search)
        _parts(search)
        _maps(search)
        if len(search.numbers) <= WIDE:
            pairs(search)
            sums(search)
        else:
            search.notes.append(
                f"{len(search.numbers)} columns of numbers are too many to look for products and "
                f"sums of them (the most is {WIDE}); declare those with constraints: a + b == c"
            )
    return search.found, search.notes


def _couples(names: list[str]) -> Iterator[tuple[str, str]]:
    """(child, parent), the column that stands further right as the child first."""
    for left, right in combinations(names, 2):
        yield right, left


def _copies(search: Search) -> None:
    """Columns that repeat another: keys too, so that both are issued alike."""
    names = [n for n, role in search.roles.items() if role.coded or role.kind == "identifier"]
    tries = len(names) ** 2
    for couple in _couples(names):
        for child, parent in (couple, couple[::-1]):
            mine, other = (search.table.columns[n] for n in (child, parent))
            if child in search.found or parent in search.found:
                continue
            if mine.values.dtype != other.values.dtype or not _alike(mine, other, search.some):
                continue
            rule = Function("copy", (parent,), search.roundings[child])
            if search.certain(child, 0.0, tries) and search.holds(child, rule):
                search.add(child, rule)


def _alike(a: Cells, b: Cells, rows: np.ndarray) -> bool:
    both = a.present[rows] & b.present[rows]
    return bool((a.values[rows][both] == b.values[rows][both]).all())


def _affine(search: Search) -> None:
    """Units of one another: numbers, or dates at a fixed distance."""
    tries = len(search.numbers) ** 2
    for couple in _couples(search.free(search.numbers)):
        for child, parent in (couple, couple[::-1]):
            if child in search.found or parent in search.found or child in search.kept:
                continue
            if (child in search.dates) != (parent in search.dates):
                continue
            x, y = search.numbers[parent], search.numbers[child]
            if not _in_line(x[search.some], y[search.some], search.roundings[child]):
                continue
            both = ~np.isnan(x) & ~np.isnan(y)
            if both.sum() < 2 or (np.isnan(x) & ~np.isnan(y)).any():
                continue
            rounding = search.roundings[child]
            line = affine(x[both], y[both], rounding, whole=child in search.dates)
            if line is None:
                continue
            rule = Function("linear", (parent,), rounding, line)
            free = 4 * math.log(len(x))  # a line through rounded points is settled by four of them
            if search.certain(child, free, tries, DISTINCT) and search.holds(child, rule):
                search.add(child, rule)


def _in_line(x: np.ndarray, y: np.ndarray, rounding: Rounding) -> bool:
    """Whether some rows allow a line, which is quicker than asking all."""
    both = ~np.isnan(x) & ~np.isnan(y)
    few = both.sum() < DISTINCT or not np.ptp(x[both]) > 0
    return bool(few) or affine(x[both], y[both], rounding) is not None


def _parts(search: Search) -> None:
    """Years, months, days … of a date."""
    some = search.some
    tries = len(search.dates) * len(PARTS) * len(search.numbers)
    for child in [n for n in search.free(search.numbers) if n not in search.dates]:
        for parent in search.free(search.dates):
            sample = search.table.columns[parent].take(some)
            for part in PARTS:
                said, mine = date_part(part, sample), search.numbers[child][some]
                both = ~np.isnan(said) & ~np.isnan(mine)
                if child in search.found or (said[both] != mine[both]).any():
                    continue
                rule = Function("part", (parent,), search.roundings[child], part=part)
                if search.certain(child, 0.0, tries) and search.holds(child, rule):
                    search.add(child, rule)


def _maps(search: Search) -> None:
    """Levels that determine another column, as a city determines its region."""
    columns, roles = search.table.columns, search.roles
    codes: dict[str, np.ndarray] = {}
    sizes: dict[str, int] = {}
    for name in search.free([n for n in roles if roles[n].coded]):
        cells = columns[name]
        if cells.values.dtype == object and len(set(cells.known())) > LEVELS:
            continue  # neither end of a map; sorting a million texts takes long
        levels, places = np.unique(cells.known(), return_inverse=True)
        codes[name] = np.full(len(cells), -1)
        codes[name][cells.present] = places
        sizes[name] = len(levels)
    able = [n for n in codes if roles[n].coded == "category" and 2 <= sizes[n] <= LEVELS]
    tries = len(able) * len(codes)
    for child in reversed(list(codes)):
        if child in search.kept or sizes[child] < 2:
            continue
        for parent in sorted(able, key=lambda name: sizes[name]):
            if parent == child or not _determines(
                codes[parent], codes[child], sizes[parent], search.some
            ):
                continue
            free = sizes[parent] * math.log(sizes[child])
            if not search.certain(child, free, tries):
                continue
            rule = Function("map", (parent,), search.roundings[child], levels=_pairs(
                columns[parent], columns[child]))  # fmt: skip
            if search.holds(child, rule):
                search.add(child, rule)
                break


def _determines(parent: np.ndarray, child: np.ndarray, size: int, some: np.ndarray) -> bool:
    """Whether equal codes of the one have equal codes of the other, tried on some rows first."""
    for rows in (some, slice(None)):
        a, b = parent[rows], child[rows]
        both = (a >= 0) & (b >= 0)
        if (b[a < 0] >= 0).any():
            return False
        a, b = a[both], b[both]
        first = np.full(size, -1)
        first[a] = b
        if (first[a] != b).any():
            return False
    return True


def _pairs(parent: Cells, child: Cells) -> tuple[tuple[Any, Any], ...]:
    both = parent.present & child.present
    rows = np.flatnonzero(both)
    mine, other = levels_of(parent.take(rows)), levels_of(child.take(rows))
    return tuple(sorted(dict(zip(mine, other)).items()))
