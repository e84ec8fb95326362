"""Lattices: the evenly spaced numbers that a column keeps to, as whole cents or hours do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MOST_DECIMALS = 6
ENOUGH = 10  # distinct values before their common divisor is believed to be a rule
EXACT = 2.0**53  # whole numbers up to here are exact in float64
INT64 = np.iinfo(np.int64)
CLOCK = (86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000, 1_000, 1)  # microseconds


@dataclass(frozen=True)
class Lattice:
    """value = (base + step k) / 10^decimals with k a whole number.

    Attributes:
        base: where k is 0, in the middle of the training values, so that k fits int64.
        step: the distance of neighbours, in units of the last decimal (dates: microseconds).
        decimals: 0 for integers and dates.
    """

    base: int
    step: int
    decimals: int = 0

    @classmethod
    def find(cls, values: np.ndarray) -> Lattice | None:
        """The coarsest lattice that all values keep to; None for floats that keep to none.

        Whole numbers, dates and durations always keep to one. A float column keeps to one if all
        values are whole after a shift by at most 6 decimals.
        """
        decimals = 0
        if values.dtype.kind == "f":
            found = _decimals(values)
            if found is None:
                return None
            decimals = found
            units = np.unique(np.rint(values * 10.0**decimals).astype(np.int64))
        else:
            units = np.unique(values.astype(np.int64))
        step = _step(units, dated=values.dtype.kind == "M")
        low, high = int(units[0]), int(units[-1])
        return cls(low + step * ((high - low) // step // 2), step, decimals)

    def into(self, values: np.ndarray) -> np.ndarray:
        """Values → k, int64; what lies between two neighbours goes to the nearer one."""
        if values.dtype.kind == "f":
            units = np.rint(np.clip(values * 10.0**self.decimals, -EXACT, EXACT)).astype(np.int64)
        else:
            units = values.astype(np.int64)
        away = np.clip(units, INT64.min + max(self.base, 0), INT64.max + min(self.base, 0))
        away = away - self.base
        whole, rest = np.divmod(away, self.step)
        return whole + (rest > self.step // 2)

    def back(self, k: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """k, int64 → values of this dtype, limited to what int64 holds."""
        lowest = -((self.base - INT64.min - 1) // self.step)
        highest = (INT64.max - self.base) // self.step
        units = self.base + self.step * np.clip(k, max(lowest, INT64.min), min(highest, INT64.max))
        return units / 10.0**self.decimals if dtype.kind == "f" else units.astype(dtype)

    def zero(self) -> float:
        """Where the value 0 lies, in k."""
        return -self.base / self.step


def _decimals(values: np.ndarray) -> int | None:
    for decimals in range(MOST_DECIMALS + 1):
        if np.abs(values).max() * 10.0**decimals >= EXACT:
            return None
        if (np.round(values, decimals) == values).all():
            return decimals
    return None


def _step(units: np.ndarray, dated: bool) -> int:
    """The greatest common divisor of the distances if there are enough of them, else 1 (dates: the
    largest unit of the clock that all fall on).
    """
    natural = next(part for part in CLOCK if (units % part == 0).all()) if dated else 1
    if len(units) < ENOUGH:
        return natural
    gaps = np.diff(units.view(np.uint64))  # modulo 2^64, so that no distance overflows
    return int(np.gcd.reduce(gaps))
