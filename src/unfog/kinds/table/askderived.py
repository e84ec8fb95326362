"""What is asked of columns that are computed, said of the columns that they are computed from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from unfog.errors import ArgumentError
from unfog.kinds.asked import Asked, Condition, Equal, Name, OneOf, Range, Rows
from unfog.kinds.table.cells import Cells
from unfog.kinds.table.codec import TableCodec
from unfog.kinds.table.functions import Function
from unfog.kinds.table.rounding import DAY, plain
from unfog.kinds.table.settle import rounding_of


def askable_derived(codec: TableCodec, names: dict[str, Name]) -> dict[str, Name]:
    """Computed column -> what can be asked of it.

    Args:
        names: what can be asked of those that are learnt.
    """
    found: dict[str, Name] = {}
    for name in codec.functions:
        rule, column = codec.functions[name], codec.columns[name]
        if rule.form == "copy":
            parent = _root(codec, name)
            if parent in names:
                found[name] = replace(names[parent], name=name)
        elif rule.form == "map":
            levels = tuple(sorted({value for _, value in rule.levels}))
            found[name] = Name(name, "level", column.dtype, levels, column.dtype.kind in "fiMm")
        else:
            found[name] = Name(name, "number", column.dtype)
    return found


def translated(codec: TableCodec, asked: Asked) -> tuple[Asked, dict[str, Condition]]:
    """The same wish of learnt columns, and what is left: conditions on computed columns that can
    only be met by drawing again.

    Raises: ArgumentError for what nothing meets, and for one value of a number that has several
        parents.
    """
    conditions = dict(asked.conditions)
    left: dict[str, Condition] = {}
    while True:
        name = next((n for n in conditions if n in codec.functions), None)
        if name is None:
            return replace(asked, conditions=conditions), left
        condition, rule = conditions.pop(name), codec.functions[name]
        own = rule.parents[0]
        moved = _of_parent(codec, name, rule, condition) if len(rule.parents) == 1 else None
        if moved is not None and own not in conditions:
            conditions[own] = moved
            continue
        if moved is None and isinstance(condition, Equal | Rows) and rule.rounding.unit == 0:
            raise _no_value(codec, name)
        if isinstance(condition, Equal | Rows) and len(rule.parents) > 1:
            raise _no_value(codec, name)
        left[name] = condition


def roots(codec: TableCodec, name: str) -> list[str]:
    """The learnt columns that a column is computed from; itself if it is learnt."""
    if name not in codec.functions:
        return [name]
    found = [one for parent in codec.functions[name].parents for one in roots(codec, parent)]
    return list(dict.fromkeys(found))


def _root(codec: TableCodec, name: str) -> str:
    while name in codec.functions and codec.functions[name].form == "copy":
        name = codec.functions[name].parents[0]
    return name


def _no_value(codec: TableCodec, name: str) -> ArgumentError:
    words = codec.functions[name].words(name)
    return ArgumentError(
        f"given {name!r}: {words}, so it can't be asked to be one value: ask for a range of it, "
        f"for values of {', '.join(codec.functions[name].parents)}, or fit again with it as a "
        "condition (--given) or with --functions learn"
    )


def _of_parent(
    codec: TableCodec, name: str, rule: Function, condition: Condition
) -> Condition | None:
    """A condition on a column with one parent, said of the parent; None if that can't be said."""
    if rule.form == "copy":
        return condition
    parent = codec.columns[rule.parents[0]]
    levels = None if parent.levels is None else [*parent.levels.values, *parent.levels.rare]
    if levels is not None:
        return _of_levels(codec, name, rule, condition, levels)
    if rule.form == "linear":
        return _of_line(codec, name, rule, condition)
    if rule.form == "part" and rule.part == "year" and isinstance(condition, Equal | Range):
        ends = (
            condition if isinstance(condition, Range) else Range(condition.value, condition.value)
        )
        low = None if ends.low is None else _year(ends.low + ends.below)
        high = None if ends.high is None else _year(ends.high + (not ends.above))
        return Range(low, high, above=True)
    return None


def _year(year: float) -> int:
    return int(np.datetime64(f"{int(np.ceil(year)):04d}-01-01", "us").astype(np.int64))


def _of_levels(
    codec: TableCodec, name: str, rule: Function, condition: Condition, levels: list[Any]
) -> Condition | None:
    """The parent's levels for which the column is as asked."""
    parent, dtype = rule.parents[0], codec.columns[rule.parents[0]].dtype
    values = np.array(levels, dtype=object)
    typed = values.astype(np.int64).astype(dtype) if dtype.kind in "mM" else values.astype(dtype)
    made = rule.cells({parent: Cells(typed, np.ones(len(levels), dtype=bool))})
    shown = made.values.astype(np.int64) if made.values.dtype.kind in "mM" else made.values
    plainly = [v if there else None for v, there in zip(shown.tolist(), made.present)]
    if isinstance(condition, Rows):
        places = {value: [lv for lv, v in zip(levels, plainly) if v == value] for value in plainly}
        if any(w is not None and len(places.get(w, [])) != 1 for w in condition.values):
            return None
        return Rows(tuple(None if w is None else places[w][0] for w in condition.values))
    met = condition.met(plainly)
    fitting = tuple(level for level, good in zip(levels, met) if good)
    if not fitting:
        raise ArgumentError(
            f"given {name!r}: {rule.words(name)}, and no level of {parent!r} gives what is asked"
        )
    return Equal(fitting[0]) if len(fitting) == 1 else OneOf(fitting)


def _of_line(
    codec: TableCodec, name: str, rule: Function, condition: Condition
) -> Condition | None:
    """A range or values of factor x + constant, as those of x."""
    factor, constant = rule.numbers
    parent = rule.parents[0]
    days = [DAY if codec.columns[n].dtype.kind in "mM" else 1 for n in (name, parent)]
    if isinstance(condition, Range):
        half = 0.5 * rule.rounding.unit * (1 - 1e-9)
        ends = [
            None if end is None else (end / days[0] + sign * half - constant) / factor * days[1]
            for end, sign in (
                (condition.low, 1 if condition.below else -1),
                (condition.high, -1 if condition.above else 1),
            )
        ]
        below, above = condition.below, condition.above
        if factor < 0:
            ends, below, above = ends[::-1], above, below
        return Range(ends[0], ends[1], below, above)
    values = condition.values if isinstance(condition, OneOf | Rows) else (condition.value,)
    child = codec.columns[name]
    kept = [0 if value is None else value for value in values]
    raw = np.array(kept)
    typed = raw.astype(np.int64).astype(child.dtype) if child.dtype.kind in "mM" else raw
    cells = Cells(typed.astype(child.dtype), np.array([v is not None for v in values], dtype=bool))
    empty = np.zeros(len(values), dtype=codec.columns[parent].dtype)
    rounding = rounding_of(codec, parent, Cells(empty, np.zeros(len(values), dtype=bool)))
    found = rule.parent({}, cells, parent, rounding)
    lacking = cells.present & ~found.present
    if lacking.any():
        shown = plain(cells)[lacking][0]
        raise ArgumentError(
            f"given {name!r}: {rule.words(name)}, and no value of {parent!r} gives {shown:g}; ask "
            "for a range"
        )
    whole = found.values.astype(np.int64) if found.values.dtype.kind in "mM" else found.values
    solved = tuple(v if there else None for v, there in zip(whole.tolist(), found.present))
    if isinstance(condition, Rows):
        return Rows(solved)
    return OneOf(solved) if isinstance(condition, OneOf) else Equal(solved[0])
