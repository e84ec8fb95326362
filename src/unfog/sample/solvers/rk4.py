"""Fourth order from four calls a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unfog.sample.solvers import solvers
from unfog.sample.solvers.stages import Tableau, stages

CLASSICAL = Tableau(
    (0.0, 1 / 2, 1 / 2, 1.0),
    ((1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    (1 / 6, 1 / 3, 1 / 3, 1 / 6),
)


@solvers.add("rk4", aliases=("runge_kutta",), reference="Kutta 1901, on the path's angle")
@dataclass(frozen=True)
class RungeKutta4:
    """The classical method on the path's angle; the last step to t = 0 takes three calls and is
    third order, which does not show over all.
    """

    order: int = 4
    calls: int = 4

    def step(
        self, predict: Callable[..., Any], path: Any, x_t: Any, t: Tensor, s: Tensor, memory: Any
    ) -> tuple[Any, Any]:
        return stages(predict, path, x_t, t, s, CLASSICAL), None
