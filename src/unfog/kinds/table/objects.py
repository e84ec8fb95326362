"""Columns of Python values and of ndarrays as typed cells."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np

from unfog.errors import DataError
from unfog.kinds.table.cells import Cells

GONE = {"NoneType", "NAType", "NaTType"}
FAMILIES: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("truth values", (bool, np.bool_)),
    ("numbers", (int, float, np.integer, np.floating, Decimal)),
    ("text", (str,)),
    ("moments", (datetime.datetime, np.datetime64, datetime.date)),
    ("durations", (datetime.timedelta, np.timedelta64)),
)


@dataclass(frozen=True)
class Column:
    """One column as read.

    Attributes:
        cells: its typed cells.      spec: JSON-able; the user's own type of it.
        remarks: sentences to be said about it.
    """

    cells: Cells
    spec: dict[str, Any]
    remarks: list[str] = field(default_factory=list)


def of_array(column: str, values: np.ndarray, present: np.ndarray | None = None) -> Column:
    """A column (N,) of one numpy dtype; NaN and NaT are missing cells besides `present`.

    Raises: DataError for infinite, complex or record values, naming row and column.
    """
    spec: dict[str, Any] = {"dtype": values.dtype.name}
    there = np.ones(len(values), dtype=bool) if present is None else present.copy()
    kind = values.dtype.kind
    if values.ndim != 1:
        raise DataError(f"column {column!r} has the shape {values.shape}; give one value per row")
    if kind == "O":
        return of_objects(column, values.tolist())
    if kind in "US":
        return of_objects(column, values.astype(str).tolist(), spec)
    if kind == "b":
        return Column(Cells(values, there), spec)
    if kind in "iu":
        return _integers(column, values, there, spec)
    if kind == "f":
        there &= ~np.isnan(values)
        check_infinite(column, values, there)
        return Column(Cells(values.astype(np.float64), there), spec)
    if kind in "Mm":
        there &= ~np.isnat(values)
        return _micro(column, values, there, spec)
    raise DataError(f"column {column!r} holds {values.dtype} values, which a table can't learn")


def _integers(column: str, values: np.ndarray, there: np.ndarray, spec: dict[str, Any]) -> Column:
    if values.dtype == np.uint64 and (values[there] > np.iinfo(np.int64).max).any():
        texts = np.array([str(one) for one in values.tolist()], dtype=object)
        return Column(Cells(texts, there), spec, ["integers beyond 64 bits are taken as text"])
    return Column(Cells(values.astype(np.int64), there), spec)


def _micro(column: str, values: np.ndarray, there: np.ndarray, spec: dict[str, Any]) -> Column:
    """Moments or durations, to the microsecond."""
    code = values.dtype.kind
    if code == "m" and np.datetime_data(values.dtype)[0] in ("Y", "M", "generic"):
        raise DataError(f"column {column!r} holds {values.dtype}, which has no fixed length")
    safe = np.where(there, values, np.zeros(1, values.dtype))
    micro = safe.astype(f"{code}8[us]")
    back = micro.astype(values.dtype) == safe
    remarks = []
    if not back.all():
        if np.datetime_data(values.dtype)[0] not in ("ns", "ps", "fs", "as"):
            at = int(np.flatnonzero(~back)[0])
            raise DataError(
                f"row {at + 1} of column {column!r} is {values[at]}, beyond what a moment in "
                "microseconds can hold; correct the cell"
            )
        remarks.append("times are kept to the microsecond")
    return Column(Cells(micro, there), spec, remarks)


def check_infinite(column: str, values: np.ndarray, there: np.ndarray) -> None:
    """Raise DataError with the first row whose number is infinite."""
    bad = there & ~np.isfinite(values)
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"row {at + 1} of column {column!r} is {values[at]}, not a finite number ({bad.sum()} "
            "such cells; rows are counted from 1); make it a missing cell or correct it"
        )


def is_gone(value: Any) -> bool:
    """None, NaN, NaT and pandas' NA."""
    if isinstance(value, float | np.floating):
        return bool(np.isnan(value))
    if isinstance(value, np.datetime64 | np.timedelta64):
        return bool(np.isnat(value))
    return type(value).__name__ in GONE


def of_objects(column: str, values: Sequence[Any], spec: dict[str, Any] | None = None) -> Column:
    """A column of Python values of one family: truth values, numbers, text, moments, durations.

    Raises: DataError naming the row where another family begins, or a value that is none of these.
    """
    there = np.array([not is_gone(value) for value in values], dtype=bool)
    known = [value for value, is_there in zip(values, there) if is_there]
    spec = {"dtype": "object", **(spec or {})}
    if not known:
        empty = np.full(len(values), None, dtype=object)
        return Column(Cells(empty, there), spec, ["no cell is known"])
    family = _family(column, values, there)
    remarks: list[str] = []
    if family == "text":
        filled: np.ndarray = np.array(known, dtype=object)
        filled[:] = [str(one) for one in known]
    elif family == "truth values":
        filled = np.array(known, dtype=bool)
    elif family == "numbers":
        filled, remarks = _numbers(known)
    else:
        filled = _times(column, known, family, spec)
    whole = (
        np.full(len(values), None, object)
        if filled.dtype == object
        else np.zeros(len(values), dtype=filled.dtype)
    )
    whole[there] = filled
    if filled.dtype == np.float64:
        check_infinite(column, whole, there)
    return Column(Cells(whole, there), spec, remarks)


def _family(column: str, values: Sequence[Any], there: np.ndarray) -> str:
    """The one family that all known values belong to."""
    families: dict[type, str | None] = {}
    first: tuple[int, str] | None = None
    for at in np.flatnonzero(there).tolist():
        kind = type(values[at])
        if kind not in families:
            families[kind] = next(
                (name for name, types in FAMILIES if issubclass(kind, types)), None
            )
        family = families[kind]
        if family is None:
            raise DataError(
                f"row {at + 1} of column {column!r} holds a {kind.__name__}; a cell is a number, "
                "text, a truth value, a moment or a duration: spread nested values over columns"
            )
        if first is None:
            first = (at, family)
        elif family != first[1]:
            raise DataError(
                f"column {column!r} mixes types: row {first[0] + 1} is {values[first[0]]!r} "
                f"({first[1]}) and row {at + 1} is {values[at]!r} ({family}); make them one type, "
                f"for example with .astype(str)"
            )
    assert first is not None  # the caller saw a known value
    return first[1]


def _numbers(known: Sequence[Any]) -> tuple[np.ndarray, list[str]]:
    remarks: list[str] = []
    if all(isinstance(one, int | np.integer) for one in known):
        whole = [int(one) for one in known]
        if all(-(2**63) <= one < 2**63 for one in whole):
            return np.array(whole, dtype=np.int64), remarks
        texts = np.empty(len(known), dtype=object)
        texts[:] = [str(one) for one in whole]
        return texts, ["integers beyond 64 bits are taken as text"]
    if any(isinstance(one, Decimal) for one in known):
        remarks.append("decimals became floats")
    return np.array([float(one) for one in known], dtype=np.float64), remarks


def _times(column: str, known: Sequence[Any], family: str, spec: dict[str, Any]) -> np.ndarray:
    if family == "durations":
        return np.array([np.timedelta64(one, "us") for one in known], dtype="timedelta64[us]")
    zoned = [getattr(one, "tzinfo", None) is not None for one in known]
    if any(zoned) and not all(zoned):
        raise DataError(
            f"column {column!r} mixes moments with and without a time zone; give all of them one"
        )
    if all(zoned):
        spec["zone"] = "UTC"
        known = [one.astimezone(datetime.UTC).replace(tzinfo=None) for one in known]
    if all(type(one) is datetime.date for one in known):
        spec["python"] = "date"
    return np.array([np.datetime64(one, "us") for one in known], dtype="datetime64[us]")
