"""The flow on the angle's own clock, where it is smooth from pure noise to data.

    n = x_t / R,   R = sqrt(alpha^2 + sigma^2),   dn/du = v = (cos(u) n - x_hat) / sin(u)

with u = atan2(sigma, alpha): the state of a path of constant variance, and its velocity. A step
that arrives at n_s is handed to `move` as the prediction that makes it land there:

    x_hat = (n_s sin t - n_t sin s) / sin(t - s)            (t, s the angles)

Angles are numbers or tensors that multiply the state from the left.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from unfog.maths.paths import Affine
from unfog.maths.states import expand

Angle = Any  # float, or a Tensor of shape () or (B, 1, …)


def sine(u: Angle) -> Angle:
    return torch.sin(u) if isinstance(u, Tensor) else math.sin(u)


def cosine(u: Angle) -> Angle:
    return torch.cos(u) if isinstance(u, Tensor) else math.cos(u)


def radius(path: Affine, t: Tensor, like: Tensor) -> Tensor:
    """sqrt(alpha^2 + sigma^2) at t, so that it multiplies `like`."""
    return expand(torch.hypot(path.alpha(t), path.sigma(t)), like).to(like.dtype)


def velocity(n: Tensor, x_hat: Tensor, u: Angle) -> Tensor:
    """dn/du at a normalised state, (B, *D); u > 0."""
    return (cosine(u) * n - x_hat) / sine(u)


def landing(n: Tensor, arrived: Tensor, start: Angle, end: Angle) -> Tensor:
    """The prediction that takes n at `start` to `arrived` at `end`."""
    return (arrived * sine(start) - n * sine(end)) / sine(start - end)
