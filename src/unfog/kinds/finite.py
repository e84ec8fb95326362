"""Finite values only: what is NaN or infinite is counted and named."""

from __future__ import annotations

import numpy as np

from unfog.errors import DataError

SLAB = 1024


def check_finite(array: np.ndarray, name: str) -> None:
    """Raise DataError with count and first place if values of `array` (N, ...) aren't finite."""
    if not np.issubdtype(array.dtype, np.floating):
        return
    bad, items, first = 0, 0, None
    for start in range(0, len(array), SLAB):
        wrong = ~np.isfinite(array[start : start + SLAB])
        if not wrong.any():
            continue
        if first is None:
            at = np.argwhere(wrong)[0]
            first = (start + int(at[0]), *(int(i) for i in at[1:]))
        bad += int(wrong.sum())
        items += int(wrong.reshape(len(wrong), -1).any(axis=1).sum())
    if first is None:
        return
    if bad == array.size:
        raise DataError(f"{name}: all values are NaN or infinite; there is nothing to learn from")
    raise DataError(
        f"{name}: {bad} values in {items} of {len(array)} items are NaN or infinite, the first at "
        f"index {first}; remove those items or fill the values in"
    )
