"""Formulas: arithmetic of columns, as a user writes it, read without ever being executed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unfog.errors import ArgumentError, UnknownName
from unfog.kinds.table.rounding import DAY
from unfog.registry import unknown

HOW = (
    "a constraint compares columns and numbers, for example a <= b, 0 <= x <= 10, a + b == c, "
    "start < '2020-01-31'; a name with spaces or signs stands in backticks or quotes"
)
LONGEST = 2000
DEEPEST = 50
SIGNS: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "×", ast.Div: "/"}
Linear = tuple[dict[str, float], float]


@dataclass(frozen=True)
class Formula:
    """Sums, differences, products and ratios of columns, numbers and dates.

    Attributes:
        names: the columns in it, in the order in which they stand.
    """

    names: tuple[str, ...]
    tree: ast.expr = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str, names: Iterable[str]) -> Formula:
        """One formula in words. Raises: ArgumentError or UnknownName."""
        return cls.of(parsed(text), tuple(names), text)

    @classmethod
    def of(cls, tree: ast.expr, names: Iterable[str], text: str) -> Formula:
        """A part of what was parsed, its names checked to be columns."""
        known = tuple(names)
        found: dict[str, None] = {}
        _check(tree, known, text, found, 0)
        return cls(tuple(found), tree)

    @property
    def alone(self) -> bool:
        """Whether it is a single column."""
        return len(self.names) == 1 and _named(self.tree) == self.names[0]

    def value(self, columns: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(N,) the value, and the size of its terms; of plain numbers, NaN where missing."""
        with np.errstate(all="ignore"):
            return _value(self.tree, columns)

    def linear(self) -> Linear | None:
        """Factors by column and a constant; None where columns are multiplied or divided by."""
        return _linear(self.tree, self.names)

    def kind(self, kinds: Mapping[str, str], text: str) -> str:
        """ "number" or "date". Raises: ArgumentError for dates that are added or multiplied."""
        return _kind(self.tree, kinds, text)


def parsed(text: str) -> ast.expr:
    """The syntax of a formula or comparison. Raises: ArgumentError for what is none."""
    if not isinstance(text, str) or not text.strip() or len(text) > LONGEST:
        shown = repr(text) if not isinstance(text, str) or len(text) <= 80 else "a very long text"
        raise ArgumentError(f"{shown} is no constraint: {HOW}")
    plain = re.sub(r"`([^`]+)`", lambda found: repr(found[1]), text.strip())
    try:
        return ast.parse(plain, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ArgumentError(f"{text!r} can't be read: {HOW}") from error


def _named(tree: ast.expr) -> str | None:
    if isinstance(tree, ast.Name):
        return tree.id
    return tree.value if isinstance(tree, ast.Constant) and isinstance(tree.value, str) else None


def _day(text: str) -> float | None:
    """A date in days since 1970; None where the text is none."""
    if not re.match(r"^\d{4}-\d\d", text):
        return None
    try:
        return float(np.datetime64(text, "us").astype(np.int64)) / DAY
    except ValueError:
        return None


def _check(
    tree: ast.expr, names: tuple[str, ...], text: str, found: dict[str, None], deep: int
) -> None:
    """Refuses whatever is no arithmetic of known columns, and gathers their names."""
    if deep > DEEPEST:
        raise ArgumentError(f"{text!r:.80} is nested too deeply; write it as several")
    name = _named(tree)
    if name is not None:
        if name in names:
            found[name] = None
        elif isinstance(tree, ast.Name) or _day(name) is None:
            raise UnknownName(unknown(f"column in {text!r}", name, names))
    elif isinstance(tree, ast.BinOp) and type(tree.op) in SIGNS:
        _check(tree.left, names, text, found, deep + 1)
        _check(tree.right, names, text, found, deep + 1)
    elif isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub | ast.UAdd):
        _check(tree.operand, names, text, found, deep + 1)
    elif not (
        isinstance(tree, ast.Constant)
        and isinstance(tree.value, int | float)
        and not isinstance(tree.value, bool)
        and abs(tree.value) <= 1e300
    ):
        raise ArgumentError(f"{text!r} holds {ast.unparse(tree)!r:.60}, which is not read: {HOW}")


def _value(tree: ast.expr, columns: Mapping[str, Any]) -> tuple[Any, Any]:
    name = _named(tree)
    if name is not None:
        found: Any = columns[name] if name in columns else _day(name)
        return found, np.abs(found)
    if isinstance(tree, ast.Constant):
        return float(tree.value), abs(float(tree.value))  # type: ignore[arg-type]
    if isinstance(tree, ast.UnaryOp):
        value, size = _value(tree.operand, columns)
        return (-value if isinstance(tree.op, ast.USub) else value), size
    assert isinstance(tree, ast.BinOp)
    (a, size_a), (b, size_b) = _value(tree.left, columns), _value(tree.right, columns)
    if isinstance(tree.op, ast.Add):
        return a + b, size_a + size_b
    if isinstance(tree.op, ast.Sub):
        return a - b, size_a + size_b
    if isinstance(tree.op, ast.Mult):
        return a * b, size_a * size_b
    quotient = np.divide(a, b)
    return quotient, np.divide(size_a, np.abs(b)) * np.divide(size_b, np.abs(b))


def _linear(tree: ast.expr, names: tuple[str, ...]) -> Linear | None:
    name = _named(tree)
    if name is not None:
        return ({name: 1.0}, 0.0) if name in names else ({}, _day(name) or 0.0)
    if isinstance(tree, ast.Constant):
        return {}, float(tree.value)  # type: ignore[arg-type]
    if isinstance(tree, ast.UnaryOp):
        inner = _linear(tree.operand, names)
        return inner and (_times(inner, -1.0) if isinstance(tree.op, ast.USub) else inner)
    assert isinstance(tree, ast.BinOp)
    a, b = _linear(tree.left, names), _linear(tree.right, names)
    if a is None or b is None:
        return None
    if isinstance(tree.op, ast.Add | ast.Sub):
        return plus(a, _times(b, -1.0 if isinstance(tree.op, ast.Sub) else 1.0))
    if isinstance(tree.op, ast.Mult) and not (a[0] and b[0]):
        return _times(a, b[1]) if a[0] else _times(b, a[1])
    if isinstance(tree.op, ast.Div) and not b[0] and b[1]:
        return _times(a, 1 / b[1])
    return None


def plus(a: Linear, b: Linear) -> Linear:
    """The sum of two linear forms; a factor that comes to 0 is left out."""
    factors = {name: a[0].get(name, 0.0) + b[0].get(name, 0.0) for name in {**a[0], **b[0]}}
    return {name: factor for name, factor in factors.items() if factor}, a[1] + b[1]


def _times(a: Linear, factor: float) -> Linear:
    return {name: one * factor for name, one in a[0].items() if one * factor}, a[1] * factor


def _kind(tree: ast.expr, kinds: Mapping[str, str], text: str) -> str:
    name = _named(tree)
    if name is not None:
        return kinds.get(name, "date")
    if isinstance(tree, ast.Constant):
        return "number"
    if isinstance(tree, ast.UnaryOp):
        inner = _kind(tree.operand, kinds, text)
        if inner == "date":
            raise ArgumentError(f"{text!r} negates a date; compare dates, or subtract them")
        return inner
    assert isinstance(tree, ast.BinOp)
    both = (_kind(tree.left, kinds, text), _kind(tree.right, kinds, text))
    if "date" not in both:
        return "number"
    if isinstance(tree.op, ast.Sub) and both[0] == "date":
        return "number" if both[1] == "date" else "date"
    if isinstance(tree.op, ast.Add) and both != ("date", "date"):
        return "date"
    raise ArgumentError(
        f"{text!r} calculates with a date in a way that means nothing; dates are compared, "
        "subtracted (which gives days), or moved by a number of days"
    )
