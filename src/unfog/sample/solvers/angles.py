"""Weights of past predictions from the grid itself: polynomials, integrated over a step.

On the angle u = atan2(sigma, alpha), with c = cos(u) and cot(u) = alpha / sigma, the exact solution
over a step is

    x_s = (sigma_s / sigma_t) x_t + sigma_s int x_hat d cot(u)

so the prediction to trust is the mean of x_hat under d cot(u). Interpolate x_hat by a polynomial in
c through the times where it is known: its mean is a sum of weights times predictions, and the
weights are means of Lagrange's polynomials. Quadrature runs in r = asinh(cot u), where
c = tanh(r), cot u = sinh(r), and no step is long: noise is r = 0, data infinitely far.

Times here are plain numbers: one time for the whole batch, and nothing waits for a device.
"""

from __future__ import annotations

import math
import sys
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from unfog.errors import TimeError
from unfog.maths.paths import Affine

_NODES, _WEIGHTS = (tuple(v.tolist()) for v in np.polynomial.legendre.leggauss(12))


@lru_cache(maxsize=16384)
def angle_at(path: Affine, t: float) -> float:
    """atan2(sigma, alpha) at t, a number."""
    return path.angle(torch.tensor(t, dtype=torch.float64)).item()


@lru_cache(maxsize=16384)
def radius_at(path: Affine, t: float) -> float:
    """sqrt(alpha^2 + sigma^2) at t, a number."""
    at = torch.tensor(t, dtype=torch.float64)
    return math.hypot(path.alpha(at).item(), path.sigma(at).item())


@lru_cache(maxsize=16384)
def time_at(path: Affine, angle: float) -> float:
    """The inverse of `angle_at`, to rounding. Ref: Brent 1973."""
    from scipy.optimize import brentq

    def off(t: float) -> float:
        return path.angle(torch.tensor(t, dtype=torch.float64)).item() - angle

    if off(0.0) >= 0 or off(1.0) <= 0:
        return 0.0 if off(0.0) >= 0 else 1.0
    return float(brentq(off, 0.0, 1.0, xtol=1e-300, rtol=4 * sys.float_info.epsilon))


def one_time(t: Tensor, solver: str) -> float:
    """t as a number. Raises TimeError for a time per sample, which a solver with a memory can't
    take.
    """
    if t.ndim:
        raise TimeError(
            f"{solver} looks back along one grid for the whole batch; got times of shape "
            f"{tuple(t.shape)}; use euler, heun, midpoint, rk4 or dormand_prince"
        )
    return float(t)


@lru_cache(maxsize=16384)
def mean_shares(
    known: tuple[float, ...], start: float, end: float, power: int = 1
) -> tuple[float, ...]:
    """Weights of predictions made at the angles `known`, for their mean over the step.

    Args:
        known: distinct angles.     start, end: the step's angles, end < start.
        power: 1 takes the mean under d cot(u), that of the flow; 2 under d cot(u)^2, that of
            ancestral steps (eta = 1).
    Returns: as many weights as angles; they sum to 1.
    Ref: for power 2, Lu et al. 2022, DPM-Solver++, eq. 18: exp(-2 (lambda_s - lambda)) there.
    """
    if end <= 0:  # all of the measure lies at the data
        return _basis(known, 0.0)
    first, last = (math.asinh(1 / math.tan(u)) for u in (start, end))
    half, centre = (last - first) / 2, (last + first) / 2
    total, sums = 0.0, [0.0] * len(known)
    for node, weight in zip(_NODES, _WEIGHTS):
        r = centre + half * node
        # d sinh(r)^p, scaled by the end's size so that nothing overflows
        mass = weight * math.cosh(r) / math.cosh(last)
        if power == 2:
            mass *= math.sinh(r) / math.cosh(last)
        total += mass
        for i, value in enumerate(_basis(known, math.atan2(1.0, math.sinh(r)))):
            sums[i] += mass * value
    return tuple(value / total for value in sums)


@lru_cache(maxsize=16384)
def turn_shares(
    known: tuple[float, ...], start: float, end: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """How data and noise predicted at the angles `known` turn a state from `start` to `end`.

        n_s - n_t = int (cos(u) z_hat - sin(u) x_hat) du,   n = x_t / sqrt(alpha^2 + sigma^2)

    Both predictions are polynomials in the angle. Constant ones are integrated exactly.
    Returns: weights of the x_hat, weights of the z_hat.
    """
    half, centre = (end - start) / 2, (end + start) / 2
    data, noise = [0.0] * len(known), [0.0] * len(known)
    for node, weight in zip(_NODES, _WEIGHTS):
        u = centre + half * node
        for i, here in enumerate(known):
            value = half * weight
            for other in known[:i] + known[i + 1 :]:
                value *= (u - other) / (here - other)
            data[i] -= value * math.sin(u)
            noise[i] += value * math.cos(u)
    return tuple(data), tuple(noise)


@lru_cache(maxsize=16384)
def level_shares(known: tuple[float, ...], end: float, power: float) -> tuple[float, ...]:
    """Weights of noise predicted at the levels `known` (sigma / alpha, newest first), for its mean
    from the newest level down to `end`: polynomials in level^power.

    Returns: as many weights as levels; they sum to 1.
    """
    half, centre = (end - known[0]) / 2, (end + known[0]) / 2
    knots = [level**power for level in known]
    sums = [0.0] * len(knots)
    for node, weight in zip(_NODES, _WEIGHTS):
        at = (centre + half * node) ** power
        for i, here in enumerate(knots):
            value = weight / 2
            for other in knots[:i] + knots[i + 1 :]:
                value *= (at - other) / (here - other)
            sums[i] += value
    return tuple(sums)


def _basis(known: tuple[float, ...], u: float) -> tuple[float, ...]:
    """Lagrange's polynomials in the cosine through `known`, at u.

    cos a - cos b = -2 sin((a + b) / 2) sin((a - b) / 2), which does not cancel near data.
    """
    values = []
    for i, here in enumerate(known):
        value = 1.0
        for other in known[:i] + known[i + 1 :]:
            value *= math.sin((u + other) / 2) * math.sin((u - other) / 2)
            value /= math.sin((here + other) / 2) * math.sin((here - other) / 2)
        values.append(value)
    return tuple(values)
