"""How straight the paths of a flow are: a straight one needs a single step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unfog.maths import views
from unfog.maths.randomness import Rng
from unfog.maths.states import entries_mean
from unfog.sample.loop import sample
from unfog.sample.solvers.euler import Euler


def straightness(
    predict: Callable[..., Any], path: Any, x_t: Tensor, grid: Tensor, *, rng: Rng
) -> Tensor:
    """Mean squared distance of the velocity along simulated paths from the way they go, (B,).

        S = int || (x_1 - x_0) - v(x_t, t) ||^2 dt,     0 = every path is a straight line

    Args:
        predict: (x_t, t, s) -> x_hat.     path: an affine one.     x_t: (B, *D) noise, the state at
            grid[0].
        grid: (n + 1,) times from 1 to 0; the integral is the sum over its n Euler steps.
    Returns: (B,) per entry of the state.
    Ref: Liu et al. 2023, Flow Straight and Fast, eq. 9.
    """
    start = here = x_t
    velocities = []
    for t, step in zip(grid, sample(predict, path, Euler(), x_t, grid, rng=rng)):
        velocities.append(views.velocity(path, here, step.x_hat, t))
        here = step.x
    way = start - here
    lengths = (grid[:-1] - grid[1:]).tolist()
    parts = [dt * entries_mean((way - v).square()) for dt, v in zip(lengths, velocities)]
    return torch.stack(parts).sum(0)
