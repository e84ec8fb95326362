"""What a condition on a table's column allows: codes of a category, spans of a number's scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from unfog.errors import ArgumentError
from unfog.kinds.asked import Condition, Equal, Name, OneOf, Range, written
from unfog.kinds.table.cells import Cells
from unfog.kinds.table.codec import TableCodec
from unfog.kinds.table.columns import Column
from unfog.kinds.table.gaussianise import Number

FAR = 40.0
"""Scores beyond here do not occur: a standard normal exceeds it with a chance below 1e-300."""


@dataclass(frozen=True)
class Allowed:
    """What a column may be.

    Attributes:
        codes: (K,) shares in [0, 1] of each code's cells that are allowed, or None for numbers: 0
            and 1, and between them for the code of rare levels.
        spans: (I, 2) float32 scores, ends included, or None for categories.
        rare: the rare levels that are allowed, with their counts; empty if they all are.
    """

    codes: np.ndarray | None = None
    spans: np.ndarray | None = None
    rare: tuple[tuple[Any, int], ...] = ()


def askable(codec: TableCodec) -> dict[str, Name]:
    """Column -> what can be asked of it: the columns that were learnt."""
    found = {}
    for name, column in codec.columns.items():
        if column.number is not None:
            found[name] = Name(name, "number", column.dtype)
        elif column.role.coded == "category" and column.levels is not None:
            levels = (*column.levels.values, *column.levels.rare)
            ordered = column.role.order is not None or column.dtype.kind in "fiMm"
            found[name] = Name(name, "level", column.dtype, levels, ordered)
    return found


def plain_cells(cells: Cells) -> list[Any]:
    """Values as conditions compare them; None where missing."""
    values = cells.values.astype(np.int64) if cells.values.dtype.kind in "mM" else cells.values
    return [v if there else None for v, there in zip(values.tolist(), cells.present.tolist())]


def allowed(name: str, column: Column, condition: Condition) -> Allowed:
    """What of the state the condition allows. Raises ArgumentError where that is nothing."""
    if column.number is None:
        return _codes(name, column, condition)
    if isinstance(condition, Range):
        wanted = [condition]
    elif isinstance(condition, OneOf | Equal):
        values = condition.values if isinstance(condition, OneOf) else (condition.value,)
        wanted = [Range(value, value) for value in values]
    else:
        raise TypeError("a value per row is no span")
    spans = [_span(column.number, one) for one in wanted]
    for one, span in zip(wanted, spans):
        if span is None:
            raise ArgumentError(
                f"given {name!r}: the model has no value {_words(name, one, column)}; "
                f"{_nearby(column.number, one)}"
            )
    return Allowed(spans=np.array(sorted(span for span in spans if span is not None), np.float32))


def _codes(name: str, column: Column, condition: Condition) -> Allowed:
    levels = column.levels
    assert levels is not None
    share = np.zeros(levels.size)
    share[: len(levels.values)] = condition.met(levels.values)
    rare = [level for level in levels.rare if condition.met([level])[0]]
    if levels.rare:
        total = sum(levels.rare.values())
        share[len(levels.values)] = sum(levels.rare[level] for level in rare) / total
    if not share.any():
        some = ", ".join(repr(level) for level in levels.values[:8])
        raise ArgumentError(
            f"given {name!r}: none of its levels is {_words(name, condition, column)}; known are "
            f"{some}{', …' if len(levels.values) > 8 else ''}"
        )
    some_rare = 0 < len(rare) < len(levels.rare)
    return Allowed(share, rare=tuple((v, levels.rare[v]) for v in rare) if some_rare else ())


def _span(number: Number, wanted: Range) -> tuple[np.float32, np.float32] | None:
    """The scores whose value is in the range; None if there are none.

    A value never falls as its score rises, so the ends are found by halving.
    """

    def values(scores: np.ndarray) -> np.ndarray:
        found = number.decode(scores.astype(np.float32))
        return found.astype(np.int64) if found.dtype.kind in "mM" else found

    low, high = np.float32(-FAR), np.float32(FAR)
    if wanted.low is not None:
        strict = wanted.below
        low = _first(lambda z: values(z) > wanted.low if strict else values(z) >= wanted.low)
    if wanted.high is not None:
        over = wanted.above
        past = _first(lambda z: values(z) >= wanted.high if over else values(z) > wanted.high)
        high = np.float32(FAR) if past is None else np.nextafter(past, np.float32(-np.inf))
    if low is None or low > high:
        return None
    return low, high


def _first(true: Callable[[np.ndarray], np.ndarray]) -> Any:
    """The least float32 score where a rising predicate holds; None if it never does."""
    # float32 numbers in order are these whole numbers in order, so halving visits every one
    low, high = -_rank(FAR), _rank(FAR)
    if not true(_score(np.array([high])))[0]:
        return None
    if true(_score(np.array([low])))[0]:
        return np.float32(-FAR)
    while high - low > 1:
        middle = (low + high) // 2
        if true(_score(np.array([middle])))[0]:
            high = middle
        else:
            low = middle
    return _score(np.array([high]))[0]


def _rank(score: float) -> int:
    return int(np.float32(score).view(np.int32))


def _score(rank: np.ndarray) -> np.ndarray:
    size = np.abs(rank).astype(np.int32).view(np.float32)
    return np.where(rank < 0, -size, size).astype(np.float32)


def _words(name: str, condition: Condition, column: Column) -> str:
    """A condition in words for an error."""
    if isinstance(condition, Range):
        ends = [_shown(end, column.dtype) for end in (condition.low, condition.high)]
        if ends[0] == ends[1]:
            return ends[0]
        if ends[1] == "":
            return f"{'above' if condition.below else 'from'} {ends[0]} on"
        if ends[0] == "":
            return f"{'below' if condition.above else 'up to'} {ends[1]}"
        return f"from {ends[0]} to {ends[1]}"
    value = condition.values if isinstance(condition, OneOf) else getattr(condition, "value", None)
    return written(name, list(value) if isinstance(value, tuple) else value).partition("=")[2]


def _shown(value: Any, dtype: np.dtype) -> str:
    if value is None:
        return ""
    return str(np.int64(value).astype(dtype)) if dtype.kind in "mM" else f"{value:g}"


def _nearby(number: Number, wanted: Range) -> str:
    """Where the model's values end, or those around the range."""
    ends = number.decode(np.array([-FAR, FAR], np.float32))
    around = []
    if wanted.low is not None and (first := _first(lambda z: _at(number, z) >= wanted.low)):
        around = [np.nextafter(first, np.float32(-np.inf)), first]
    elif wanted.high is not None and (first := _first(lambda z: _at(number, z) > wanted.high)):
        around = [first]
    near = [str(v) for v in number.decode(np.array(around, np.float32))] if around else []
    return f"its values run from {ends[0]} to {ends[1]}" + (
        f", and the nearest are {' and '.join(near)}" if near else ""
    )


def _at(number: Number, z: np.ndarray) -> np.ndarray:
    found = number.decode(z)
    return found.astype(np.int64) if found.dtype.kind in "mM" else found
