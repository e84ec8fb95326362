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
            times.
        eta: 0 deterministic, 1 ancestral.     rng: where fresh noise comes from, keyed by step.
        corrector: what happens to the state at t before the step away from it.
    """
    memory = None
    for (t, s), fresh in zip(pairwise(grid), map(rng.at, count(1))):
        x_t = corrector(predict, path, x_t, t, rng=fresh, mask=mask)
        x_hat, memory = solver.step(predict, path, x_t, t, s, memory)
        x_t = path.move(x_t, x_hat, t, s, eta=eta, rng=fresh, mask=mask)
        yield Step(x=x_t, x_hat=x_hat, t=s)


# [/core]
