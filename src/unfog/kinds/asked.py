"""Asked: what a user wants of samples, as a small typed algebra.

    {"label": ["cat", "dog"], "age": (30, 40), "income": ">=50000", "mean(income)": 41000}

Equal, one of, a range, an inequality, or an aggregate of all rows. Values are kept plain, so that
they compare: dates and durations as microseconds, all else as Python's own types.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from unfog.kinds.fields import spelt

SIGNS = (">=", "<=", "!=", ">", "<", "=")


@dataclass(frozen=True)
class Name:
    """What can be asked of one name.

    Attributes:
        kind: "level" (one of several), "number" (dates and durations too) or "other" (text, an
            array: equal is all that can be asked).
        dtype: of the column's values; object where they are levels of a condition.
        levels: of kind "level", plain.     ordered: whether they have an order that ranges use.
    """

    name: str
    kind: str
    dtype: np.dtype = field(default_factory=lambda: np.dtype(object))
    levels: tuple[Any, ...] = ()
    ordered: bool = False

    @cached_property
    def places(self) -> dict[str, int]:
        """A level as it is written -> its place."""
        return {spelt(level): place for place, level in enumerate(self.levels)}


@dataclass(frozen=True)
class Equal:
    """One value for all rows; None asks for nothing."""

    value: Any

    def met(self, values: list[Any]) -> np.ndarray:
        """(N,) bool of plain values."""
        return np.array([same(value, self.value) for value in values], dtype=bool)


@dataclass(frozen=True)
class Rows:
    """One value per row; None asks for nothing in this row."""

    values: tuple[Any, ...]

    def met(self, values: list[Any]) -> np.ndarray:
        """(N,) bool of plain values, one per row that was asked for."""
        pairs = zip(values, self.values, strict=True)
        return np.array([w is None or same(v, w) for v, w in pairs], dtype=bool)


@dataclass(frozen=True)
class OneOf:
    """Any of several values, as often as the model has them."""

    values: tuple[Any, ...]

    def met(self, values: list[Any]) -> np.ndarray:
        """(N,) bool of plain values."""
        return np.array([any(same(v, w) for w in self.values) for v in values], dtype=bool)


@dataclass(frozen=True)
class Range:
    """Numbers, dates or ordered levels between two ends; None is no end.

    Attributes:
        low, high: plain values.     below, above: whether the end itself is left out.
        order: the levels from low to high, where these are compared by place.
    """

    low: Any = None
    high: Any = None
    below: bool = False
    above: bool = False
    order: tuple[Any, ...] | None = None

    def met(self, values: list[Any]) -> np.ndarray:
        """(N,) bool of plain values; a missing one is not in any range."""
        return np.array([value is not None and self.has(value) for value in values], dtype=bool)

    def has(self, value: Any) -> bool:
        """Whether one value lies between the ends."""
        place = (lambda v: self.order.index(v)) if self.order is not None else (lambda v: v)
        at = place(value)
        if self.low is not None and not (
            at > place(self.low) if self.below else at >= place(self.low)
        ):
            return False
        return self.high is None or bool(
            at < place(self.high) if self.above else at <= place(self.high)
        )


Condition = Equal | Rows | OneOf | Range


@dataclass(frozen=True)
class Aggregate:
    """A figure of all rows together: the mean or sum of a column's present cells, or a level's
    share of all rows.
    """

    how: str
    name: str
    target: float
    level: Any = None

    def features(self, values: list[Any], count: int) -> np.ndarray:
        """(M,) numbers whose mean over the rows is 0 where the aggregate is met.

        Args:
            values: of M candidate rows, plain.     count: rows of the result.
        """
        if self.how == "share":
            return np.array([same(v, self.level) for v in values], dtype=float) - self.target
        numbers = np.array([0.0 if v is None else float(v) for v in values])
        if self.how == "sum":
            return numbers - self.target / count
        return np.where([v is None for v in values], 0.0, numbers - self.target)

    def reached(self, values: list[Any]) -> float:
        """The figure of these rows; NaN for the mean of nothing."""
        if self.how == "share":
            return float(np.mean([same(v, self.level) for v in values]))
        there = [float(v) for v in values if v is not None]
        if self.how == "sum":
            return float(np.sum(there))
        return float(np.mean(there)) if there else float("nan")


@dataclass(frozen=True)
class Asked:
    """Everything that was asked.

    Attributes:
        conditions: name -> of every row.     aggregates: of all rows.
        spelled: name, or the aggregate's own words -> how the user wrote it.
    """

    conditions: dict[str, Condition]
    aggregates: dict[str, Aggregate]
    spelled: dict[str, str]

    @property
    def plain(self) -> bool:
        """Whether values are asked for and nothing else."""
        return not self.aggregates and all(
            isinstance(c, Equal | Rows) for c in self.conditions.values()
        )


def written(name: str, value: Any) -> str:
    """A condition as a user would type it: income>=50000, label=cat|dog, age=30..40."""
    if isinstance(value, str) and value.startswith(SIGNS):
        return f"{name}{value}"
    if isinstance(value, tuple) and len(value) == 2:
        return f"{name}=" + "..".join("" if end is None else spelt(end) for end in value)
    if isinstance(value, list | tuple | set | frozenset):
        words = [spelt(one) for one in value]
        few = words if len(words) <= 8 else [*words[:8], "…"]
        return f"{name}=" + "|".join(few)
    shown = spelt(value) if np.ndim(value) == 0 else f"an array of shape {np.shape(value)}"
    return f"{name}={shown}"


def same(value: Any, wanted: Any) -> bool:
    return value is not None and wanted is not None and bool(value == wanted)
