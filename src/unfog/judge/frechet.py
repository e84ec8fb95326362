"""Frechet distance: how far two clouds of features are, each taken as a Gaussian."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from unfog.judge import bootstrap
from unfog.judge.case import Case, metrics
from unfog.judge.figure import Figure
from unfog.judge.states import alike, rng, rows


def root(c: Tensor) -> Tensor:
    """The positive square root of a covariance (D, D); rounding below zero counts as zero."""
    values, vectors = torch.linalg.eigh(c)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def frechet(x: Any, y: Any) -> float:
    """Squared Frechet distance of two sets of features, float64, without shrinkage.

        d2 = |m_x - m_y|^2 + tr(C_x + C_y - 2 (C_x^1/2 C_y C_x^1/2)^1/2)

    Args:
        x: (N, D) features.      y: (M, D) features.
    Raises: ShapeError for different item shapes.
    Ref: Dowson and Landau 1982, eq. 4; Heusel et al. 2017, eq. 6.
    """
    a, b = rows(x, "x").double(), rows(y, "y").double()
    alike(a, b)
    return float(_distance(a, b))


def frechet_interval(
    x: Any, y: Any, *, generator: torch.Generator, draws: int = 100
) -> tuple[float, float]:
    """Bootstrap interval of `frechet`: rows of both sides are resampled."""
    a, b = rows(x, "x").double(), rows(y, "y").double()
    replicates = []
    for _ in range(draws):
        i = torch.randint(len(a), (len(a),), generator=generator)
        j = torch.randint(len(b), (len(b),), generator=generator)
        replicates.append(_distance(a[i], b[j]))
    return bootstrap.spread(float(_distance(a, b)), torch.stack(replicates))


def _moments(a: Tensor) -> tuple[Tensor, Tensor]:
    mean = a.mean(0)
    centred = a - mean
    return mean, centred.T @ centred / max(len(a) - 1, 1)


def _distance(a: Tensor, b: Tensor) -> Tensor:
    mean_a, cov_a = _moments(a)
    mean_b, cov_b = _moments(b)
    half = root(cov_a)
    inner = torch.linalg.eigvalsh(half @ cov_b @ half).clamp(min=0).sqrt().sum()
    gap = (mean_a - mean_b).square().sum() + cov_a.trace() + cov_b.trace() - 2 * inner
    return gap.clamp(min=0)  # a squared distance; rounding alone puts it below


@metrics.add("frechet", reference="Heusel et al. 2017", aliases=("fid", "fd"))
def frechet_figure(case: Case) -> list[Figure]:
    """Frechet distance in the judge net's features."""
    x, y = case.features("samples"), case.features("real")
    notes = [case.trust]
    if case.n < 5 * x.shape[1]:
        notes.append(
            f"{case.n} items for {x.shape[1]} features: the covariance is rough, so value and "
            "floor are both biased upwards; compare them only with each other"
        )
    low, high = frechet_interval(x, y, generator=rng(case.seed, "frechet"))
    floor, (floor_low, floor_high) = case.floor("frechet", partial(_floor, case.seed))
    return [
        Figure(
            name="frechet",
            value=frechet(x, y),
            low=low,
            high=high,
            floor=floor,
            floor_low=floor_low,
            floor_high=floor_high,
            better="lower",
            n=case.n,
            unit="squared feature units",
            notes=(*notes, *case.notes),
        )
    ]


def _floor(seed: int, other: Tensor, real: Tensor) -> tuple[float, tuple[float, float]]:
    """Of real items against real ones, and its interval."""
    between = frechet_interval(other, real, generator=rng(seed, "frechet floor"))
    return frechet(other, real), between
