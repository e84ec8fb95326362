"""Correlations of a state's numbers, which are known at every time as each number's law is.

Normal scores x with correlations C are at time t alpha x + sigma z, of covariance

    G(t) = (alpha^2 C + sigma^2 I) / (alpha^2 + sigma^2)

in units of their spread. What a net's draws miss of it is taken back by the linear map that brings
one Gaussian to the other and moves it least.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unfog.maths.affine import Affine

NARROWEST = 1e-6
"""Variance, over that of a column, below which a direction counts as none."""


def correlations(x: Tensor) -> Tensor:
    """(B, n) numbers -> (n, n) float64; a constant column goes with none."""
    centred = x.double() - x.double().mean(0)
    sizes = centred.square().sum(0).sqrt()
    unit = centred / sizes.where(sizes > 0, torch.ones_like(sizes))
    return (unit.T @ unit).fill_diagonal_(1.0)


def uncorrelated(x: Tensor) -> Tensor:
    """(B, n) numbers moved as little as it takes to have no correlations at all in this sample."""
    return x @ _power(correlations(x), -0.5).to(x)


def goal_at(path: Affine, known: Tensor, t: Tensor) -> Tensor:
    """(n, n) covariance at t, in units of the spread, of columns with correlations `known`."""
    a, b = float(path.alpha(t)) ** 2, float(path.sigma(t)) ** 2
    return (a * known + b * torch.eye(len(known)).to(known)) / (a + b)


def mixing(x: Tensor, goal: Tensor) -> Tensor:
    """(n, n) matrix A for which the rows of x A^T have the correlations `goal`, less what chance
    explains; their variances are left to others.

        A = H^-1 (H G H)^1/2 H^-1,     H = C^1/2,     between unit variances

    Args:
        x: (B, n).     goal: (n, n) with a diagonal of 1.
    Ref: Dowson and Landau 1982, eq. 5 (the map); Stein 1956 (the share).
    """
    have = correlations(x)
    goal = goal.to(have)
    inverse = _power(goal, -0.5)
    missed = (inverse @ have @ inverse - torch.eye(len(goal)).to(goal)).square().sum()
    chance = len(goal) * (len(goal) + 1) / len(x)  # of a sample covariance, in whitened units
    have = goal + (1 - chance / missed.clamp_min(1e-12)).clamp_min(0) * (have - goal)
    half, back = _power(have, 0.5), _power(have, -0.5)
    unit = back @ _power(half @ goal @ half, 0.5) @ back
    sizes = x.double().std(0)
    sizes = sizes.where(sizes > 0, torch.ones_like(sizes))
    return (sizes[:, None] * unit / sizes).to(x.dtype)


def _power(c: Tensor, power: float) -> Tensor:
    values, vectors = torch.linalg.eigh(c)
    return (vectors * values.clamp_min(NARROWEST) ** power) @ vectors.T
