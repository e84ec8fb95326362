"""Distance to the nearest training rows: the baseline that is hard to beat."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.judge.novelty import nearest, without
from unfog.judge.strange.case import Case, Rows, detectors


@detectors.add("knn", reference="Ramaswamy et al. 2000; Angiulli & Pizzuti 2002 (the mean)")
@dataclass(frozen=True)
class Knn:
    """Mean distance to the k nearest training rows, in units of each column's spread.

    Args:
        k: neighbours; all training rows where they are fewer.
    """

    k: int = 5

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ArgumentError(f"k={self.k}; at least 1 neighbour")

    def __call__(self, case: Case, rows: Rows) -> Tensor:
        """(N, C): the mean distance, shared among columns by their squared differences."""
        gaps, index = self._others(case, rows)
        parts = torch.zeros(len(rows), len(case.owners.names))
        for place in range(gaps.shape[1]):
            apart = (rows.points - case.train.points[index[:, place]]).square()
            parts += case.owners.shared(apart, case.owners.points, gaps[:, place])
        return parts / gaps.shape[1]

    def _others(self, case: Case, rows: Rows) -> tuple[Tensor, Tensor]:
        """Distances and places of the nearest training rows other than the row itself."""
        if rows.own is None:
            return nearest(rows.points, case.train.points, k=self.k)
        gaps, index = nearest(rows.points, case.train.points, k=self.k + 1)
        return without(gaps, index, rows.own)


@detectors.add("blend")
@dataclass(frozen=True)
class Blend:
    """Geometric mean of denoising_error and knn, which err on different rows."""

    def __call__(self, case: Case, rows: Rows) -> Tensor:
        """(N, C): the mean, shared among columns by the mean of both detectors' shares."""
        both = [detectors.make(name)(case, rows) for name in ("denoising_error", "knn")]
        totals = [parts.sum(1, keepdim=True).clamp_min(1e-30) for parts in both]
        shares = sum(parts / total for parts, total in zip(both, totals)) / 2
        return (
            shares
            / shares.sum(1, keepdim=True).clamp_min(1e-30)
            * (totals[0].sqrt() * totals[1].sqrt())
        )
