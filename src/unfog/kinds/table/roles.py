"""Roles: what each column of a table is, so that it is learnt, re-issued or left out rightly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from unfog.errors import ArgumentError, UnknownName
from unfog.kinds.table.cells import Cells, Table
from unfog.kinds.table.levels import MOST
from unfog.registry import unknown

KINDS = (
    "continuous",
    "integer",
    "category",
    "ordinal",
    "boolean",
    "date",
    "duration",
    "identifier",
    "constant",
    "text",
)
FEW = 20  # distinct numbers up to here are levels, if each occurs 3 times on average
MANY = 20  # rows from which on "all distinct" says something
DENSE = 0.5  # share of the numbers between the least and the largest that a running number takes
LONG = 2**53  # whole numbers from here on are names, not measures
KEY_NAME = re.compile(
    r"(^|[\W_])(id|ids|uuid|guid|key|index|idx|no|nr|num|row|rownum|unnamed: \d+)$"
)
KEY_TAIL = re.compile(r"[a-z](ID|Id|UUID|Uuid|Key|No|Nr)$")


@dataclass(frozen=True)
class Role:
    """What a column is.

    Attributes:
        kind: one of KINDS.
        reason: one sentence.
        coded: "number" (Gaussian path), "category" (masking path) or "" (not learnt).
        order: the levels from low to high, if the user named them.
    """

    kind: str
    reason: str
    coded: str
    order: list[Any] | None = None


def infer_roles(table: Table, types: Mapping[str, Any] | None = None) -> dict[str, Role]:
    """Every column's role, in the table's order.

    Args:
        types: column → one of KINDS, where the guess is not wanted; an ordinal column may name its
            levels from low to high: "ordinal:low<middle<high", or {"ordinal": [levels]}.
    Raises: UnknownName for a column or kind that isn't there; ArgumentError for a kind that the
        column's values can't be.
    """
    asked = dict(types or {})
    for name in asked:
        if name not in table.columns:
            raise UnknownName(unknown("column in types", name, table.names))
    return {
        name: declared(name, cells, asked[name]) if name in asked else inferred(name, cells)
        for name, cells in table.columns.items()
    }


def inferred(name: str, cells: Cells) -> Role:
    """The role that the values suggest."""
    values = cells.known()
    if not len(values):
        return Role("constant", "no cell has a value", "")
    distinct = len(_distinct(values))
    if distinct == 1 and cells.present.all():
        return Role("constant", f"every row holds {_shown(values)}", "")
    if values.dtype.kind == "b":
        return Role("boolean", "true or false", "category")
    if values.dtype == object:
        return _strings(name, cells, distinct)
    if distinct == 1:
        return Role(_kind(values), f"{_shown(values)} or missing", "category")
    key = _running(name, cells, distinct)
    if key:
        return Role("identifier", key, "")
    return Role(_kind(values), *_measure(values, distinct))


def declared(name: str, cells: Cells, asked: Any) -> Role:
    """The role that the user asked for. Raises UnknownName or ArgumentError."""
    kind, order = _order(asked)
    if kind not in KINDS:
        raise UnknownName(unknown(f"type for column {name!r}", str(kind), KINDS))
    values = cells.known()
    if not len(values):
        return Role("constant", "no cell has a value", "")
    numeric = values.dtype.kind in "fi"
    whole = numeric and bool((np.mod(values, 1) == 0).all())
    distinct = len(_distinct(values))
    possible = {
        "continuous": numeric,
        "integer": whole,
        "boolean": distinct <= 2,
        "date": values.dtype.kind == "M",
        "duration": values.dtype.kind == "m",
        "identifier": values.dtype.kind in "iO",
        "constant": distinct == 1 and bool(cells.present.all()),
        "text": values.dtype == object,
    }
    if not possible.get(kind, True):
        raise ArgumentError(
            f"column {name!r} can't be of type {kind!r}: it holds {distinct} distinct values of "
            f"type {_word(values)}, such as {_shown(values)}; leave its type out, or choose another"
        )
    if order is not None:
        order = _like(name, order, values)
    coded = "number" if kind in ("continuous", "integer", "date", "duration") else "category"
    if kind in ("identifier", "constant", "text"):
        coded = ""
    return Role(kind, "as asked for", "category" if distinct == 1 and coded else coded, order)


def _strings(name: str, cells: Cells, distinct: int) -> Role:
    """Identifier, text or category."""
    values = cells.known()
    rows, missing = len(values), len(cells) - len(values)
    share = distinct / rows
    spaced = sum(" " in value.strip() for value in values) / rows
    length = sum(map(len, values)) / rows
    prose = spaced > 0.5 and length >= 20 and share > 0.5 and distinct > 2
    if prose and rows >= 5:
        return Role("text", f"{distinct} distinct texts of {length:.0f} characters on average", "")
    named = bool(KEY_NAME.search(name.lower()) or KEY_TAIL.search(name))
    digits = sum(any(c.isdigit() for c in value) for value in values) / rows
    if distinct == rows and spaced < 0.5 and (rows >= MANY or (named and rows > 2)):
        why = "and the name says so" if named else "letters and digits" if digits > 0.5 else "short"
        return Role("identifier", f"all {rows} values are distinct, {why}", "")
    if rows >= MANY and distinct > MOST and share > 0.95 and spaced < 0.5:
        return Role("identifier", f"{distinct} of {rows} values are distinct", "")
    if distinct > MOST:
        return Role(
            "category",
            f"{distinct} levels: the {MOST - 1} most frequent, and one for the rare",
            "category",
        )
    levels = f"{distinct} levels" + (" and missing" if missing else "")
    return Role("category", levels, "category")


def _running(name: str, cells: Cells, distinct: int) -> str:
    """Why a column of whole numbers is a key; empty if it is none."""
    values = cells.known()
    if values.dtype.kind != "i" or distinct < len(values) or len(values) < 3:
        return ""
    low, high = int(values.min()), int(values.max())
    if KEY_NAME.search(name.lower()) or KEY_TAIL.search(name):
        return f"all {distinct} whole numbers are distinct, and the name says so"
    if len(values) < MANY:
        return ""
    if distinct / (high - low + 1) >= DENSE:
        return f"running numbers from {low} to {high}, each at most once"
    if low >= 0 and high >= LONG:
        return f"all distinct whole numbers of up to {len(str(high))} digits"
    return ""


def _measure(values: np.ndarray, distinct: int) -> tuple[str, str]:
    """(reason, coded) of numbers, dates and durations."""
    if distinct <= FEW and len(values) >= 3 * distinct:
        return f"{distinct} distinct values, kept exactly as levels", "category"
    said = [f"{distinct} distinct values"]
    if values.dtype.kind in "fi":
        said += _properties(values.astype(np.float64))
    return ", ".join(said), "number"


def _properties(values: np.ndarray) -> list[str]:
    """What a number's distribution needs to be known for: many zeros, a spike, heavy tails."""
    said = []
    zeros = float((values == 0).mean())
    if zeros >= 0.2:
        said.append(f"zero-inflated ({100 * zeros:.0f} % are 0)")
    rest = values[values != 0] if zeros >= 0.2 else values
    if len(rest) >= MANY:
        rest = rest / np.abs(rest).max()  # differences of huge numbers overflow
        low, middle, high = np.quantile(rest, [0.05, 0.5, 0.95])
        furthest = max(float(rest.max() - middle), float(middle - rest.min()))
        if furthest > 5 * float(high - low):
            said.append("heavy-tailed")
    return said


def _kind(values: np.ndarray) -> str:
    if values.dtype.kind in "mM":
        return {"M": "date", "m": "duration"}[values.dtype.kind]
    whole = values.dtype.kind == "i" or bool((np.mod(values, 1) == 0).all())
    return (
        "integer" if whole and np.abs(values.astype(np.float64)).max() < 2.0**63 else "continuous"
    )


def _distinct(values: np.ndarray) -> Any:
    return set(values) if values.dtype == object else np.unique(values)


def _shown(values: np.ndarray) -> str:
    return repr(str(values[0])) if values.dtype.kind in "OmM" else str(values[0])


def _word(values: np.ndarray) -> str:
    words = {"f": "decimal number", "i": "whole number", "b": "true/false", "M": "date"}
    return words.get(values.dtype.kind, "duration" if values.dtype.kind == "m" else "string")


def _order(asked: Any) -> tuple[Any, list[Any] | None]:
    """(kind, order) of what the user wrote."""
    if isinstance(asked, Mapping) and len(asked) == 1:
        kind, order = next(iter(asked.items()))
        return kind, list(order)
    if isinstance(asked, str) and asked.startswith("ordinal:"):
        return "ordinal", [level.strip() for level in asked.removeprefix("ordinal:").split("<")]
    if isinstance(asked, str) and asked.startswith("date:"):
        return "date", None  # what follows says how its cells are spelt
    return asked, None


def _like(name: str, order: list[Any], values: np.ndarray) -> list[Any]:
    """The named levels in the column's own type, none missing and none twice."""
    read = {"i": int, "f": float}.get(values.dtype.kind, str)
    try:
        order = [read(level) for level in order]
    except ValueError as error:
        raise ArgumentError(
            f"column {name!r} holds {_word(values)}s; its order names {error}"
        ) from error
    lacking = sorted(set(values.tolist()) - set(order))
    if lacking or len(set(order)) < len(order):
        raise ArgumentError(
            f"the order of column {name!r} must name each level once; "
            + (f"it lacks {lacking[0]!r}" if lacking else f"it repeats one: {order}")
        )
    return order
