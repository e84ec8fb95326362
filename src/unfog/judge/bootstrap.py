"""Intervals: what another draw of the same size could have given."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LEVEL = 0.95
Z = 1.959963984540054  # the normal quantile of LEVEL


def counts(n: int, draws: int, generator: torch.Generator) -> Tensor:
    """How often each of n rows is in each resample of n rows: (draws, n) float32, rows sum to n."""
    picks = torch.randint(n, (draws, n), generator=generator)
    return torch.zeros(draws, n).scatter_add_(1, picks, torch.ones(draws, n))


def percentile(replicates: Tensor) -> tuple[float, float]:
    """The central 95 % of bootstrap replicates (draws,). Ref: Efron 1979."""
    tail = (1 - LEVEL) / 2
    low, high = torch.quantile(replicates.double(), torch.tensor([tail, 1 - tail]).double())
    return float(low), float(high)


def spread(value: float, replicates: Tensor) -> tuple[float, float]:
    """The interval of a distance: the replicates' relative spread, put around the value.

    A resample holds repeats, so the distance between two resamples is larger than the distance
    between the samples; percentiles of the replicates can lie above the value altogether. Their
    relative spread about their median is right, and keeps the interval above zero.
    """
    middle = float(replicates.double().median())
    if middle <= 0:
        return value, value
    low, high = percentile(replicates / middle)
    return value * min(low, 1.0), value * max(high, 1.0)


def share(hits: int, n: int) -> tuple[float, float]:
    """The interval of a share hits / n, in closed form.

    A resample of all hits or none has no spread, so a bootstrap would claim certainty there.
    Ref: Wilson 1927, Probable inference, the law of succession, and statistical inference.
    """
    p = hits / n
    middle = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    # at the ends the formula gives 0 and 1 themselves, but for rounding
    low = 0.0 if hits == 0 else max(0.0, middle - half)
    return low, 1.0 if hits == n else min(1.0, middle + half)
