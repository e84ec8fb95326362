"""Per-column distances: does each column by itself look like the real one?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from unfog.judge import bootstrap
from unfog.judge.figure import Figure
from unfog.judge.states import np_rng
from unfog.judge.table.case import TableCase, table_metrics
from unfog.judge.table.features import Rows

MOST = 20_000
DRAWS = 100


@dataclass(frozen=True)
class ColumnDistance:
    """One column's distance beside its floor.

    Attributes:
        kind: "number" (Kolmogorov-Smirnov) or "category" (total variation).
        value: in [0, 1], samples against held-out rows.
        floor, floor_high: mean and 97.5 % quantile for real rows against real rows at the same n.
        within_twice: value <= 2 floor.
    """

    name: str
    kind: str
    value: float
    floor: float
    floor_high: float
    within_twice: bool


@dataclass(frozen=True)
class Ranked:
    """A column of pooled rows as group numbers: equal values, one group, ascending.

    Attributes: code (N,); groups without the missing one, which is the last; ordered or not.
    """

    code: np.ndarray
    groups: int
    ordered: bool

    @classmethod
    def of(cls, pooled: Rows, name: str) -> Ranked:
        column = pooled.column(name)
        if name in pooled.category_names:
            return cls(column, int(column.max(initial=0)) + 1, False)
        known = ~np.isnan(column)
        values, inverse = np.unique(column[known], return_inverse=True)
        code = np.full(len(column), len(values), np.int64)
        code[known] = inverse
        return cls(code, len(values), True)

    def distance(self, x: np.ndarray, y: np.ndarray) -> float:
        """Between rows x and y, each given as how often it counts (N,)."""
        size = self.groups + 1
        p = np.bincount(self.code, x, size) / x.sum()
        q = np.bincount(self.code, y, size) / y.sum()
        if not self.ordered:
            return float(np.abs(p - q).sum() / 2)
        missing = abs(p[-1] - q[-1])
        p, q = p[:-1], q[:-1]
        if p.sum() == 0 or q.sum() == 0:  # nothing known on a side: only the gap in the rates
            return float(missing)
        gap = np.abs(np.cumsum(p) / p.sum() - np.cumsum(q) / q.sum()).max()
        return float(max(gap, missing))


def distances(
    samples: Rows, real: Rows, other: Rows, *, seed: int = 0, draws: int = DRAWS
) -> list[ColumnDistance]:
    """Every column's distance of `samples` to `real`, with what real rows score.

    Numbers: the larger of the Kolmogorov-Smirnov distance of the known values and the gap between
    the rates of missing cells. Categories: total variation, a missing cell being one more level.
    The floor deals the pooled real rows (`real` and `other`) into two sets of n, `draws` times.

    Args:
        samples, real, other: n rows each, in one coding; `other` are training rows.
    Ref: Smirnov 1948; Levin, Peres and Wilmer 2009, section 4.1 (total variation).
    """
    value = _distances(samples, real, _own(len(samples), len(real)))[0]
    return _beside(samples, value, real_floor(real, other, seed=seed, draws=draws))


def _beside(rows: Rows, value: np.ndarray, floors: np.ndarray) -> list[ColumnDistance]:
    """Values (columns,) beside floors (draws, columns)."""
    means, highs = floors.mean(0), np.quantile(floors, 0.975, axis=0)
    return [
        ColumnDistance(
            name=name,
            kind="number" if name in rows.number_names else "category",
            value=float(value[k]),
            floor=float(means[k]),
            floor_high=float(highs[k]),
            within_twice=bool(value[k] <= 2 * means[k]),
        )
        for k, name in enumerate(rows.names)
    ]


def real_floor(real: Rows, other: Rows, *, seed: int, draws: int = DRAWS) -> np.ndarray:
    """(draws, columns): distances of two sets of real rows of n, dealt from all of them."""
    return _distances(real, other, dealt(len(real), len(other), draws, np_rng(seed, "floor")))


def dealt(n: int, m: int, draws: int, rng: np.random.Generator) -> list[np.ndarray]:
    """`draws` times: which of n + m pooled rows are on the first side, (n + m,) of 0 and 1."""
    first = np.concatenate([np.ones(n), np.zeros(m)])
    return [rng.permutation(first) for _ in range(draws)]


def resampled(n: int, m: int, draws: int, rng: np.random.Generator) -> list[np.ndarray]:
    """`draws` bootstraps: how often each of n rows counts (positive), and of m rows (negative)."""
    return [
        np.concatenate(
            [
                np.bincount(rng.integers(n, size=n), minlength=n),
                -np.bincount(rng.integers(m, size=m), minlength=m),
            ]
        ).astype(np.float64)
        for _ in range(draws)
    ]


def sides(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two sides' counts from `dealt` (0 is the other side) or `resampled` (negative is)."""
    if (weight < 0).any():
        return np.maximum(weight, 0), np.maximum(-weight, 0)
    return weight, 1 - weight


def _own(n: int, m: int) -> list[np.ndarray]:
    return [np.concatenate([np.ones(n), -np.ones(m)])]


def _distances(x: Rows, y: Rows, weights: list[np.ndarray]) -> np.ndarray:
    pooled = x.with_other(y)
    ranked = [Ranked.of(pooled, name) for name in x.names]
    return np.array([[column.distance(*sides(w)) for column in ranked] for w in weights])


@table_metrics.add("columns", reference="Smirnov 1948", aliases=("marginals",))
def columns_figure(case: TableCase) -> list[Figure]:
    """Mean distance of single columns: Kolmogorov-Smirnov, total variation."""
    samples, real, other, notes = case.equal(MOST)
    n = len(samples)
    floors = case.floor(
        ("columns", n, samples.names), lambda: real_floor(real, other, seed=case.seed)
    )
    value = _distances(samples, real, _own(n, n))[0]
    again = _distances(samples, real, resampled(n, n, DRAWS, np_rng(case.seed, "columns")))
    found = _beside(samples, value, floors)
    return [
        mean_figure("columns", value, again.mean(1), floors, n, (sentence(found), *notes), found)
    ]


def mean_figure(
    name: str,
    value: np.ndarray,
    again: np.ndarray,
    floors: np.ndarray,
    n: int,
    notes: tuple[str, ...],
    parts: Sequence[Any],
) -> Figure:
    """The mean of many distances, with the interval of its resamples and its floor.

    Args:
        value: (P,) distances.     again: (DRAWS,) their mean when rows are drawn again.
        floors: (DRAWS, P) of real rows against real rows.     parts: P dataclasses, kept in JSON.
    """
    low, high = bootstrap.spread(float(value.mean()), torch.from_numpy(again))
    floor_low, floor_high = bootstrap.percentile(torch.from_numpy(floors.mean(1)))
    return Figure(
        name=name,
        value=float(value.mean()),
        low=low,
        high=high,
        floor=float(floors.mean()),
        floor_low=floor_low,
        floor_high=floor_high,
        better="lower",
        n=n,
        unit="mean distance",
        notes=notes,
        parts=tuple(asdict(part) for part in parts),
    )


def sentence(found: list[ColumnDistance]) -> str:
    """Which columns are farther than twice what real rows score, worst first."""
    far = sorted(
        (c for c in found if not c.within_twice), key=lambda c: -c.value / max(c.floor, 1e-9)
    )
    if not far:
        return f"all {len(found)} columns are within twice their real-vs-real floor"
    named = ", ".join(f"{c.name} ({c.value:.3f}, floor {c.floor:.3f})" for c in far)
    return f"{len(far)} of {len(found)} columns are beyond twice their real-vs-real floor: {named}"
