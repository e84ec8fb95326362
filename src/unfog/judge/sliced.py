"""Sliced Wasserstein distance: the cost of moving one cloud onto the other, along many lines."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unfog.judge import bootstrap
from unfog.judge.case import Case, metrics
from unfog.judge.figure import Figure
from unfog.judge.states import alike, rng, rows

DIRECTIONS = 128


def sliced(x: Any, y: Any, *, generator: torch.Generator, directions: int = DIRECTIONS) -> float:
    """Sliced 2-Wasserstein distance in the units of the states.

        SW^2 = E_u integral_0^1 (F_{u.x}^-1(q) - F_{u.y}^-1(q))^2 dq,   u uniform on the sphere

    Args:
        x: (N, *D) states.      y: (M, *D) states; M may differ from N.
        generator: draws the directions.
    Raises: ShapeError for different item shapes.
    Ref: Bonneel et al. 2015, Sliced and Radon Wasserstein barycenters, eq. 7.
    """
    a, b = _projected(x, y, directions, generator)
    return float(_cost(a.sort(1).values, b.sort(1).values).sqrt())


def sliced_interval(
    x: Any,
    y: Any,
    *,
    generator: torch.Generator,
    directions: int = DIRECTIONS,
    draws: int = 100,
) -> tuple[float, float, float]:
    """(value, low, high) of `sliced` on the same directions: rows of both sides are resampled."""
    a, b = _projected(x, y, directions, generator)
    (a, of_a), (b, of_b) = a.sort(1), b.sort(1)
    value = float(_cost(a, b).sqrt())
    n = bootstrap.counts(a.shape[1], draws, generator).long()
    m = bootstrap.counts(b.shape[1], draws, generator).long()
    replicates = [
        _cost(_repeated(a, of_a, n[k]), _repeated(b, of_b, m[k])).sqrt() for k in range(draws)
    ]
    return value, *bootstrap.spread(value, torch.stack(replicates))


def _projected(
    x: Any, y: Any, directions: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    a, b = rows(x, "x"), rows(y, "y")
    alike(a, b)
    u = torch.randn(directions, a.shape[1], generator=generator)
    u = u / u.norm(dim=1, keepdim=True)
    return u @ a.T, u @ b.T


def _repeated(ordered: Tensor, order: Tensor, times: Tensor) -> Tensor:
    """A resample in ascending order: each value as often as its row was drawn. No second sort."""
    return ordered.flatten().repeat_interleave(times[order].flatten()).view_as(ordered)


def _cost(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared gap of two sorted (directions, N), (directions, M) quantile functions."""
    n, m = a.shape[1], b.shape[1]
    if n == m:
        return (a - b).square().mean()
    # both quantile functions are steps: integrate exactly over the pieces between all their jumps
    jumps = (
        torch.cat([torch.arange(n + 1).double() / n, torch.arange(1, m).double() / m]).sort().values
    )
    width = jumps.diff()
    middle = (jumps[1:] + jumps[:-1]) / 2
    i = (middle * n).long().clamp(max=n - 1)
    j = (middle * m).long().clamp(max=m - 1)
    return ((a[:, i] - b[:, j]).square().double() * width).sum(1).mean()


@metrics.add("sliced_wasserstein", reference="Bonneel et al. 2015", aliases=("swd",))
def sliced_figure(case: Case) -> list[Figure]:
    """Sliced Wasserstein distance between the states of samples and real items."""
    # one seed for both: value and floor look along the same directions
    x, y, other = case.samples, case.real, case.other
    value, low, high = sliced_interval(x, y, generator=rng(case.seed, "sliced"))
    floor, floor_low, floor_high = sliced_interval(other, y, generator=rng(case.seed, "sliced"))
    return [
        Figure(
            name="sliced_wasserstein",
            value=value,
            low=low,
            high=high,
            floor=floor,
            floor_low=floor_low,
            floor_high=floor_high,
            better="lower",
            n=case.n,
            unit="state units",
            notes=case.notes,
        )
    ]
