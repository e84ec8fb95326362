"""Cutting a quantile function into pieces: where numbers repeat, and where none lie."""

from __future__ import annotations

import itertools

import numpy as np

from unfog.kinds.table.normal import ndtri

KNOTS = 1000  # about; more where there are many spikes or leaps
SPIKES = 1000  # most numbers with an interval of their own
LOAN = 0.5  # occurrences that two neighbouring spikes lend to what lies between them
MARGIN = 1e-6  # of the distance of two spikes, kept off each, where there are no steps
FAR = 10.0  # distances between its outermost numbers that a run may reach out
REPEATS = 3  # least occurrences that make a number a spike
PLENTY = 20  # occurrences that do in a crowd too: each share is known well enough
LEAPS = 500  # most empty stretches that the function leaps over
SHARP = 2e-6  # a float32 score's error in a number, as a share of the spread, that is too much
EPS = 2.0**-24  # relative error of rounding to float32

Walls = tuple[float | None, float | None]
Piece = tuple[np.ndarray, np.ndarray]


def cut(values: np.ndarray, width: float, walls: Walls) -> tuple[list[Piece], tuple[float, float]]:
    """Training numbers → pieces that tile the scores, each (scores, numbers) of its knots, in
    order; and the slopes beyond the ends. `Quantiles.fit` says what they mean.
    """
    x, counts = np.unique(values, return_counts=True)
    before = np.cumsum(counts) - counts
    z = ndtri((before + (counts + 1) / 2) / (len(values) + 1))
    spike = _spikes(x, counts, walls, width)
    unit = max(abs(float(x[0])), abs(float(x[-1])), np.finfo(np.float64).tiny)
    spread = unit * float(np.std(values / unit))  # squares of huge numbers overflow
    sharp = SHARP * np.maximum(spread, np.abs(x - np.median(values)))
    apart = spike[1:] | spike[:-1] | _leaps(x, z, sharp)
    fine = np.minimum(sharp, width / 4) if width else sharp
    wanted = _knots(z, len(values))
    lent = _lent(x, counts, spike, width)
    low = ndtri((before + 0.5 + lent[:-1]) / (len(values) + 1))
    high = ndtri((before + counts + 0.5 - lent[1:]) / (len(values) + 1))
    pieces = []
    for a, b in itertools.pairwise(np.flatnonzero(np.r_[True, apart, True]).tolist()):
        if spike[a]:
            pieces.append((np.array([low[a], high[a]]), x[[a, a]]))
        else:
            pieces.append(_run(x, z, low, high, spike, fine, wanted, a, b, width))
        if lent[b] > 0:
            margin = max(width / 2, MARGIN * (x[b] - x[a]))
            pieces.append((np.array([high[a], low[b]]), np.array([x[a] + margin, x[b] - margin])))
    return pieces, _slopes(x, z, spike, walls)


def _error(z: np.ndarray) -> np.ndarray:
    """About how far a score is off in float32."""
    return EPS * np.maximum(np.abs(z), 0.25)


def _spikes(x: np.ndarray, counts: np.ndarray, walls: Walls, width: float) -> np.ndarray:
    """Which numbers have an interval of their own: those that occur often for where they lie, and
    ends that repeat or lie on a wall.
    """
    often = counts >= REPEATS
    if width:
        crowd = _crowd(x, counts, width)
        often &= (counts >= PLENTY) | (counts > crowd + 4 * np.sqrt(crowd) + 1)
    if often.sum() > SPIKES:
        often &= counts > np.sort(counts)[-SPIKES - 1]
    for end in (0, -1):
        often[end] |= counts[end] >= REPEATS or x[end] == walls[end]
    return often | (len(x) == 1)


def _lent(x: np.ndarray, counts: np.ndarray, spike: np.ndarray, width: float) -> np.ndarray:
    """(M+1,) what a spike lends of its occurrences to the gap below it (entry i) and above (i + 1),
    where the next number is a spike too: half of LOAN at most.

    All loans together are at most the numbers that occurred once, since their share is how often
    a new number is one that was never seen: none where every number repeats.
    Ref: Good 1953, The population frequencies of species, eq. 9.
    """
    lent = np.zeros(len(x) + 1)
    gaps = spike[1:] & spike[:-1] & (np.diff(x) >= 2 * width) & (np.diff(x) > 0)
    if gaps.any():
        share = min(LOAN, (counts == 1).sum() / gaps.sum())
        lent[1:-1] = np.where(gaps, share / 2 if share > 1e-3 else 0, 0)
    return lent


def _crowd(x: np.ndarray, counts: np.ndarray, width: float) -> np.ndarray:
    """(M,) how often a whole number occurs on average among the 5 on either side of each, none
    counted for more than the one in the middle, so that spikes don't hide what is near them.
    """
    total = np.zeros(len(x))
    for shift in range(1, min(5, len(x) - 1) + 1):
        total[shift:] += np.minimum(counts[:-shift], counts[shift:])
        total[:-shift] += np.minimum(counts[:-shift], counts[shift:])
    low = x[np.maximum(np.arange(len(x)) - 5, 0)]
    high = x[np.minimum(np.arange(len(x)) + 5, len(x) - 1)]
    return total / np.maximum((high - low) / width, 1)


def _leaps(x: np.ndarray, z: np.ndarray, sharp: np.ndarray) -> np.ndarray:
    """(M-1,) bool: stretches so steep that a float32 score would blur the numbers beside them."""
    blur = np.diff(x) / np.diff(z) * np.maximum(_error(z[1:]), _error(z[:-1]))
    excess = blur / np.minimum(sharp[1:], sharp[:-1]) if len(x) > 1 else blur
    leap = excess > 1
    if leap.sum() > LEAPS:
        leap &= excess > np.sort(excess)[-LEAPS - 1]
    return leap


def _knots(z: np.ndarray, n: int) -> np.ndarray:
    """(M,) bool: numbers to keep: evenly in probability, evenly in score, and the outermost."""
    if len(z) <= KNOTS:
        return np.ones(len(z), dtype=bool)
    wanted = np.zeros(len(z), dtype=bool)
    even = np.r_[
        ndtri(np.linspace(0, 1, 4 * KNOTS // 5)[1:-1]), np.linspace(z[0], z[-1], KNOTS // 5)
    ]
    wanted[np.minimum(np.searchsorted(z, even), len(z) - 1)] = True
    wanted[:10] = wanted[-10:] = True
    return wanted


def _run(
    x: np.ndarray,
    z: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    spike: np.ndarray,
    fine: np.ndarray,
    wanted: np.ndarray,
    a: int,
    b: int,
    width: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Knots (scores, numbers) of the ordinary numbers x[a:b] between two leaps or spikes.

    At a side that is no end of the column it reaches out to the probability that the outermost
    number owns: to the spike or half-way to the next run at most, not much further than to its
    own next number, and no further than float32 keeps it sharp.
    """
    inside = np.r_[a, a + 1 + np.flatnonzero(wanted[a + 1 : b - 1]), b - 1][: b - a]
    scores, numbers = z[inside], x[inside]
    for own, other, bound, way in ((a, a - 1, low[a], -1), (b - 1, b, high[b - 1], 1)):
        if not 0 <= other < len(x):
            continue
        gap = abs(x[own] - x[other])
        share = gap - max(width / 2, MARGIN * gap) if spike[other] else gap / 2
        room = [share, fine[own] * abs(bound - z[own]) / _error(z[own])]
        if b - a > 1:
            room.append(FAR * abs(x[own] - x[own - way]))
        reach = x[own] + way * max(width / 2, min(room))
        place = 0 if way < 0 else len(scores)
        scores = np.insert(scores, place, bound)
        numbers = np.insert(numbers, place, reach)
    return scores, numbers


def _slopes(x: np.ndarray, z: np.ndarray, spike: np.ndarray, walls: Walls) -> tuple[float, float]:
    """The secant over the outer hundredth (5 numbers at least) of either end; 0 at a spike."""
    outer = float(ndtri(0.01))
    low = min(max(int(np.searchsorted(z, outer)), 5), len(x) - 1)
    high = max(min(int(np.searchsorted(z, -outer)), len(x) - 6), 0)
    slopes = [0.0, 0.0]
    for end, (a, b) in enumerate(((0, low), (high, len(x) - 1))):
        if not spike[-end]:
            wall = walls[end]
            q = x[[a, b]] if wall is None else np.log(np.abs(x[[a, b]] - wall))
            slopes[end] = float(abs(q[1] - q[0]) / (z[b] - z[a]))
    return slopes[0], slopes[1]
