"""Pairwise distances: do columns go together as they do in real rows?"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from unfog.judge.figure import Figure
from unfog.judge.states import np_rng
from unfog.judge.table.case import TableCase, table_metrics
from unfog.judge.table.columns import dealt, mean_figure, resampled, sides
from unfog.judge.table.features import Rows

MOST = 10_000
MOST_PAIRS = 300
BINS = 10
LEVELS = 60  # the rarer levels of a category share one row of the contingency table
DRAWS = 40
NAMED = 5


@dataclass(frozen=True)
class PairDistance:
    """One pair of columns: its distance and the mean for real rows against real rows."""

    first: str
    second: str
    value: float
    floor: float


@dataclass(frozen=True)
class Associations:
    """Pooled rows made ready: ranks of numbers, bins of everything.

    Attributes:
        ranks: (N, P) centred ranks in [-1, 1], 0 where missing.      known: (N, P) 0 or 1.
        bins: (N, P + Q) group numbers.      sizes: how many groups each column has.
        numbers: P.      pairs: which pairs of columns are compared.
    """

    ranks: np.ndarray
    known: np.ndarray
    bins: np.ndarray
    sizes: tuple[int, ...]
    numbers: int
    pairs: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, pooled: Rows, pairs: tuple[tuple[int, int], ...]) -> Associations:
        from scipy.stats import rankdata

        known = ~np.isnan(pooled.numbers)
        ranks = np.zeros(known.shape)
        bins, sizes = [], []
        for j in range(known.shape[1]):
            there = known[:, j]
            if there.any():
                rank = rankdata(pooled.numbers[there, j])
                ranks[there, j] = 2 * (rank - 0.5) / len(rank) - 1
            binned = np.full(len(known), BINS, np.int64)
            binned[there] = ((ranks[there, j] + 1) / 2 * BINS).astype(np.int64).clip(0, BINS - 1)
            bins.append(binned)
            sizes.append(BINS + 1)
        columns = [*bins, *np.minimum(pooled.codes, LEVELS).T]
        return cls(
            ranks,
            known.astype(np.float64),
            np.stack(columns, 1),
            (*sizes, *(min(levels, LEVELS + 1) for levels in pooled.levels)),
            known.shape[1],
            pairs,
        )

    def distances(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(pairs,) in [0, 1] between rows x and y, each given as how often it counts (N,)."""
        gap = np.abs(self._correlations(x) - self._correlations(y)) / 2
        out = np.empty(len(self.pairs))
        for k, (i, j) in enumerate(self.pairs):
            if j < self.numbers:
                out[k] = gap[i, j]
                continue
            size = self.sizes[i] * self.sizes[j]
            cell = self.bins[:, i] * self.sizes[j] + self.bins[:, j]
            p, q = np.bincount(cell, x, size) / x.sum(), np.bincount(cell, y, size) / y.sum()
            out[k] = np.abs(p - q).sum() / 2
        return out

    def _correlations(self, w: np.ndarray) -> np.ndarray:
        """(P, P) rank correlations over rows where both are known; 0 where a column is constant."""
        m, z = self.known, self.ranks
        n = np.maximum(m.T @ (w[:, None] * m), 1e-12)
        a = z.T @ (w[:, None] * m) / n  # mean of the first where both are known
        aa = (z * z).T @ (w[:, None] * m) / n - a**2
        ab = z.T @ (w[:, None] * z) / n - a * a.T
        scale = np.sqrt(np.maximum(aa, 0) * np.maximum(aa.T, 0))
        return np.where(scale > 1e-9, ab / np.maximum(scale, 1e-9), 0.0)


def compared(columns: int, seed: int) -> tuple[tuple[int, int], ...]:
    """All pairs of columns, or 300 of them drawn by the seed."""
    pairs = list(combinations(range(columns), 2))
    if len(pairs) > MOST_PAIRS:
        kept = np_rng(seed, "which pairs").permutation(len(pairs))[:MOST_PAIRS]
        pairs = [pairs[k] for k in sorted(kept)]
    return tuple(pairs)


def pair_distances(x: Rows, y: Rows, pairs: tuple[tuple[int, int], ...]) -> np.ndarray:
    """(pairs,) distances between the associations of two sets of rows.

    Two numbers: half the gap between their rank correlations. Else: total variation of the
    contingency tables, numbers in ten bins of equal count, a missing cell in one of its own,
    levels beyond the 60 commonest together.
    """
    first = np.concatenate([np.ones(len(x)), np.zeros(len(y))])
    return Associations.of(x.with_other(y), pairs).distances(first, 1 - first)


@table_metrics.add("pairs", reference="Spearman 1904", aliases=("pair_trends",))
def pairs_figure(case: TableCase) -> list[Figure]:
    """Mean distance of pairs of columns: rank correlations, contingency tables."""
    samples, real, other, notes = case.equal(MOST)
    n, names = len(samples), samples.names
    if len(names) < 2:
        return []
    pairs = compared(len(names), case.seed)
    if len(pairs) < len(names) * (len(names) - 1) // 2:
        notes = (f"{len(pairs)} pairs of columns, drawn by the seed", *notes)

    def floor() -> np.ndarray:
        ready = Associations.of(real.with_other(other), pairs)
        weights = dealt(n, n, DRAWS, np_rng(case.seed, "pairs floor"))
        return np.array([ready.distances(*sides(w)) for w in weights])

    floors = case.floor(("pairs", n, names), floor)
    value = pair_distances(samples, real, pairs)
    ready = Associations.of(samples.with_other(real), pairs)
    weights = resampled(n, n, DRAWS, np_rng(case.seed, "pairs"))
    again = np.array([ready.distances(*sides(w)).mean() for w in weights])
    found = [
        PairDistance(names[i], names[j], float(value[k]), float(floors[:, k].mean()))
        for k, (i, j) in enumerate(pairs)
    ]
    return [mean_figure("pairs", value, again, floors, n, (_worst(found), *notes), found)]


def _worst(found: list[PairDistance]) -> str:
    far = sorted(found, key=lambda p: p.floor - p.value)[:NAMED]
    named = ", ".join(f"{p.first} and {p.second} ({p.value:.3f}, floor {p.floor:.3f})" for p in far)
    return f"farthest from their floor: {named}"
