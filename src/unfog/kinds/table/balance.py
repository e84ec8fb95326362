"""Balance: how often each class occurs in a column, how many rows each lacks, tables joined."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from unfog.errors import ArgumentError, DataError, UnknownName
from unfog.kinds.fields import spelt
from unfog.kinds.table.cells import Cells, Table
from unfog.registry import unknown

MOST_CLASSES = 50


def class_counts(cells: Cells, name: str) -> dict[Any, int]:
    """class → rows, the commonest first; missing cells belong to none.

    Raises: DataError for fewer than 2 classes, or more than 50, which are a measured quantity.
    """
    counts = dict(sorted(Counter(cells.known().tolist()).items(), key=lambda r: (-r[1], str(r[0]))))
    if len(counts) < 2:
        raise DataError(f"column {name!r} holds {len(counts)} class; augmenting needs at least 2")
    if len(counts) > MOST_CLASSES:
        raise DataError(
            f"column {name!r} has {len(counts)} distinct values, too many to be classes (at most "
            f"{MOST_CLASSES}); add rows of all kinds instead: whole=True, --whole"
        )
    return counts


def lacking(
    counts: dict[Any, int], name: str, ratio: float = 1.0, classes: Sequence[Any] | None = None
) -> dict[Any, int]:
    """class → how many rows bring it to `ratio` times the rows of the commonest class.

    Args:
        counts: class → rows.      ratio: in (0, 1]; 1 makes all classes equally common.
        classes: those to be added to, as they are spelt; all rarer ones where None.
    Returns: only classes that lack rows; {} if none does.
    Raises: ArgumentError for a ratio outside (0, 1]; UnknownName for a class that is not there.
    """
    if not 0 < ratio <= 1:
        raise ArgumentError(
            f"ratio={ratio} of the commonest class; it lies above 0 and is at most 1, which makes "
            "all classes equally common"
        )
    chosen = counts
    if classes is not None:
        by_word = {spelt(value): value for value in counts}
        for word in classes:
            if spelt(word) not in by_word:
                raise UnknownName(unknown(f"class of {name!r}", spelt(word), list(by_word)))
        chosen = {by_word[spelt(word)]: counts[by_word[spelt(word)]] for word in classes}
    goal = math.ceil(ratio * max(counts.values()) - 1e-9)
    return {value: goal - count for value, count in chosen.items() if count < goal}


def rows_of(cells: Cells, value: Any) -> np.ndarray:
    """Positions of the rows that hold this class."""
    return np.flatnonzero(cells.present & (cells.values == value))


def joined(tables: Sequence[Table]) -> Table:
    """The rows of several tables of the same columns and types, one after the other."""
    return Table(
        {
            name: Cells(
                np.concatenate([table.columns[name].values for table in tables]),
                np.concatenate([table.columns[name].present for table in tables]),
            )
            for name in tables[0].columns
        }
    )
