"""A table in memory: named columns, each with its values and which of them are there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from unfog.errors import ShapeError


@dataclass(frozen=True)
class Cells:
    """One column.

    Attributes:
        values: (N,) float64, int64, bool, datetime64[us], timedelta64[us], or object of str. What
            stands where `present` is False means nothing.
        present: (N,) bool; False = a missing cell.
        words: distinct values (W,) and each row's place among them (N,), where they are known, so
            that what depends on a value alone is worked out W times.
    """

    values: np.ndarray
    present: np.ndarray
    words: tuple[np.ndarray, np.ndarray] | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != 1 or self.present.shape != self.values.shape:
            raise ShapeError(
                f"a column is (N,) values and (N,) marks; got {self.values.shape} and "
                f"{self.present.shape}"
            )

    def __len__(self) -> int:
        return len(self.values)

    def take(self, index: np.ndarray | slice) -> Cells:
        """The cells at these positions."""
        words = None if self.words is None else (self.words[0], self.words[1][index])
        return Cells(self.values[index], self.present[index], words)

    def known(self) -> np.ndarray:
        """The values that are there."""
        return self.values[self.present]

    def to_list(self) -> list[Any]:
        """N plain values (str, int, float, bool, datetime, timedelta), None where missing."""
        return [
            value if there else None
            for value, there in zip(self.values.tolist(), self.present.tolist())
        ]


@dataclass(frozen=True)
class Table:
    """N rows of named columns.

    Attributes:
        columns: name -> Cells, all of length N, in the user's order.
    """

    columns: Mapping[str, Cells]

    def __post_init__(self) -> None:
        lengths = {name: len(cells) for name, cells in self.columns.items()}
        if len(set(lengths.values())) != 1:
            raise ShapeError(f"a table needs columns of one length; got {lengths}")

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, index: Any) -> Table:
        """The rows at these positions (a slice, integers or a boolean mask), in this order."""
        if isinstance(index, int | np.integer):
            index = slice(index, index + 1)
        index = index if isinstance(index, slice) else np.asarray(index)
        return Table({name: cells.take(index) for name, cells in self.columns.items()})

    @property
    def names(self) -> list[str]:
        """The columns' names, in order."""
        return list(self.columns)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return len(self), len(self.columns)

    @property
    def nbytes(self) -> int:
        """About how much memory it takes."""
        return sum(c.values.nbytes + c.present.nbytes for c in self.columns.values())

    def keys(self, seed: bytes = b"") -> list[bytes]:
        """16 bytes per row, equal for equal rows (missing cells included) and for no others."""
        digests = [hashlib.blake2b(seed, digest_size=16) for _ in range(len(self))]
        for cells in self.columns.values():
            for digest, part in zip(digests, _bytes(cells)):
                digest.update(part)
        return [digest.digest() for digest in digests]

    def feed(self, digest: Any) -> None:
        """Add names, types and cells to a running hash."""
        for name, cells in self.columns.items():
            digest.update(f"{name}\x00{cells.values.dtype.str}\x00".encode())
            for part in _bytes(cells):
                digest.update(part)


def _bytes(cells: Cells) -> Iterator[bytes]:
    """Every cell as bytes that no other cell of the column shares."""
    if cells.values.dtype == object:
        for value, there in zip(cells.values, cells.present):
            text = str(value).encode() if there else b""
            yield (b"\x01" + len(text).to_bytes(8, "little") + text) if there else b"\x00"
        return
    raw = np.ascontiguousarray(cells.values).view(np.uint8).reshape(len(cells), -1)
    for row, there in zip(raw, cells.present):
        yield b"\x01" + row.tobytes() if there else b"\x00"
