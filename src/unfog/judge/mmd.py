"""Maximum mean discrepancy: are two clouds one law, seen through Gaussian kernels?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unfog.errors import DataError
from unfog.judge import bootstrap
from unfog.judge.case import Case, metrics
from unfog.judge.figure import Figure
from unfog.judge.states import alike, rng, rows, subset

WIDTHS = (0.25, 0.5, 1.0, 2.0)  # times the median distance
MOST = 2000


def bandwidths(y: Any, *, most: int = 1000) -> tuple[float, ...]:
    """Kernel widths from the data: the median distance between real items, and multiples of it.

    Args:
        y: (M, *D) real items, of which `most`, evenly spread, are looked at.
    Ref: Gretton et al. 2012, section 8 (the median heuristic).
    """
    b = rows(y, "y")
    b = b[:: -(-len(b) // most)]
    gaps = torch.pdist(b)
    middle = float(gaps[gaps > 0].median()) if bool((gaps > 0).any()) else 1.0
    return tuple(width * middle for width in WIDTHS)


def mmd(x: Any, y: Any, *, widths: tuple[float, ...] | None = None) -> float:
    """Unbiased squared maximum mean discrepancy; 0 on average under one law, so also negative.

        k(x, y) = mean over widths w of exp(-|x - y|^2 / (2 w^2))
        MMD^2   = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)

    Args:
        x: (N, *D) samples.      y: (M, *D) real items.
        widths: of the kernels; None: from the distances between items of y.
    Raises: DataError for fewer than 2 items on a side; ShapeError for different item shapes.
    Ref: Gretton et al. 2012, A kernel two-sample test, eq. 3.
    """
    a, b = rows(x, "x"), rows(y, "y")
    kernel, n = _kernel(a, b, widths or bandwidths(b)), len(a)
    side = torch.cat([torch.ones(n), torch.zeros(len(b))])
    return float(_statistic(kernel, side[None].double(), 1 - side[None].double())[0])


def mmd_interval(
    x: Any,
    y: Any,
    *,
    generator: torch.Generator,
    widths: tuple[float, ...] | None = None,
    draws: int = 200,
) -> tuple[float, float, float]:
    """(value, low, high) of `mmd`: rows of both sides are resampled.

    Pairs of a row with its own repeats are left out, otherwise the resamples would be too far. So
    resamples of one row alone, one in nine of those of three rows, have no value and don't count.
    """
    a, b = rows(x, "x"), rows(y, "y")
    kernel = _kernel(a, b, widths or bandwidths(b))
    n, m = len(a), len(b)
    first = torch.cat([bootstrap.counts(n, draws, generator), torch.zeros(draws, m)], 1)
    second = torch.cat([torch.zeros(draws, n), bootstrap.counts(m, draws, generator)], 1)
    own = torch.cat([torch.ones(1, n), torch.zeros(1, m)], 1)
    found = _statistic(
        kernel, torch.cat([own, first]).double(), torch.cat([1 - own, second]).double()
    )
    drawn = found[1:]
    low, high = bootstrap.percentile(drawn[drawn.isfinite()])
    value = float(found[0])
    return value, min(low, value), max(high, value)


def _kernel(a: Tensor, b: Tensor, widths: tuple[float, ...]) -> Tensor:
    """(N + M, N + M) kernel of the pooled rows, its diagonal 0: no row is paired with itself."""
    alike(a, b)
    if min(len(a), len(b)) < 2:
        raise DataError(f"{len(a)} and {len(b)} items; mmd needs at least 2 on each side")
    pooled = torch.cat([a, b])
    square = torch.cdist(pooled, pooled).square()
    kernel = torch.zeros_like(square)
    for width in widths:
        kernel += torch.exp(square / (-2 * width**2))
    return (kernel / len(widths)).fill_diagonal_(0.0)


def _statistic(kernel: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """(draws,) MMD^2 when pooled row i counts first[d, i] times as x, second[d, i] times as y."""
    kernel = kernel.double()
    near_first, near_second = first @ kernel, second @ kernel

    def within(near: Tensor, weight: Tensor) -> Tensor:
        return (near * weight).sum(1) / (weight.sum(1).square() - weight.square().sum(1))

    cross = (near_first * second).sum(1) / (first.sum(1) * second.sum(1))
    return within(near_first, first) + within(near_second, second) - 2 * cross


def _figure(name: str, x: Tensor, y: Tensor, other: Tensor, case: Case, trust: str) -> Figure:
    # the items may stand in an order, so a part of them is drawn
    x, y, other = (part[subset(len(part), MOST, rng(case.seed, name))] for part in (x, y, other))
    widths = bandwidths(y)
    value, low, high = mmd_interval(x, y, generator=rng(case.seed, name), widths=widths)
    floor, floor_low, floor_high = mmd_interval(
        other, y, generator=rng(case.seed, f"{name} floor"), widths=widths
    )
    said = "unbiased: real data scores 0 on average, and below 0 half of the time"
    return Figure(
        name=name,
        value=value,
        low=low,
        high=high,
        floor=floor,
        floor_low=floor_low,
        floor_high=floor_high,
        better="lower",
        n=len(x),
        unit="squared kernel units",
        notes=(*((trust,) if trust else ()), said, *case.notes),
    )


@metrics.add("mmd", reference="Gretton et al. 2012")
def mmd_figure(case: Case) -> list[Figure]:
    """Maximum mean discrepancy of the standardised states."""
    flat = case.real.flatten(1)
    std = flat.std(0, correction=0)
    std = torch.where(std > 1e-6, std, torch.ones_like(std))
    parts = [(x.flatten(1) - flat.mean(0)) / std for x in (case.samples, case.real, case.other)]
    return [_figure("mmd", parts[0], parts[1], parts[2], case, "")]


@metrics.add("mmd_features", reference="Gretton et al. 2012", aliases=("kid",))
def mmd_features_figure(case: Case) -> list[Figure]:
    """Maximum mean discrepancy in the judge net's features."""
    parts = [case.features(name) for name in ("samples", "real", "other")]
    return [_figure("mmd_features", parts[0], parts[1], parts[2], case, case.trust)]
