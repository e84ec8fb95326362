"""Precision and recall, density and coverage: is every sample real-like, and is all of it there?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unfog.errors import DataError
from unfog.judge import bootstrap
from unfog.judge.case import Case, metrics
from unfog.judge.figure import Figure
from unfog.judge.states import alike, rng, rows, subset

NEIGHBOURS = 5
MOST = 3000
DRAWS = 200
NAMES = ("precision", "recall", "density", "coverage")


@dataclass(frozen=True)
class Manifold:
    """What every item says; each figure is the mean of one.

    Args:
        precision, density: (N,) by samples: inside any real item's ball; inside how many, over k.
        recall, coverage: (M,) by real items: inside any sample's ball; holds a sample in its own.
    """

    precision: Tensor
    recall: Tensor
    density: Tensor
    coverage: Tensor


def manifold(x: Any, y: Any, *, k: int = NEIGHBOURS) -> Manifold:
    """Precision, recall, density and coverage from balls that reach each item's k-th neighbour.

        precision = mean_i 1[x_i in some B(y_j)]      recall   = mean_j 1[y_j in some B(x_i)]
        density   = mean_i (1/k) #{j: x_i in B(y_j)}  coverage = mean_j 1[some x_i in B(y_j)]

    Args:
        x: (N, *D) samples.      y: (M, *D) real items; best of one number.
        k: whose distance is the radius of an item's ball, among its own side.
    Raises: DataError for k + 1 items or fewer on a side; ShapeError for different item shapes.
    Ref: Kynkaanniemi et al. 2019, eqs. 1 to 3; Naeem et al. 2020, eqs. 3 and 4.
    """
    a, b = rows(x, "x"), rows(y, "y")
    alike(a, b)
    if min(len(a), len(b)) < k + 2:
        raise DataError(
            f"{len(a)} and {len(b)} items; {k} neighbours need at least {k + 2} on each side"
        )
    gaps = torch.cdist(a, b)
    inside_real = gaps <= _radius(b, k)[None]
    inside_mine = gaps <= _radius(a, k)[:, None]
    return Manifold(
        precision=inside_real.any(1).double(),
        recall=inside_mine.any(0).double(),
        density=inside_real.double().sum(1) / k,
        coverage=inside_real.any(0).double(),
    )


def _radius(x: Tensor, k: int) -> Tensor:
    """Distance (N,) to the k-th nearest other item of the same side."""
    return torch.cdist(x, x).fill_diagonal_(float("inf")).kthvalue(k, dim=1).values


def _interval(name: str, each: Tensor, generator: torch.Generator) -> tuple[float, float, float]:
    """The mean of (N,) and its interval: in closed form for shares, else by resampling items."""
    n, value = len(each), float(each.mean())
    if name != "density":
        return value, *bootstrap.share(round(value * n), n)
    found = bootstrap.counts(n, DRAWS, generator).double() @ each / n
    low, high = bootstrap.percentile(found)
    return value, min(low, value), max(high, value)


def _figure(case: Case, name: str) -> list[Figure]:
    if case.n < NEIGHBOURS + 2:
        return []
    kept = subset(case.n, MOST, rng(case.seed, "manifold"))  # items may stand in an order
    parts = [case.features(side)[kept] for side in ("samples", "real", "other")]
    made = getattr(_kept(case, "samples", parts[0], parts[1]), name)
    floor = getattr(_kept(case, "other", parts[2], parts[1]), name)
    value, low, high = _interval(name, made, rng(case.seed, name))
    floored, floor_low, floor_high = _interval(name, floor, rng(case.seed, name, "floor"))
    return [
        Figure(
            name=name,
            value=value,
            low=min(low, value),
            high=max(high, value),
            floor=floored,
            floor_low=min(floor_low, floored),
            floor_high=max(floor_high, floored),
            better="floor" if name == "density" else "higher",
            n=len(made),
            unit="" if name == "density" else "share",
            notes=(case.trust, *case.notes),
        )
    ]


def _kept(case: Case, side: str, x: Tensor, y: Tensor) -> Manifold:
    """One computation for all four figures of a case."""
    key = f"manifold of {side}"
    if key not in case.made:
        case.made[key] = manifold(x, y)
    return case.made[key]


@metrics.add("precision", reference="Kynkaanniemi et al. 2019")
def precision_figure(case: Case) -> list[Figure]:
    """Share of samples inside the real items' neighbourhoods: quality."""
    return _figure(case, "precision")


@metrics.add("recall", reference="Kynkaanniemi et al. 2019")
def recall_figure(case: Case) -> list[Figure]:
    """Share of real items inside the samples' neighbourhoods: variety."""
    return _figure(case, "recall")


@metrics.add("density", reference="Naeem et al. 2020")
def density_figure(case: Case) -> list[Figure]:
    """How many real neighbourhoods hold a sample, over k: quality that outliers don't flatter."""
    return _figure(case, "density")


@metrics.add("coverage", reference="Naeem et al. 2020")
def coverage_figure(case: Case) -> list[Figure]:
    """Share of real items whose neighbourhood holds a sample: variety, hard to feign."""
    return _figure(case, "coverage")
