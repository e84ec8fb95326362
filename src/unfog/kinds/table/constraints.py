"""Constraints: what a user declares of every row, such as a <= b, 0 <= x <= 10 or a + b == c."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unfog.errors import ArgumentError, DataError
from unfog.kinds.table.cells import Cells, Table
from unfog.kinds.table.feasible import feasible
from unfog.kinds.table.formula import HOW, Formula, Linear, parsed, plus
from unfog.kinds.table.functions import Function
from unfog.kinds.table.roles import Role
from unfog.kinds.table.rounding import CLOSE, Rounding, plain

OPERATORS: dict[type[ast.cmpop], str] = {
    ast.LtE: "<=",
    ast.Lt: "<",
    ast.GtE: ">=",
    ast.Gt: ">",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
MOST_BROKEN = 0.5  # share of the training rows from which on a constraint is taken for a mistake


@dataclass(frozen=True)
class Constraint:
    """One comparison. A row in which a cell of it is missing obeys it, as in SQL.

    Attributes:
        text: as a user would write it.     sign: of OPERATORS.
    """

    text: str
    sign: str
    left: Formula
    right: Formula

    @property
    def names(self) -> tuple[str, ...]:
        """The columns in it."""
        return tuple(dict.fromkeys((*self.left.names, *self.right.names)))

    def obeyed(self, columns: Mapping[str, Cells]) -> np.ndarray:
        """(N,) bool. An equation holds to the last digit of a column that is alone on a side."""
        count = len(next(iter(columns.values())))
        values = {name: plain(columns[name]) for name in self.names}
        (a, size_a), (b, size_b) = self.left.value(values), self.right.value(values)
        gone = np.zeros(count, dtype=bool)
        for name in self.names:
            gone |= ~columns[name].present
        off = np.broadcast_to(a - b, (count,))
        slack = np.broadcast_to(CLOSE * (size_a + size_b), (count,))
        if self.plainly:
            slack = np.zeros(count)
        if self.sign in ("==", "!="):
            alone = [f.names[0] for f in (self.left, self.right) if f.alone]
            units = [Rounding.of(columns[name].known()).unit for name in alone]
            slack = np.maximum(slack, 0.5 * (1 + 1e-6) * max(units, default=0.0))
            if self.plainly:
                slack = np.zeros(count)
        with np.errstate(invalid="ignore"):
            good = {
                "<=": off <= slack,
                "<": off < -slack,
                ">=": off >= -slack,
                ">": off > slack,
                "==": np.abs(off) <= slack,
                "!=": np.abs(off) > slack,
            }[self.sign]
        return gone | good

    @property
    def plainly(self) -> bool:
        """Whether columns and numbers are compared without any arithmetic."""
        return all(side.alone or not side.names for side in (self.left, self.right))

    def linear(self) -> Linear | None:
        """left - right as factors by column and a constant, if it is linear."""
        a, b = self.left.linear(), self.right.linear()
        if a is None or b is None:
            return None
        return plus(a, ({name: -factor for name, factor in b[0].items()}, -b[1]))


def texts_of(constraints: Iterable[str] | str | None) -> list[str]:
    """One text, several or none, as a list. Raises: ArgumentError for anything else."""
    if isinstance(constraints, str):
        return [constraints]
    if constraints is not None and not isinstance(constraints, Iterable):
        raise ArgumentError(f"constraints are texts such as 'a <= b'; got {constraints!r:.80}")
    return [] if constraints is None else list(constraints)


def read_constraints(texts: Sequence[str], kinds: Mapping[str, str]) -> list[Constraint]:
    """The user's words as comparisons; chains and "and" give several.

    Args:
        kinds: column → "number", "date", or a word for what can't be compared.
    Raises: ArgumentError for what is no comparison, for columns that are no numbers or dates, for
        constraints that contradict each other; UnknownName for a column that isn't there.
    """
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        raise ArgumentError(f"constraints is a list of texts such as 'a <= b'; got {texts!r:.80}")
    found: list[Constraint] = []
    for text in texts:
        parts = _comparisons(parsed(text), text)
        for one in parts:
            said = text if len(parts) == 1 else ast.unparse(one)
            found += _chain(one, said, kinds)
    clash = feasible([(one.text, one.sign, one.linear()) for one in found])
    if clash:
        raise ArgumentError(
            f"no row can obey {' and '.join(map(repr, clash))} together: they contradict each "
            "other; leave one out"
        )
    return found


def kinds_of(columns: Mapping[str, tuple[np.dtype, Role]]) -> dict[str, str]:
    """Column → what it is in a constraint."""
    words = {"O": "text", "b": "true or false"}
    found = {}
    for name, (dtype, role) in columns.items():
        found[name] = words.get(dtype.kind, "date" if dtype.kind == "M" else "number")
        if role.kind in ("identifier", "text"):
            word = "an identifier" if role.kind == "identifier" else "free text"
            found[name] = f"{word}, which is not learnt"
    return found


def _comparisons(tree: ast.expr, text: str) -> list[ast.Compare]:
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And):
        return [one for part in tree.values for one in _comparisons(part, text)]
    if not isinstance(tree, ast.Compare):
        raise ArgumentError(f"{text!r} compares nothing: {HOW}")
    return [tree]


def _chain(tree: ast.Compare, text: str, kinds: Mapping[str, str]) -> list[Constraint]:
    """a <= b <= c as a <= b and b <= c."""
    sides = [tree.left, *tree.comparators]
    found = []
    for left, right, sign in zip(sides, sides[1:], tree.ops):
        if type(sign) not in OPERATORS:
            raise ArgumentError(f"{text!r} compares in a way that is not read: {HOW}")
        pair = [Formula.of(side, kinds, text) for side in (left, right)]
        word = OPERATORS[type(sign)]
        said = text if len(tree.ops) == 1 else f"{ast.unparse(left)} {word} {ast.unparse(right)}"
        one = Constraint(said.strip(), word, *pair)
        _comparable(one, kinds)
        found.append(one)
    return found


def _comparable(one: Constraint, kinds: Mapping[str, str]) -> None:
    """Raises ArgumentError unless numbers are compared with numbers, dates with dates."""
    if not one.names:
        raise ArgumentError(f"{one.text!r} has no column in it: {HOW}")
    for name in one.names:
        if kinds[name] not in ("number", "date"):
            raise ArgumentError(
                f"{one.text!r}: column {name!r} is {kinds[name]}, and constraints are of numbers "
                "and dates"
            )
    left, right = (side.kind(kinds, one.text) for side in (one.left, one.right))
    if left != right:
        raise ArgumentError(
            f"{one.text!r} compares a {left} with a {right}; write dates as '2020-01-31'"
        )


def broken_rows(constraints: Sequence[Constraint], table: Table, where: str) -> list[str]:
    """Notes that count the rows which break a constraint. Raises: DataError where most do."""
    notes = []
    for one in constraints:
        wrong = ~one.obeyed(table.columns)
        count = int(wrong.sum())
        if not count:
            continue
        row = int(np.flatnonzero(wrong)[0])
        shown = ", ".join(f"{n} = {_cell(table.columns[n], row)}" for n in one.names)
        said = f"{count} of {len(table)} {where} rows break {one.text!r}, for example {shown}"
        if count > MOST_BROKEN * len(table):
            raise DataError(f"{said}; a constraint that most rows break is a mistake: correct it")
        notes.append(
            f"{said}; they are learnt from as they are, and no generated row will break it"
        )
    return notes


def declared(
    constraints: Sequence[Constraint], table: Table, roles: Mapping[str, Role], kept: frozenset[str]
) -> dict[str, Function]:
    """Equations as functions: column → how it is computed from the others.

    Of a linear equation a column that stands alone on a side is computed, else the one that can't
    turn negative where no value is, else the last in the table; of others only one that is alone.
    """
    found: dict[str, Function] = {}
    taken: set[str] = set()
    for one in constraints:
        if one.sign != "==" or len(one.names) < 2 or taken & set(one.names):
            continue
        free = [n for n in one.names if n not in kept and roles[n].coded]
        rules = {name: rule for name in free if (rule := _solved(one, name, table)) is not None}
        if rules:
            best = min(rules, key=lambda name: _rank(name, rules[name], one, table))
            found[best] = rules[best]
            taken |= set(one.names)  # one equation a column, so that none goes round in a circle
    return found


def _solved(one: Constraint, name: str, table: Table) -> Function | None:
    """An equation solved for a column."""
    rounding, linear = Rounding.of(table.columns[name].known()), one.linear()
    if linear is not None:
        factors, constant = linear
        own = factors.get(name)
        if own is None or len(factors) < 2:
            return None
        others = tuple(n for n in factors if n != name)
        numbers = (*(-factors[n] / own for n in others), -constant / own + 0.0)
        return Function("linear", others, rounding, numbers, declared=True)
    for side, other in ((one.left, one.right), (one.right, one.left)):
        if side.alone and side.names == (name,) and name not in other.names:
            text = ast.unparse(other.tree)
            return Function("formula", other.names, rounding, part=text, declared=True)
    return None


def _rank(name: str, rule: Function, one: Constraint, table: Table) -> tuple[Any, ...]:
    alone = any(side.alone and side.names == (name,) for side in (one.left, one.right))
    minus = rule.form == "linear" and min(rule.numbers[:-1]) < 0
    cells = table.columns[name]
    positive = cells.values.dtype.kind in "fi" and bool((cells.known() >= 0).all())
    return not alone, minus and positive, -table.names.index(name)


def _cell(cells: Cells, row: int) -> str:
    return str(cells.values[row]).removesuffix("T00:00:00.000000")
