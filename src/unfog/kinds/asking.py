"""Reading what a user asks for: a dict, or a command line's words, to conditions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from unfog.errors import ArgumentError, UnknownName
from unfog.kinds.asked import (
    SIGNS,
    Aggregate,
    Asked,
    Condition,
    Equal,
    Name,
    OneOf,
    Range,
    Rows,
    same,
    written,
)
from unfog.kinds.fields import is_missing, spelt
from unfog.kinds.given import find
from unfog.registry import unknown

AGGREGATES = ("mean", "sum", "share")
_WHOLE = re.compile(r"^\s*(\w+)\s*\((.*)\)\s*$", re.S)
_SPAN = re.compile(r"^(.*?)\.\.(.*)$", re.S)


def read(given: Mapping[str, Any], names: Mapping[str, Name], count: int) -> Asked:
    """The user's dict as conditions.

    A list with a value per row says what each row has; a list of other length, or a set, is "one
    of"; a tuple of two numbers is a range. Strings: ">=5", "<5", "!=x", "30..40", "cat|dog"; one
    that is a level's own name is that level.

    Args:
        names: what can be asked of.     count: rows of the result.
    Raises: UnknownName for a name or level that isn't there; ArgumentError for what can't be asked.
    """
    conditions: dict[str, Condition] = {}
    aggregates: dict[str, Aggregate] = {}
    spelled: dict[str, str] = {}
    for key, value in given.items():
        if find(key, names) is None and _WHOLE.match(key):
            aggregates[key] = _aggregate(key, value, names)
            spelled[key] = f"{key} = {aggregates[key].target:g}"
            continue
        column = _named(key, names)
        if column.name in conditions:
            raise ArgumentError(f"given {column.name!r} is there twice; give it once")
        conditions[column.name] = _condition(column, value, count)
        spelled[column.name] = written(column.name, value)
    return Asked(conditions, aggregates, spelled)


def split(text: str, names: Iterable[str]) -> tuple[str, str]:
    """A command line's `name=value`, `name>=value`, `mean(name)=value` -> (name, value).

    The sign stays with the value unless it is "=". Of names that fit, the longest is meant.

    Raises: ArgumentError where there is no sign.
    """
    whole = re.match(rf"^\s*((?:{'|'.join(AGGREGATES)})\s*\(.*\))\s*=(.*)$", text, re.S)
    if whole:
        return whole[1], whole[2]
    fitting = [name for name in names if text.startswith(name)]
    for name in sorted(fitting, key=len, reverse=True):
        rest = text[len(name) :].lstrip()
        if rest.startswith(SIGNS):
            return name, rest.removeprefix("=") if rest.startswith("=") else rest
    found = re.match(r"^(.*?)\s*(>=|<=|!=|>|<|=)(.*)$", text, re.S)
    if not found or not found[1]:
        raise ArgumentError(
            "--given takes name=value, for example label=cat, age=30..40, income>=50000, "
            f"label=cat|dog or mean(income)=41000; got {text!r}"
        )
    return found[1], found[3] if found[2] == "=" else found[2] + found[3]


def plain(value: Any, dtype: np.dtype, name: str) -> Any:
    """A user's value on the axis that the column is compared on. Raises ArgumentError."""
    try:
        if isinstance(value, Tensor | np.generic) and dtype.kind not in "mM":
            value = value.item()
        if dtype.kind == "M":
            import pandas as pd

            return int(pd.Timestamp(value).to_datetime64().astype("M8[us]").astype(np.int64))
        if dtype.kind == "m":
            import pandas as pd

            return int(pd.Timedelta(value).to_timedelta64().astype("m8[us]").astype(np.int64))
        if dtype.kind == "b":
            if spelt(value) not in ("true", "false", "1", "0"):
                raise ValueError
            return spelt(value) in ("true", "1")
        if dtype.kind in "fi":
            number = float(value)
            if not np.isfinite(number):
                raise ValueError
            return int(number) if number.is_integer() and dtype.kind == "i" else number
    except (TypeError, ValueError, OverflowError) as error:
        what = {"M": "date", "m": "duration", "b": "truth value"}.get(dtype.kind, "finite number")
        raise ArgumentError(f"given {name!r}: {value!r} is no {what}") from error
    return str(value) if isinstance(value, str | np.str_) else value


def _named(key: str, names: Mapping[str, Name]) -> Name:
    found = find(key, names)
    if found is None:
        raise UnknownName(unknown("given", key, names))
    return names[found]


def _aggregate(key: str, value: Any, names: Mapping[str, Name]) -> Aggregate:
    match = _WHOLE.match(key)
    assert match is not None
    how, inside = match[1], match[2].strip()
    if how not in AGGREGATES:
        raise UnknownName(unknown("aggregate", how, AGGREGATES))
    level: Any = None
    if how == "share":
        inside, equals, word = inside.partition("=")
        if not equals:
            raise ArgumentError(f"a share is of a level, for example share(sex=F); got {key!r}")
    column = _named(inside.strip(), names)
    if how == "share":
        if column.kind != "level":
            raise ArgumentError(f"{key}: {column.name!r} has no levels; ask for its mean")
        level = _level(column, word.strip())
    elif column.kind == "other" or column.dtype.kind not in "fib":
        raise ArgumentError(
            f"{key}: {column.name!r} holds no numbers; known: share({column.name}=…)"
        )
    target = plain(value, np.dtype(float), key)
    if how == "share" and not 0 <= target <= 1:
        raise ArgumentError(f"{key}: a share lies in [0, 1]; got {target:g}")
    return Aggregate(how, column.name, target, level)


def _condition(column: Name, value: Any, count: int) -> Condition:
    if column.kind == "other":
        return Equal(value)
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        value = value.tolist()
        if isinstance(value, list) and len(value) != count:
            raise _wrong_count(column, value, count)
    if isinstance(value, tuple) and len(value) == 2 and _ranged(column, value):
        return _range(column, value[0], value[1], False, False)
    if isinstance(value, set | frozenset):
        return OneOf(tuple(_value(column, one) for one in sorted(value, key=str)))
    if isinstance(value, list | tuple):
        if len(value) == count:
            return Rows(tuple(_value(column, one) for one in value))
        distinct = {spelt(one) for one in value if not is_missing(one)}
        if not value or len(distinct) != len(value):
            raise _wrong_count(column, value, count)
        return OneOf(tuple(_value(column, one) for one in value))
    if isinstance(value, str):
        return _spelled(column, value)
    return Equal(_value(column, value))


def _ranged(column: Name, ends: tuple[Any, Any]) -> bool:
    """A pair is a range of numbers; of levels too if these are numbers or have an open end."""
    if column.kind == "number":
        return True
    return column.ordered and (column.dtype.kind != "O" or None in ends)


def _wrong_count(column: Name, value: Any, count: int) -> ArgumentError:
    return ArgumentError(
        f"given {column.name!r} has {len(value)} values for {count} items; give one value, "
        f"{count}, or different ones of which each row has one"
    )


def _spelled(column: Name, text: str) -> Condition:
    """A string: a level, or a sign and a value, a..b, or a|b."""
    if column.kind == "level" and _place(column, text) is not None:
        return Equal(_level(column, text))
    sign = next((sign for sign in SIGNS if text.startswith(sign)), None)
    if sign is not None:
        word = text.removeprefix(sign).strip()
        if sign == "=":
            return Equal(_value(column, word))
        if sign == "!=":
            if column.kind != "level":
                raise ArgumentError(
                    f"given {column.name!r}: != is for levels, and these are numbers; give ranges"
                )
            left = _level(column, word)
            return OneOf(tuple(level for level in column.levels if not same(level, left)))
        low, high = (word, None) if sign[0] == ">" else (None, word)
        return _range(column, low, high, sign == ">", sign == "<")
    if "|" in text:
        return OneOf(tuple(_value(column, word.strip()) for word in text.split("|")))
    span = _SPAN.match(text)
    if span and (column.kind == "number" or column.ordered):
        low, high = (word.strip() or None for word in span.groups())
        return _range(column, low, high, False, False)
    return Equal(_value(column, text))


def _range(column: Name, low: Any, high: Any, below: bool, above: bool) -> Range:
    if column.kind == "level" and not column.ordered:
        raise ArgumentError(
            f"given {column.name!r}: its levels have no order, so they have no range; name some: "
            f"{column.name}={'|'.join(spelt(v) for v in column.levels[:3])}"
        )
    order = column.levels if column.kind == "level" and column.dtype.kind == "O" else None
    read_end = _level if order else lambda c, v: plain(v, _axis(c.dtype), c.name)
    ends = [None if is_missing(end) else read_end(column, end) for end in (low, high)]
    made = Range(ends[0], ends[1], below, above, order)
    if None not in ends:
        places: list[Any] = [order.index(end) if order else end for end in ends]
        if places[0] > places[1]:
            raise ArgumentError(
                f"given {column.name!r}: the range from {spelt(low)} to {spelt(high)} is empty; "
                "the lower end comes first"
            )
    return made


def _axis(dtype: np.dtype) -> np.dtype:
    """Ends of a range of whole numbers may lie between them."""
    return np.dtype(float) if dtype.kind in "ib" else dtype


def _value(column: Name, value: Any) -> Any:
    if is_missing(value):
        return None
    return (
        _level(column, value) if column.kind == "level" else plain(value, column.dtype, column.name)
    )


def _level(column: Name, value: Any) -> Any:
    place = _place(column, value)
    if place is None:
        known = [_shown(column, level) for level in column.levels]
        few = known if len(known) <= 30 else [*known[:30], "…"]
        raise UnknownName(unknown(f"class of {column.name!r}", spelt(value), known, few))
    return column.levels[place]


def _place(column: Name, value: Any) -> int | None:
    """Where a value is among the levels; written alike is alike."""
    if column.dtype.kind in "mMb":
        try:
            value = plain(value, column.dtype, column.name)
        except ArgumentError:
            return None
    return column.places.get(spelt(value))


def _shown(column: Name, level: Any) -> str:
    if column.dtype.kind in "mM":
        return str(np.int64(level).astype(column.dtype))
    return spelt(level)
