"""Second order from two calls a step, the second in the middle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unfog.sample.solvers import solvers
from unfog.sample.solvers.stages import Tableau, stages

MIDPOINT = Tableau((0.0, 1 / 2), ((1 / 2,),), (0.0, 1.0))


@solvers.add(
    "midpoint",
    aliases=("dpm_2",),
    reference="Runge 1895; Karras et al. 2022, EDM, app. B (alpha = 1/2), on the path's angle",
)
@dataclass(frozen=True)
class Midpoint:
    """Go half of the step's angle, predict there, go the whole step with that velocity."""

    order: int = 2
    calls: int = 2

    def step(
        self, predict: Callable[..., Any], path: Any, x_t: Any, t: Tensor, s: Tensor, memory: Any
    ) -> tuple[Any, Any]:
        return stages(predict, path, x_t, t, s, MIDPOINT), None
