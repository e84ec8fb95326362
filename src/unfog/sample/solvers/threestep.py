"""Third order from one call a step: the parabola through the last three predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unfog.sample.solvers import solvers
from unfog.sample.solvers.history import look_back


@solvers.add(
    "threestep",
    aliases=("dpmpp_3m",),
    reference="Lu et al. 2022, DPM-Solver++, sec. 4.2; a parabola in cos(atan2(sigma, alpha)), not "
    "in log-SNR",
)
@dataclass(frozen=True)
class ThreeStep:
    """One call a step, order 3: the parabola through the last three predictions, averaged exactly
    over the step.

    The first two steps are made better once the predictions after them are known.
    """

    order: int = 3
    calls: int = 1

    def step(
        self, predict: Callable[..., Any], path: Any, x_t: Any, t: Tensor, s: Tensor, memory: Any
    ) -> tuple[Any, Any]:
        return look_back(predict, path, x_t, t, s, memory, points=3, name="threestep")
