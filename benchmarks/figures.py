"""From records to figures: choosing, medians, spreads."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

Record = dict[str, Any]


def chosen(records: Iterable[Record], contestant: str = "", **key: Any) -> list[Record]:
    """The records of a contestant (all where empty) whose key has these values; failed ones too."""
    return [
        record
        for record in records
        if contestant in ("", record["contestant"])
        and all(record["key"].get(name) == value for name, value in key.items())
    ]


def values(records: Iterable[Record], figure: str) -> list[float]:
    return [float(r[figure]) for r in records if r.get(figure) is not None]


def median(records: Iterable[Record], figure: str) -> float | None:
    found = values(records, figure)
    return statistics.median(found) if found else None


def said(numbers: list[float], digits: int = 3) -> str:
    """The median, with the least and the largest where there are several."""
    if not numbers:
        return "–"
    middle, low, high = (
        f"{value:.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"
        for value in (statistics.median(numbers), min(numbers), max(numbers))
    )
    return middle if len(numbers) == 1 else f"{middle} ({low} to {high})"


def ordered(records: Iterable[Record], name: str) -> list[Any]:
    """The values of one part of the key, in the order in which they came."""
    return list(dict.fromkeys(r["key"][name] for r in records if name in r["key"]))


def contestants(records: Iterable[Record]) -> list[str]:
    return list(dict.fromkeys(r["contestant"] for r in records))


def markdown(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"
