"""Lines: the factor and constant that turn one column into another, rounding included."""

from __future__ import annotations

import math

import numpy as np

from unfog.kinds.table.rounding import CLOSE, SINGLE, Rounding

ENDS = 150  # points at either end that narrow the factor down


def affine(
    x: np.ndarray, y: np.ndarray, rounding: Rounding, whole: bool = False
) -> tuple[float, float] | None:
    """(factor, constant), as few digits as will do, with y = rounded(factor x + constant) in every
    row; None where there are none.

    Two rows at x and x' > x leave the factor between (y' - y ± 2 h) / (x' - x), where h is half of
    the last digit; all pairs together leave exactly what some constant goes with.

    Args:
        x, y: (N,) finite numbers.     whole: whether the factor has to be 1, as between dates.
    """
    if not len(x) or not np.ptp(x) > 0:
        return None
    close = (SINGLE if rounding.single else CLOSE) * 0.5 * float(np.abs(y).max() or 1.0)
    half = 0.5 * rounding.unit
    # a line without rounding is better than one with, and that better than one with fives, which
    # may be rounded down or up
    sizes = [close] if not half else [min(close, half / 10), half * (1 - 1e-7), half * (1 + 5e-7)]
    found = (_line(x, y, size, whole) for size in sizes)
    return next((line for line in found if line is not None), None)


def _line(x: np.ndarray, y: np.ndarray, half: float, whole: bool) -> tuple[float, float] | None:
    """A line that misses no row by more than `half`."""
    low, high = int(x.argmin()), int(x.argmax())
    reach = float(x[high] - x[low])
    if not np.isfinite(reach):
        return None
    steep = float(y[high] - y[low]) / reach
    if np.abs(y - y[low] - steep * (x - x[low])).max() > 4 * half * (1 + 1e-6):
        return None
    if whole:
        factors = [1.0]
    else:
        bounds = _factors(x, y, half)
        if bounds is None:
            return None
        factors = _candidates(*bounds)
        scale = _through_zero(x, y, half)
        factors = factors if scale is None else [*_candidates(*scale), *factors]
    for factor in factors:
        rest = y - factor * x
        least, most = float(rest.max()) - half, float(rest.min()) + half
        if factor and least <= most:
            return factor, simplest(least, most)
    return None


def _factors(x: np.ndarray, y: np.ndarray, half: float) -> tuple[float, float] | None:
    """The range that pairs of far points leave for the factor."""
    order = np.argsort(x, kind="stable")
    left, right = order[:ENDS], order[-ENDS:]
    dx = x[right][:, None] - x[left][None, :]
    dy = y[right][:, None] - y[left][None, :]
    apart = dx > 0
    lows, highs = (dy[apart] - 2 * half) / dx[apart], (dy[apart] + 2 * half) / dx[apart]
    low, high = float(lows.max()), float(highs.min())
    return (low, high) if low <= high else None


def _through_zero(x: np.ndarray, y: np.ndarray, half: float) -> tuple[float, float] | None:
    """The range of factors for which no constant is needed; None where it is."""
    there = x != 0
    x, y = x[there], y[there]
    with np.errstate(over="ignore"):
        ends = np.stack([(y - half) / x, (y + half) / x])
    low, high = float(ends.min(0).max()), float(ends.max(0).min())
    return (low, high) if low <= high else None


def _candidates(low: float, high: float) -> list[float]:
    """Factors in a range: a short decimal, one divided by a short decimal, the middle."""
    found = [simplest(low, high)]
    if low * high > 0:
        divisor = simplest(1 / high, 1 / low)
        if _digits(divisor) < _digits(found[0]):
            found.insert(0, 1 / divisor)
        else:
            found.append(1 / divisor)
    return [*found, (low + high) / 2]


def simplest(low: float, high: float) -> float:
    """The number of the fewest decimals in [low, high]; 0 if it is inside."""
    if low <= 0 <= high:
        return 0.0
    size = max(abs(low), abs(high))
    first = -math.floor(math.log10(size))
    for decimals in range(first, first + 17):
        scale = 10.0**decimals
        nearest = math.ceil(low * scale) if low > 0 else math.floor(high * scale)
        # a power of ten below 1 is not exact, so whole powers divide
        value = nearest / scale if decimals >= 0 else float(nearest * 10**-decimals)
        if low <= value <= high:
            return value
    return (low + high) / 2


def _digits(value: float) -> int:
    return len(f"{abs(value):.12g}".replace(".", "").strip("0"))
