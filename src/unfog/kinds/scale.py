"""Standardising: mean 0 and deviation 1 per entry or per channel, fitted on the training items."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

SLAB = 4096  # items looked at together, so that fitting needs no second copy of the data


@dataclass(frozen=True)
class Standard:
    """z = (x - mean) / std; `mean` and `std` are float64 and broadcast against one item."""

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def fit(cls, data: np.ndarray, keep: int = 1) -> Standard:
        """Mean and deviation over all axes of `data` (N, ...) but `keep`.

        NaN entries are left out. A constant has scale 1, so that it comes back exactly. Values are
        divided by
        the largest one before squaring: data near the end of the float range does not overflow.
        """
        axes = tuple(axis for axis in range(data.ndim) if axis != keep % data.ndim)
        if data.ndim == 1:
            axes = (0,)
        shape = tuple(1 if axis in axes else size for axis, size in enumerate(data.shape))[1:]
        low = np.full(shape, np.inf)
        high = np.full(shape, -np.inf)
        for slab in _slabs(data):
            low = np.fmin(low, np.fmin.reduce(slab, axis=axes).reshape(shape))
            high = np.fmax(high, np.fmax.reduce(slab, axis=axes).reshape(shape))
        unit = np.maximum(np.abs(low), np.abs(high))
        unit = np.where(np.isfinite(unit) & (unit > 0), unit, 1.0)
        count, total = np.zeros(shape), np.zeros(shape)
        for slab in _slabs(data):
            count += (~np.isnan(slab)).sum(axis=axes).reshape(shape)
            total += np.nansum(slab / unit, axis=axes).reshape(shape)
        count = np.maximum(count, 1)
        mean = total / count
        spread = np.zeros(shape)
        for slab in _slabs(data):
            spread += np.nansum((slab / unit - mean) ** 2, axis=axes).reshape(shape)
        constant = ~(high > low)
        centre = np.where(constant & np.isfinite(low), low, mean * unit)
        std = np.sqrt(spread / count) * unit
        return cls(mean=centre, std=np.where(constant | (std == 0), 1.0, std))

    def into(self, data: np.ndarray) -> np.ndarray:
        """(B, ...) raw → float32, standardised in float64 first."""
        return ((data.astype(np.float64) - self.mean) / self.std).astype(np.float32)

    def back(self, state: np.ndarray) -> np.ndarray:
        """(B, ...) standardised → float64 raw."""
        return state.astype(np.float64) * self.std + self.mean


def _slabs(data: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(data), SLAB):
        yield data[start : start + SLAB].astype(np.float64)


def to_dtype(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Float64 values in `dtype`: integers rounded and limited to its range, bool above 0.5."""
    if dtype.kind == "b":
        return values > 0.5
    if np.issubdtype(dtype, np.integer):
        info = np.iinfo(dtype)
        high = float(info.max)
        if int(high) > info.max:  # 2^63 and 2^64 are not in their dtype; take the float just below
            high = float(np.nextafter(high, 0))
        return np.clip(np.rint(values), float(info.min), high).astype(dtype)
    return values.astype(dtype)
