"""The sampling loop: the same for images, tables, text and rotations, for every solver and every
guide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any

from torch import Tensor

from unfog.maths.paths import Path
from unfog.maths.randomness import Rng
from unfog.sample.correctors import UNCHANGED, Corrector
from unfog.sample.solvers import Solver


@dataclass(frozen=True)
class Step:
    """The state after a step, the prediction that was trusted, and the time reached."""

    x: Any
    x_hat: Any
    t: Tensor


def legs(grid: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """(r, t, s) for every step down from t to s, with r where the step before it arrived: r is t,
    or below it where the grid rises (churn, restart).
    """
    arrived = grid[0]
    for t, s in pairwise(grid):
        if s < t:
            yield arrived, t, s
            arrived = s


def lifted(path: Path, x_r: Any, r: Tensor, t: Tensor, *, rng: Rng, mask: Any = None) -> Any:
    """The state at t >= r, by fresh noise where t is higher."""
    return x_r if bool(r == t) else path.renoise(x_r, r, t, rng=rng, mask=mask)


# [core: follow]
def sample(
    predict: Callable[..., Any],
    path: Path,
    solver: Solver,
    x_t: Any,
    grid: Tensor,
    *,
    eta: float = 0.0,
    rng: Rng,
    mask: Any = None,
    corrector: Corrector = UNCHANGED,
) -> Iterator[Step]:
    """Follow the flow back from the grid's first time to its last; yields after every step.

    Args:
        predict: (x_t, t, s) -> x_hat.     x_t: (B, *D) state at grid[0].     grid: (n + 1,) falling
            times; where it rises, the state is noised again up to there.
        eta: 0 deterministic, 1 ancestral.     rng: where fresh noise comes from, keyed by step.
        corrector: what happens to the state at t before the step away from it.
    """
    memory = None
    for (r, t, s), fresh in zip(legs(grid), map(rng.at, count(1))):
        x_t = lifted(path, x_t, r, t, rng=fresh, mask=mask)
        x_t = corrector(predict, path, x_t, t, rng=fresh, mask=mask)
        x_hat, memory = solver.step(predict, path, x_t, t, s, memory)
        x_t = path.move(x_t, x_hat, t, s, eta=eta, rng=fresh, mask=mask)
        yield Step(x=x_t, x_hat=x_hat, t=s)


# [/core]
