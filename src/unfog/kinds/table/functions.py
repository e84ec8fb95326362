"""Functions: columns that others determine, so that they are computed and not learnt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from unfog.errors import RunError
from unfog.kinds.table.cells import Cells
from unfog.kinds.table.formula import Formula
from unfog.kinds.table.rounding import DAY, EXACT, Rounding, plain

FORMS = ("copy", "linear", "product", "ratio", "part", "map", "formula")
PARTS = (
    "year",
    "quarter",
    "month",
    "day",
    "hour",
    "minute",
    "weekday",
    "day of week",
    "day of year",
)
"""Of a date; weekday counts from Monday = 0, day of week from Monday = 1."""


@dataclass(frozen=True)
class Function:
    """How a column follows from its parents.

    Attributes:
        form: one of FORMS.     parents: the columns that it is computed from.
        rounding: of the column.
        numbers: linear: a factor per parent, then a constant; product and ratio: one factor.
        levels: map: (parent's level, the column's) pairs; dates as microseconds.
        part: of a date, one of PARTS; of a formula, its words.
        rows: of training in which it was seen to hold, without exception.
        declared: whether the user said so.
    """

    form: str
    parents: tuple[str, ...]
    rounding: Rounding
    numbers: tuple[float, ...] = ()
    levels: tuple[tuple[Any, Any], ...] = ()
    part: str = ""
    rows: int = 0
    declared: bool = False

    @cached_property
    def _map(self) -> dict[Any, Any]:
        return dict(self.levels)

    @cached_property
    def _inverse(self) -> dict[Any, list[Any]]:
        found: dict[Any, list[Any]] = {}
        for level, value in self.levels:
            found.setdefault(value, []).append(level)
        return found

    @cached_property
    def _formula(self) -> Formula:
        return Formula.parse(self.part, self.parents)

    def levels_for(self, value: Any) -> list[Any]:
        """Of a map: the parent's levels that give this value, plain."""
        return self._inverse.get(value, [])

    def exact(self, columns: Mapping[str, Cells]) -> tuple[np.ndarray, np.ndarray]:
        """(N,) plain numbers before rounding, NaN where undefined, and the size of their terms."""
        values = [plain(columns[name]) for name in self.parents]
        with np.errstate(all="ignore"):
            if self.form == "linear":
                *factors, constant = self.numbers
                terms = [factor * value for factor, value in zip(factors, values)]
                size = sum((np.abs(term) for term in terms), np.full(len(terms[0]), abs(constant)))
                return sum(terms, np.full(len(terms[0]), constant)), size
            if self.form == "product":
                exact = self.numbers[0] * values[0] * values[1]
            elif self.form == "ratio":
                exact = self.numbers[0] * values[0] / values[1]
            elif self.form == "part":
                exact = date_part(self.part, columns[self.parents[0]])
            else:
                exact, size = self._formula.value(dict(zip(self.parents, values)))
                return np.where(np.isfinite(exact), exact, np.nan), size
            exact = np.where(np.isfinite(exact), exact, np.nan)
        return exact, np.abs(exact)

    def cells(self, columns: Mapping[str, Cells]) -> Cells:
        """The column, from its parents; missing where one of them is, or where it is undefined."""
        here = np.all([columns[name].present for name in self.parents], axis=0)
        if self.form == "copy":
            return columns[self.parents[0]]
        if self.form == "map":
            return self._mapped(columns[self.parents[0]])
        exact, _ = self.exact(columns)
        here &= ~np.isnan(exact)
        if self.rounding.dtype.kind in "iMm":
            scale = DAY if self.rounding.dtype.kind in "mM" else 1
            here &= np.abs(np.where(here, exact, 0)) * scale < 2.0**63
        return Cells(self.rounding.typed(np.where(here, exact, 0.0)), here)

    def broken(self, columns: Mapping[str, Cells], child: Cells) -> np.ndarray:
        """(N,) bool: cells that are there, and not what the parents, all there, say. A parent's
        level that training did not have says nothing.
        """
        both = child.present & np.all([columns[name].present for name in self.parents], axis=0)
        if self.form == "copy":
            return both & np.asarray(child.values != columns[self.parents[0]].values, dtype=bool)
        if self.form == "map":
            said = self._mapped(columns[self.parents[0]])
            return both & said.present & np.asarray(said.values != child.values, dtype=bool)
        exact, size = self.exact(columns)
        with np.errstate(invalid="ignore"):
            good = self.rounding.agree(plain(child), exact, size)
        return both & ~(good & ~np.isnan(exact))

    def parent(
        self, columns: Mapping[str, Cells], child: Cells, name: str, rounding: Rounding
    ) -> Cells:
        """One parent from the column and the other parents; missing where it isn't settled.

        Args:
            rounding: of that parent.
        """
        nothing = np.full(len(child), "" if rounding.dtype == object else 0)
        gone = Cells(nothing.astype(rounding.dtype), np.zeros(len(child), dtype=bool))
        if self.form == "copy":
            return child
        if self.form == "map":
            return self._unmapped(child, rounding.dtype)
        if self.form in ("part", "formula"):
            return gone
        place, y = self.parents.index(name), plain(child)
        others = [plain(columns[n]) for n in self.parents if n != name]
        with np.errstate(all="ignore"):
            if self.form == "linear":
                *factors, constant = self.numbers
                rest = [f for f, n in zip(factors, self.parents) if n != name]
                known = sum((f * v for f, v in zip(rest, others)), np.full(len(y), constant))
                found = (y - known) / factors[place]
            elif self.form == "product":
                found = y / (self.numbers[0] * others[0])
            elif place == 0:
                found = y * others[0] / self.numbers[0]
            else:
                found = self.numbers[0] * others[0] / y
        here = np.isfinite(found) & (np.abs(np.where(np.isfinite(found), found, 0)) < EXACT)
        solved = Cells(rounding.typed(np.where(here, found, 0.0)), here)
        return Cells(solved.values, here & ~self.broken({**columns, name: solved}, child))

    def words(self, name: str) -> str:
        """The rule as a user would write it."""
        if self.form == "copy":
            return f"{name} = {self.parents[0]}"
        if self.form == "map":
            return f"{name} is determined by {self.parents[0]} ({len(self.levels)} levels)"
        if self.form == "part":
            return f"{name} = {self.part} of {self.parents[0]}"
        if self.form == "formula":
            return f"{name} = {self.part}"
        if self.form == "linear":
            return f"{name} = {_sum(self.parents, self.numbers, self.rounding.dtype.kind)}"
        sign = " × " if self.form == "product" else " / "
        scale = "" if self.numbers[0] == 1 else f"{self.numbers[0]:g} × "
        return f"{name} = {scale}{sign.join(self.parents)}"

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "form": self.form,
            "parents": list(self.parents),
            "rounding": self.rounding.to_json(),
            "numbers": list(self.numbers),
            "levels": [list(pair) for pair in self.levels],
            "part": self.part,
            "rows": self.rows,
            "declared": self.declared,
        }

    @classmethod
    def from_json(cls, config: dict[str, Any]) -> Function:
        """The inverse of `to_json`. Raises: RunError for a form that isn't there."""
        parted = config["form"] == "part" and config["part"] not in PARTS
        if config["form"] not in FORMS or parted:
            raise RunError(f"the codec has a function of form {config['form']!r}; update unfog")
        return cls(
            config["form"],
            tuple(map(str, config["parents"])),
            Rounding.from_json(config["rounding"]),
            tuple(map(float, config["numbers"])),
            tuple((level, value) for level, value in config["levels"]),
            str(config["part"]),
            int(config["rows"]),
            bool(config["declared"]),
        )

    def _mapped(self, parent: Cells) -> Cells:
        found = [self._map.get(level) for level in levels_of(parent)]
        here = parent.present & np.array([value is not None for value in found], dtype=bool)
        return _of_levels(found, here, self.rounding.dtype, self.levels[0][1])

    def _unmapped(self, child: Cells, dtype: np.dtype) -> Cells:
        found = [self._inverse.get(value, []) for value in levels_of(child)]
        here = child.present & np.array([len(levels) == 1 for levels in found], dtype=bool)
        values = [levels[0] if len(levels) == 1 else None for levels in found]
        return _of_levels(values, here, dtype, self.levels[0][0])


def date_part(part: str, cells: Cells) -> np.ndarray:
    """(N,) float64, a part of dates; NaN where missing."""
    moments = np.where(cells.present, cells.values, np.datetime64(0, "us")).astype("M8[us]")
    days, months = moments.astype("M8[D]"), moments.astype("M8[M]")
    years = moments.astype("M8[Y]")
    since = days.astype(np.int64)
    found: dict[str, np.ndarray] = {
        "year": years.astype(np.int64) + 1970,
        "quarter": months.astype(np.int64) % 12 // 3 + 1,
        "month": months.astype(np.int64) % 12 + 1,
        "day": (days - months).astype(np.int64) + 1,
        "hour": moments.astype("M8[h]").astype(np.int64) % 24,
        "minute": moments.astype("M8[m]").astype(np.int64) % 60,
        "weekday": (since + 3) % 7,
        "day of week": (since + 3) % 7 + 1,
        "day of year": (days - years).astype(np.int64) + 1,
    }
    return np.where(cells.present, found[part].astype(np.float64), np.nan)


def levels_of(cells: Cells) -> list[Any]:
    """Values as a map knows them: dates and durations as microseconds."""
    values = cells.values
    if values.dtype.kind == "f":
        return list((values + 0.0).tolist())
    return list((values.astype(np.int64) if values.dtype.kind in "mM" else values).tolist())


def _of_levels(found: list[Any], here: np.ndarray, dtype: np.dtype, filler: Any) -> Cells:
    values = np.empty(len(found), dtype=object)
    values[:] = [value if there else filler for value, there in zip(found, here)]
    if dtype.kind in "mM":
        return Cells(values.astype(np.int64).astype(dtype), here)
    return Cells(values.astype(dtype), here)


def _sum(parents: tuple[str, ...], numbers: tuple[float, ...], kind: str) -> str:
    """1.8 × a - b + 32."""
    text = ""
    for name, factor in zip(parents, numbers):
        sign = " - " if factor < 0 else " + "
        size, over = f"{abs(factor):.10g}", f"{1 / abs(factor):.10g}"
        term = f"{name} / {over}" if len(over) < len(size) else f"{size} × {name}"
        term = name if abs(factor) == 1 else term
        text += term if not text and factor > 0 else (sign if text else "-") + term
    if numbers[-1]:
        sign = " - " if numbers[-1] < 0 else " + "
        text += f"{sign}{abs(numbers[-1]):.10g}{' days' if kind in 'mM' else ''}"
    return text
