"""A column's quantile function in normal scores: pieces of lines, flat where a value repeats."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtr, ndtri

KNOTS = 1000  # about; more where there are many spikes or leaps
SPIKES = 1000  # most numbers with an interval of their own
REPEATS = 3  # occurrences that make a number a spike
LEAPS = 500  # most empty stretches that the function leaps over
SHARP = 2e-6  # a float32 score's error in a number, as a share of the spread, that is too much
EPS = 2.0**-24  # relative error of rounding to float32
FURTHEST = 8.0  # the score of a number behind a wall

Walls = tuple[float | None, float | None]


@dataclass(frozen=True)
class Quantiles:
    """The monotone map between numbers x and scores z, x = Q(z) with z ~ N(0, 1).

    Piece s runs over scores edges[s] to edges[s+1] and over numbers left[s] to right[s]; it is flat
    for a spike. Between two pieces Q may leap: no number of training lies there.

    Attributes:
        edges: (S+1,) scores.     left, right: (S,) numbers.
        slopes: dx/dz beyond the first and the last edge; 0 = closed, nothing lies beyond.
        walls: numbers that Q comes near beyond an open end and never reaches; None = no wall.
    """

    edges: np.ndarray
    left: np.ndarray
    right: np.ndarray
    slopes: tuple[float, float]
    walls: Walls = (None, None)

    @classmethod
    def fit(
        cls, values: np.ndarray, *, width: float = 0.0, walls: Walls = (None, None)
    ) -> Quantiles:
        """Learn Q from training numbers.

        The i-th of n numbers lies at probability i / (n + 1), so that a new one exceeds them all
        as often as exchangeability says. A number that occurs 3 times or more is a spike and takes
        its whole interval of probabilities; at an end it closes the range. Beyond an open end Q
        goes on with the mean slope of the outer hundredth.

        Args:
            values: (N,) finite numbers, in any order.
            width: 1 for whole numbers, each of which stands for itself ± 1/2; else 0.
            walls: lower and upper wall; a number on a wall closes the range there.
        """
        x, counts = np.unique(values, return_counts=True)
        before = np.cumsum(counts) - counts
        z = ndtri((before + (counts + 1) / 2) / (len(values) + 1))
        bounds = ndtri((np.r_[before, len(values)] + 0.5) / (len(values) + 1))
        spike = _spikes(x, counts, walls)
        unit = max(abs(float(x[0])), abs(float(x[-1])), np.finfo(np.float64).tiny)
        spread = unit * float(np.std(values / unit))  # squares of huge numbers overflow
        sharp = SHARP * np.maximum(spread, np.abs(x - np.median(values)))
        apart = spike[1:] | spike[:-1] | _leaps(x, z, sharp)
        fine = np.minimum(sharp, width / 4) if width else sharp
        wanted = _knots(z, len(values))
        pieces = []
        for a, b in itertools.pairwise(np.flatnonzero(np.r_[True, apart, True])):
            if spike[a]:
                pieces.append((bounds[[a, b]], x[[a, a]]))
            else:
                pieces.append(_run(x, z, bounds, fine, wanted, a, b, width))
        edges = np.concatenate([*(scores[:-1] for scores, _ in pieces), pieces[-1][0][-1:]])
        left = np.concatenate([numbers[:-1] for _, numbers in pieces])
        right = np.concatenate([numbers[1:] for _, numbers in pieces])
        return cls(edges, left, right, _slopes(x, z, spike), walls)

    def into(self, x: np.ndarray, chance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers → scores.

        Args:
            x: (B,).     chance: (B,) uniform draws, which say where within a spike's interval.
        Returns: (B,) float32 scores; (B,) bool, False where Q never takes the number and the
            nearest one that it takes stands for it.
        """
        s = np.clip(np.searchsorted(self.left, x, side="right") - 1, 0, self.pieces - 1)
        after = np.minimum(s + 1, self.pieces - 1)
        beyond = np.where(x < self.left[0], -1, np.where(x > self.right[-1], 1, 0))
        gap = (x > self.right[s]) & (beyond == 0)
        s = np.where(gap & (self.left[after] - x < x - self.right[s]), after, s)
        inside = np.clip(x, self.left[s], self.right[s])
        size = self.right[s] - self.left[s]
        share = (inside - self.left[s]) / np.where(size > 0, size, 1)
        z = self.edges[s] + share * (self.edges[s + 1] - self.edges[s])
        low, high = self._probabilities
        z = np.where(size > 0, z, ndtri(low[s] + chance * (high[s] - low[s])))
        first, last = self._floats
        scores = np.clip(z.astype(np.float32), first[s], last[s])
        taken = ~gap
        for side, end in ((-1, 0), (1, 1)):
            out = beyond == side
            taken[out] = False
            if self.slopes[end] > 0 and out.any():
                z, taken[out] = self._outwards(x[out], end)
                scores[out] = z.astype(np.float32)
        return scores, taken

    def back(self, z: np.ndarray) -> np.ndarray:
        """(B,) scores → numbers, float64."""
        s = self.piece(z)
        size = self.edges[s + 1] - self.edges[s]
        share = np.clip((z - self.edges[s]) / size, 0, 1)
        x = self.left[s] * (1 - share) + self.right[s] * share
        x = np.where(self.left[s] == self.right[s], self.left[s], x)
        for end, beyond in ((0, z < self.edges[0]), (1, z > self.edges[-1])):
            if self.slopes[end] > 0 and beyond.any():
                x[beyond] = self._along(z[beyond], end)
        return x

    def piece(self, z: np.ndarray) -> np.ndarray:
        """(B,) scores → the number of the piece that each falls on."""
        return np.clip(np.searchsorted(self.edges, z, side="right") - 1, 0, self.pieces - 1)

    @property
    def pieces(self) -> int:
        """S."""
        return len(self.left)

    @cached_property
    def flat(self) -> np.ndarray:
        """(S,) bool: the spikes."""
        return self.left == self.right

    @cached_property
    def _probabilities(self) -> tuple[np.ndarray, np.ndarray]:
        """Every piece's interval of probabilities; a closed end reaches to 0 or 1."""
        bounds = ndtr(self.edges)
        if self.slopes[0] == 0:
            bounds[0] = 0
        if self.slopes[1] == 0:
            bounds[-1] = 1
        return bounds[:-1], bounds[1:]

    @cached_property
    def _floats(self) -> tuple[np.ndarray, np.ndarray]:
        """The first and the last float32 of every piece, so that rounding leads to no other."""
        near = self.edges.astype(np.float32)
        up, down = np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(-np.inf))
        first = np.where(near < self.edges, up, near)[:-1]
        last = np.where(near < self.edges, near, down)[1:]
        if self.slopes[0] == 0:
            first[0] = -np.inf
        last[-1] = np.inf if self.slopes[1] == 0 else near[-1]
        return first, np.maximum(last, first)

    def _along(self, z: np.ndarray, end: int) -> np.ndarray:
        """Q beyond an open end: a line, or exponentially towards a wall."""
        start, x = self.edges[-end], (self.left[0], self.right[-1])[end]
        wall, way = self.walls[end], self.slopes[end] * (z - start)
        return x + way if wall is None else wall + (x - wall) * np.exp(way / (x - wall))

    def _outwards(self, x: np.ndarray, end: int) -> tuple[np.ndarray, np.ndarray]:
        """The inverse of `_along`, and whether there is one."""
        start, last = self.edges[-end], (self.left[0], self.right[-1])[end]
        wall, slope = self.walls[end], self.slopes[end]
        if wall is None:
            return start + (x - last) / slope, np.ones(len(x), dtype=bool)
        share = (x - wall) / (last - wall)
        reached = share > 0
        z = start + (last - wall) / slope * np.log(np.where(reached, share, 1))
        furthest = (-FURTHEST, FURTHEST)[end]
        return np.where(reached, z, min(start, furthest) if end == 0 else max(start, furthest)), (
            reached
        )


def _error(z: np.ndarray) -> np.ndarray:
    """About how far a score is off in float32."""
    return EPS * np.maximum(np.abs(z), 0.25)


def _spikes(x: np.ndarray, counts: np.ndarray, walls: Walls) -> np.ndarray:
    """Which numbers have an interval: the most frequent, and ends that repeat or lie on a wall."""
    often = counts >= REPEATS
    if often.sum() > SPIKES:
        often &= counts > np.sort(counts)[-SPIKES - 1]
    for end in (0, -1):
        often[end] |= counts[end] >= REPEATS or x[end] == walls[end]
    return often | (len(x) == 1)


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
    bounds: np.ndarray,
    fine: np.ndarray,
    wanted: np.ndarray,
    a: int,
    b: int,
    width: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Knots (scores, numbers) of the ordinary numbers x[a:b] between two leaps or spikes.

    At a side that is no end of the column it reaches out to the probability that the outermost
    number owns: half-way to its neighbours at most, and no further than float32 keeps it sharp.
    """
    inside = np.r_[a, a + 1 + np.flatnonzero(wanted[a + 1 : b - 1]), b - 1][: b - a]
    scores, numbers = z[inside], x[inside]
    for own, other, bound, way in ((a, a - 1, a, -1), (b - 1, b, b, 1)):
        if not 0 <= other < len(x):
            continue
        room = [
            abs(x[own] - x[other]) / 2,
            fine[own] * abs(bounds[bound] - z[own]) / _error(z[own]),
        ]
        if b - a > 1:
            room.append(abs(x[own] - x[own - way]) / 2)
        reach = x[own] + way * max(width / 2, min(room))
        place = 0 if way < 0 else len(scores)
        scores = np.insert(scores, place, bounds[bound])
        numbers = np.insert(numbers, place, reach)
    return scores, numbers


def _slopes(x: np.ndarray, z: np.ndarray, spike: np.ndarray) -> tuple[float, float]:
    """dx/dz of the lower and the upper end: the secant over the outer hundredth; 0 at a spike."""
    outer = float(ndtri(0.01))
    low = min(max(int(np.searchsorted(z, outer)), 5), len(x) - 1)
    high = max(min(int(np.searchsorted(z, -outer)), len(x) - 6), 0)
    lower = 0.0 if spike[0] else float((x[low] - x[0]) / (z[low] - z[0]))
    upper = 0.0 if spike[-1] else float((x[-1] - x[high]) / (z[-1] - z[high]))
    return lower, upper
