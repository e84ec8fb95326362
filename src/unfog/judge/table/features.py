"""What the judge sees of a table: numbers with NaN for missing cells, and codes of categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from unfog.errors import ArgumentError, DataError, ShapeError
from unfog.kinds.table.cells import Cells, Table

ROLES = ("number", "category", "date", "skip")
MISSING = 0  # the code of a missing category
MOST_LEVELS = 254  # what a boosted tree takes; rarer levels share the last code


@dataclass(frozen=True)
class Rows:
    """N rows as the judge compares them.

    Attributes:
        number_names, numbers: P names and (N, P) float64, NaN = missing; dates in seconds.
        category_names, codes: Q names and (N, Q) int64, 0 = missing.
        levels: how many codes each category column has, the missing one included.
    """

    number_names: tuple[str, ...]
    category_names: tuple[str, ...]
    numbers: np.ndarray
    codes: np.ndarray
    levels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: np.ndarray | slice) -> Rows:
        return replace(self, numbers=self.numbers[index], codes=self.codes[index])

    @property
    def names(self) -> tuple[str, ...]:
        """Numbers first, categories after them."""
        return self.number_names + self.category_names

    def with_other(self, other: Rows) -> Rows:
        """The rows of both, one after the other."""
        return replace(
            self,
            numbers=np.concatenate([self.numbers, other.numbers]),
            codes=np.concatenate([self.codes, other.codes]),
        )

    def column(self, name: str) -> np.ndarray:
        """One column's numbers or codes (N,)."""
        if name in self.number_names:
            return self.numbers[:, self.number_names.index(name)]
        return self.codes[:, self.category_names.index(name)]

    def keys(self) -> list[bytes]:
        """One key per row, equal for rows that are equal in every compared column."""
        numbers = np.where(np.isnan(self.numbers), np.nan, self.numbers) + 0.0  # one NaN, one zero
        raw = np.concatenate([numbers.view(np.int64), self.codes], 1)
        return [row.tobytes() for row in raw]

    def matrix(self, without: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """What boosted trees learn from: (N, P + Q) float64 and which columns are categories.

        Levels beyond the 254 of the smallest codes share one; codes are given by frequency.
        """
        codes = np.minimum(self.codes, MOST_LEVELS)
        kept = [name != without for name in self.names]
        marks = [name in self.category_names for name in self.names]
        both = np.concatenate([self.numbers, codes], 1)
        return both[:, kept], np.array(marks)[kept]


def roles_of(train: Table, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Every column's role: what `given` says, else what its type suggests.

    Numbers and durations are numbers, booleans and words are categories. Left out ("skip") are
    constants, running integers, and words of which more than a fifth of the rows has its own.

    Raises: ArgumentError for a role or a column that is not known.
    """
    given = dict(given or {})
    for name, role in given.items():
        if name not in train.columns:
            raise ArgumentError(f"a role for column {name!r}; the table has {train.names}")
        if role not in ROLES:
            raise ArgumentError(f"column {name!r} has role {role!r}; allowed: {', '.join(ROLES)}")
    return {name: given.get(name) or _suggested(cells) for name, cells in train.columns.items()}


def _suggested(cells: Cells) -> str:
    known, dtype = cells.known(), cells.values.dtype
    distinct = len(set(known.tolist()))
    if distinct < 2:
        return "skip" if len(known) in (0, len(cells)) else "category"
    if dtype.kind == "O":
        return "skip" if distinct > max(20, len(cells) / 5) else "category"
    if dtype.kind == "b":
        return "category"
    if dtype.kind == "M":
        return "date"
    if dtype.kind == "i" and distinct == len(cells) > 20 and np.ptp(known) < 2 * distinct:
        return "skip"
    return "number"


def encode(tables: Sequence[Table], roles: Mapping[str, str]) -> list[Rows]:
    """Several tables in one coding, the first one's levels by falling frequency first.

    Raises: ShapeError for a table that lacks a column; DataError for words in a number column.
    """
    for table in tables:
        lacking = [name for name, role in roles.items() if role != "skip"]
        lacking = [name for name in lacking if name not in table.columns]
        if lacking:
            raise ShapeError(f"a table lacks the columns {lacking}; it has {table.names}")
    numbers = tuple(name for name, role in roles.items() if role in ("number", "date"))
    categories = tuple(name for name, role in roles.items() if role == "category")
    coded, levels = {}, []
    for name in categories:
        coded[name], count = _codes([table.columns[name] for table in tables])
        levels.append(count)
    out = []
    for k, table in enumerate(tables):
        wide = np.empty((len(table), len(numbers)))
        codes = np.empty((len(table), len(categories)), np.int64)
        for j, name in enumerate(numbers):
            wide[:, j] = number(name, table.columns[name])
        for j, name in enumerate(categories):
            codes[:, j] = coded[name][k]
        out.append(Rows(numbers, categories, wide, codes, tuple(levels)))
    return out


def number(name: str, cells: Cells) -> np.ndarray:
    """A column as float64 (N,), NaN = missing; dates and durations in seconds."""
    values = cells.values
    if values.dtype.kind == "O":
        raise DataError(f"column {name!r} holds words; it can't be judged as a number")
    if values.dtype.kind in "mM":
        values = values.astype(np.int64) / 1e6
    return np.where(cells.present, values.astype(np.float64), np.nan)


def words(cells: Cells) -> list[str | None]:
    """A column's categories as words, None = missing; 1 and 1.0 are one category."""
    values = cells.values
    if values.dtype.kind == "f":
        whole = cells.known()
        if bool((whole == np.round(whole)).all()):
            values = np.where(cells.present, values, 0).astype(np.int64)
    return [
        str(value) if there else None
        for value, there in zip(values.tolist(), cells.present.tolist())
    ]


def _codes(parts: list[Cells]) -> tuple[list[np.ndarray], int]:
    """Codes of one column in several tables, and how many there are with 0, the missing one."""
    worded = [words(cells) for cells in parts]
    counts: dict[str, int] = {}
    for word in worded[0]:
        if word is not None:
            counts[word] = counts.get(word, 0) + 1
    code: dict[str | None, int] = {None: MISSING}
    for word in sorted(counts, key=lambda w: (-counts[w], w)):
        code[word] = len(code)
    for column in worded[1:]:  # levels that only the others have
        for word in column:
            code.setdefault(word, len(code))
    return [np.array([code[w] for w in column], np.int64) for column in worded], len(code)
