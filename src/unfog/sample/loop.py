"""The sampling loop: the same for images, tables, text and rotations, for every solver and every
guide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor

from unfog.maths.paths import Path
from unfog.maths.randomness import Rng
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
) -> Iterator[Step]:
    """Follow the flow back from the grid's first time to its last; yields after every step.

    Args:
        predict: (x_t, t, s) -> x_hat.     x_t: (B, *D) state at grid[0].     grid: (n + 1,) falling
            times.
        eta: 0 deterministic, 1 ancestral.     rng: where fresh noise comes from, keyed by step.
    """
    memory = None
    for number, (t, s) in enumerate(pairwise(grid)):
        x_hat, memory = solver.step(predict, path, x_t, t, s, memory)
        x_t = path.move(x_t, x_hat, t, s, eta=eta, rng=rng.at(number + 1), mask=mask)
        yield Step(x=x_t, x_hat=x_hat, t=s)


# [/core]
