"""Neighbours in noised space: the training rows themselves, diffused, in closed form.

Noise of deviation s turns n training rows into a mixture of n Gaussians, whose density at a row

    p_s(x) = 1/n sum_i N(x; x_i, s^2)

is small where no row is near at that scale. Low noise sees single neighbours, high noise the whole
cloud: a few strangers who stand together hide from the first, not from the second.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.judge.strange.case import Case, Owners, Rows, detectors

NUMBERS = 4_000_000
"""Distances held at once."""


@dataclass(frozen=True)
class Around:
    """A batch of rows, the training rows, both about these' mean, and the squared distances between
    them; a training row is not its own neighbour.
    """

    x: Tensor
    train: Tensor
    gaps: Tensor

    def levels(self, high: float, count: int) -> Iterator[tuple[float, Tensor, Tensor]]:
        """For s^2 = high^2, half of it, ...: (s^2, -log mean_i exp(-gap_i / 2 s^2) >= 0, (B, n)
        shares of the training rows). Halving s^2 squares every term.
        """
        nearest = self.gaps.min(1).values
        terms = torch.exp((nearest[:, None] - self.gaps) / (2 * high**2))
        others = self.gaps.isfinite().sum(1)
        variance = high**2
        for _ in range(count):
            total = terms.sum(1)
            nats = nearest / (2 * variance) - (total / others).log()
            yield variance, nats.clamp_min(0), terms / total[:, None]
            terms, variance = terms.square(), variance / 2

    def parts(self, owners: Owners, weights: Tensor, score: Tensor) -> Tensor:
        """(B, C): the score, shared by the columns' squared differences to training rows with these
        weights, (B, n).
        """
        apart = self.x.square() * weights.sum(1, keepdim=True) - 2 * self.x * (weights @ self.train)
        apart = (apart + weights @ self.train.square()).clamp_min(0)
        return owners.shared(apart, owners.points, score)


def around(case: Case, rows: Rows) -> Iterator[Around]:
    """Batches of rows."""
    train = case.train.points
    middle = train.mean(0)  # distances do not change, rounding gets smaller
    b = train - middle
    size = max(1, min(case.batch, NUMBERS // max(1, len(b))))
    for start in range(0, len(rows), size):
        place = slice(start, start + size)
        x = rows.points[place] - middle
        gaps = torch.cdist(x, b).square()
        if rows.own is not None:
            known = torch.nonzero(rows.own[place] >= 0).squeeze(1)
            gaps[known, rows.own[place][known]] = torch.inf
        yield Around(x, b, gaps)


@dataclass(frozen=True)
class Noised:
    """Levels of noise.

    Args:
        high: the highest level, in units of each column's spread.     levels: how many; each has
            half the variance of the one before.
    """

    high: float
    levels: int

    def __post_init__(self) -> None:
        if not 0 < self.high < math.inf or self.levels < 1:
            raise ArgumentError(
                f"high={self.high}, levels={self.levels}; a level above 0, at least 1 of them"
            )


@detectors.add(
    "noised_neighbours",
    aliases=("kde",),
    reference="the density of diffused data, as in Livernoche et al. 2024, On Diffusion Modeling "
    "for Anomaly Detection, sec. 4; Parzen 1962",
)
@dataclass(frozen=True)
class NoisedNeighbours(Noised):
    """Minus the log-density of the noised training rows, in nats, summed over noise levels."""

    high: float = 4 * math.sqrt(2)
    levels: int = 7

    def __call__(self, case: Case, rows: Rows) -> Tensor:
        """(N, C) nats."""
        found = []
        for batch in around(case, rows):
            score, weights = torch.zeros(()), torch.zeros(())
            for variance, nats, shares in batch.levels(self.high, self.levels):
                score, weights = score + nats, weights + shares / (2 * variance)
            found.append(batch.parts(case.owners, weights, score))
        return torch.cat(found)


@detectors.add(
    "diffusion_time",
    aliases=("dte",),
    reference="Livernoche et al. 2024, On Diffusion Modeling for Anomaly Detection, sec. 4 "
    "(diffusion time estimation, without a net)",
)
@dataclass(frozen=True)
class DiffusionTime(Noised):
    """How much noise a row looks to have: the mean of s under p(s | x) ~ p_s(x) / s."""

    high: float = 16.0
    levels: int = 17

    def __call__(self, case: Case, rows: Rows) -> Tensor:
        """(N, C) of s."""
        size = case.train.points.shape[1]
        found = []
        for batch in around(case, rows):
            seen = list(batch.levels(self.high, self.levels))
            logs = torch.stack([-nats - size / 2 * math.log(v) for v, nats, _ in seen])
            chances = logs.softmax(0)
            score = torch.stack([math.sqrt(v) * c for (v, _, _), c in zip(seen, chances)]).sum(0)
            weights = torch.zeros(())
            for (_, _, shares), chance in zip(seen, chances):
                weights = weights + chance[:, None] * shares
            found.append(batch.parts(case.owners, weights, score))
        return torch.cat(found)
