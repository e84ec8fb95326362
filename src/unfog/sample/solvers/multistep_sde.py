"""Looking back while drawing fresh noise: the weights of ancestral steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unfog.errors import ArgumentError
from unfog.sample.solvers import solvers
from unfog.sample.solvers.history import look_back


@solvers.add(
    "multistep_sde",
    aliases=("dpmpp_2m_sde", "dpmpp_sde"),
    reference="Lu et al. 2022, DPM-Solver++, eq. 18 and app. B; in cos(atan2(sigma, alpha))",
)
@dataclass(frozen=True)
class MultistepSDE:
    """One call a step for eta = 1: the polynomial through the last predictions, averaged as an
    ancestral step weighs them.

    A command that names this solver and no eta takes eta = 1.

    Args:
        order: 2 or 3, how many predictions it looks at.
    """

    order: int = 2
    calls: int = 1
    eta: float = 1.0

    def __post_init__(self) -> None:
        if self.order not in (2, 3):
            raise ArgumentError(f"multistep_sde looks at 2 or 3 predictions; got {self.order}")

    def step(
        self, predict: Callable[..., Any], path: Any, x_t: Any, t: Tensor, s: Tensor, memory: Any
    ) -> tuple[Any, Any]:
        return look_back(
            predict,
            path,
            x_t,
            t,
            s,
            memory,
            points=self.order,
            name="multistep_sde",
            correct=False,
            power=2,
        )
