"""Repeatable random numbers for cells: functions of a seed and of what a row holds."""

from __future__ import annotations

import hashlib

import numpy as np

from unfog.kinds.table.cells import Cells, Table

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def row_keys(table: Table, seed: int) -> np.ndarray:
    """(N,) uint64, one per row: of its cells, and of how many equal rows stood before it.

    Equal rows are counted, so that a spike (one value in half of all rows) still spreads over its
    whole interval when the table has no other column to tell its rows apart.
    """
    key = contents(table, seed)
    return _mix(key + _repeats(key) * GOLDEN)


def contents(table: Table, seed: int) -> np.ndarray:
    """(N,) uint64, one per row, of its cells alone: equal for equal rows."""
    key = np.full(len(table), _text(str(seed)), dtype=np.uint64)
    for name in sorted(table.columns):
        cells = table.columns[name]
        code = np.where(cells.present, _codes(cells), np.uint64(1))
        key = _mix(key ^ _mix(code + _text(name)))
    return key


def place_keys(start: int, count: int, seed: int) -> np.ndarray:
    """(count,) uint64, one per place in a stream of samples."""
    places = np.arange(start, start + count, dtype=np.uint64)
    return _mix(_mix(places * GOLDEN) ^ _text(f"place {seed}"))


def uniforms(keys: np.ndarray, what: str) -> np.ndarray:
    """(N,) float64 inside (0, 1), one per key, unrelated for different `what`."""
    bits = _mix(keys ^ _text(what)) >> np.uint64(11)
    return (bits.astype(np.float64) + 0.5) * 2.0**-53


def _codes(cells: Cells) -> np.ndarray:
    """A number per cell that equal cells share; -0.0 and 0.0 are equal."""
    if cells.words is not None:
        words, places = cells.words
        return _codes(Cells(words, np.ones(len(words), dtype=bool)))[places]
    if cells.values.dtype == object:
        known: dict[str, np.uint64] = {}
        for value in cells.values:
            if value not in known:
                known[value] = _text(str(value))
        return np.array([known[value] for value in cells.values], dtype=np.uint64)
    if cells.values.dtype.kind == "f":
        return (cells.values + 0.0).view(np.uint64)
    return cells.values.astype(np.int64).view(np.uint64)


def _repeats(keys: np.ndarray) -> np.ndarray:
    """How many equal keys stand before each."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    fresh = np.ones(len(keys), dtype=bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    first = np.maximum.accumulate(np.where(fresh, np.arange(len(keys)), 0))
    counts = np.empty(len(keys), dtype=np.uint64)
    counts[order] = (np.arange(len(keys)) - first).astype(np.uint64)
    return counts


def _text(text: str) -> np.uint64:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def _mix(bits: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64: every bit of the result depends on every bit given.

    Ref: Steele et al. 2014, Fast splittable pseudorandom number generators.
    """
    bits = np.atleast_1d(bits) + GOLDEN
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
