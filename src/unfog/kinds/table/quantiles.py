"""A column's quantile function in normal scores: pieces of lines, flat where a value repeats."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from unfog.kinds.table.normal import ndtr, ndtri
from unfog.kinds.table.pieces import Walls, cut

FURTHEST = 8.0  # the score of a number behind a wall


@dataclass(frozen=True)
class Quantiles:
    """The monotone map between numbers x and scores z, x = Q(z) with z ~ N(0, 1).

    Piece s runs over scores edges[s] to edges[s+1] and over numbers left[s] to right[s]; it is flat
    for a spike. Between two pieces Q may leap: no number of training lies there.

    Attributes:
        edges: (S+1,) scores.     left, right: (S,) numbers.
        slopes: beyond the first and the last edge, dx/dz, or d log|x - wall| / dz where there is a
            wall; 0 = closed, nothing lies beyond.
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
        as often as exchangeability says. A number that occurs 3 times or more is a spike (among
        whole numbers: if it stands out from those around, or occurs 20 times) and takes its whole
        interval of probabilities; at an end it closes the range. Beyond an open end Q goes on
        with the mean slope of the outer hundredth.

        Args:
            values: (N,) finite numbers, in any order.
            width: 1 for whole numbers, each of which stands for itself ± 1/2; else 0.
            walls: lower and upper wall; a number on a wall closes the range there.
        """
        pieces, slopes = cut(values, width, walls)
        edges = np.concatenate([*(scores[:-1] for scores, _ in pieces), pieces[-1][0][-1:]])
        left = np.concatenate([numbers[:-1] for _, numbers in pieces])
        right = np.concatenate([numbers[1:] for _, numbers in pieces])
        return cls(edges, left, right, slopes, walls)

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
        return x + way if wall is None else wall + (x - wall) * np.exp(-np.abs(way))

    def _outwards(self, x: np.ndarray, end: int) -> tuple[np.ndarray, np.ndarray]:
        """The inverse of `_along`, and whether there is one."""
        start, last = self.edges[-end], (self.left[0], self.right[-1])[end]
        wall, slope = self.walls[end], self.slopes[end]
        if wall is None:
            return start + (x - last) / slope, np.ones(len(x), dtype=bool)
        share = (x - wall) / (last - wall)
        reached = share > 0
        way = np.log(np.where(reached, share, 1)) / slope
        z = start + way if end == 0 else start - way
        furthest = (-FURTHEST, FURTHEST)[end]
        return np.where(reached, z, min(start, furthest) if end == 0 else max(start, furthest)), (
            reached
        )
