"""Fifth order from six calls a step; with an error estimate, `unfog.sample.adaptive`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unfog.sample.solvers import solvers
from unfog.sample.solvers.stages import Tableau, stages

PAIR = Tableau(
    (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0),
    (
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    ),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
# fifth minus fourth order; the last number belongs to the velocity at the step's end
ERROR = (
    35 / 384 - 5179 / 57600,
    0.0,
    500 / 1113 - 7571 / 16695,
    125 / 192 - 393 / 640,
    -2187 / 6784 + 92097 / 339200,
    11 / 84 - 187 / 2100,
    -1 / 40,
)


@solvers.add(
    "dormand_prince",
    aliases=("dopri5", "rk45"),
    reference="Dormand & Prince 1980, RK5(4)7M, on the path's angle",
)
@dataclass(frozen=True)
class DormandPrince:
    """Six calls a step on a given grid; with a tolerance in place of a grid the steps choose
    themselves. The last step to t = 0 takes three calls.
    """

    order: int = 5
    calls: int = 6

    def step(
        self, predict: Callable[..., Any], path: Any, x_t: Any, t: Tensor, s: Tensor, memory: Any
    ) -> tuple[Any, Any]:
        return stages(predict, path, x_t, t, s, PAIR), None
