"""The distinct words of a column of text: what types are guessed from, instead of every cell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unfog.errors import DataError

LABELS = frozenset({"category", "ordinal", "identifier", "text", "constant"})
NUMBERS = frozenset({"continuous", "integer"})
DATES = frozenset({"date", "date:day-first", "date:month-first"})
ALMOST = 0.99  # from this share of numbers on, what isn't one is taken for a mistake


@dataclass(frozen=True)
class Words:
    """The distinct known values of one column.

    Attributes:
        column: its name.      trimmed: pyarrow array of W strings without spaces around them.
        counts: (W,) how many cells hold each.      rows: (W,) the first row that does.
        delimiter: what separates the file's cells.
        said: the user's own word for the column's type, or None.
    """

    column: str
    trimmed: Any
    counts: np.ndarray
    rows: np.ndarray
    delimiter: str
    said: str | None

    @property
    def labels(self) -> bool:
        """Whether the user said that they are words, whatever they look like."""
        return self.said in LABELS

    def match(self, pattern: str) -> np.ndarray:
        """(W,) bool: which words match a regular expression somewhere."""
        import pyarrow.compute as pc

        found = pc.match_substring_regex(self.trimmed, pattern)
        return found.to_numpy(zero_copy_only=False).astype(bool)

    def share(self, good: np.ndarray) -> float:
        """The share of known cells that hold these words."""
        return float(self.counts[good].sum() / self.counts.sum())

    def refuse(self, bad: np.ndarray, what: str, fix: str = "correct the cell") -> DataError:
        """The error for the first row with a bad word."""
        if self.said is None:
            fix += (
                f", or declare the column: types={{{self.column!r}: 'category'}}, "
                f"--types {self.column}=category"
            )
        at = np.flatnonzero(bad)[np.argmin(self.rows[bad])]
        return DataError(
            f"row {self.rows[at] + 1} of column {self.column!r} is "
            f"{self.trimmed[int(at)].as_py()!r} {what} (rows are counted from 1 below the "
            f"names); {fix}"
        )


@dataclass(frozen=True)
class Reading:
    """Words as values."""

    values: np.ndarray
    spelling: dict[str, Any]
    remarks: list[str] = field(default_factory=list)
