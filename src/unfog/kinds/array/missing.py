"""Missing numbers: NaN that stands in every item is a mask, NaN in some is something to learn."""

from __future__ import annotations

import numpy as np

from unfog.errors import DataError

SLAB = 1024


def check_numbers(array: np.ndarray, name: str) -> None:
    """Raise DataError, with count and first place, for infinite values or nothing but NaN."""
    if array.dtype.kind != "f":
        return
    some, bad, first = False, 0, None
    for start in range(0, len(array), SLAB):
        slab = array[start : start + SLAB]
        wrong = np.isinf(slab)
        some = some or bool(np.isfinite(slab).any())
        if wrong.any() and first is None:
            at = np.argwhere(wrong)[0]
            first = (start + int(at[0]), *(int(i) for i in at[1:]))
        bad += int(wrong.sum())
    if not some:
        raise DataError(f"{name}: all values are NaN or infinite; there is nothing to learn from")
    if first is not None:
        raise DataError(
            f"{name}: holds infinite values ({bad}, the first at index {first}); remove those "
            "items, or put NaN there if they are missing"
        )


def always(grid: np.ndarray) -> np.ndarray | None:
    """Where every item of (N, C, *grid) is NaN: bool (C, *grid); None if that is nowhere."""
    if grid.dtype.kind != "f":
        return None
    mask = np.ones(grid.shape[1:], bool)
    for start in range(0, len(grid), SLAB):
        mask &= np.isnan(grid[start : start + SLAB]).all(axis=0)
    return mask if mask.any() else None


def unsure(grid: np.ndarray, notes: list[str]) -> list[int]:
    """The channels of (N, C, *grid) in which entries are missing in some items but not in all.

    What is missing, and how often, goes into `notes`.
    """
    if grid.dtype.kind != "f":
        return []
    counts = np.zeros(grid.shape[1:], np.int64)
    for start in range(0, len(grid), SLAB):
        counts += np.isnan(grid[start : start + SLAB]).sum(axis=0)
    never, gone = counts == 0, counts == len(grid)
    if gone.any():
        notes.append(
            f"{int(gone.sum())} of {counts.size} entries are missing (NaN) in every item; they "
            "stay missing in every sample"
        )
    holes = ~(never | gone)
    if not holes.any():
        return []
    missing = int(counts[holes].sum())
    share = 100 * missing / (len(grid) * int(holes.sum()))
    notes.append(
        f"{missing} values in {int(holes.sum())} of {counts.size} entries are missing (NaN), "
        f"{share:.3g} % of these entries; that they are missing is learnt, and samples have NaN as "
        "often"
    )
    return [int(c) for c in np.flatnonzero(holes.reshape(len(holes), -1).any(axis=1))]
