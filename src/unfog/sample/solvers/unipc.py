"""Predict with the last predictions, then correct with the new one: no extra call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unfog.errors import ArgumentError
from unfog.sample.solvers import solvers
from unfog.sample.solvers.history import look_back


@solvers.add(
    "unipc",
    aliases=("predictor_corrector",),
    reference="Zhao et al. 2023, UniPC, alg. 1 and 2; polynomials in cos(atan2(sigma, alpha))",
)
@dataclass(frozen=True)
class UniPC:
    """One call a step: every state is corrected by the prediction that was made at it.

    The corrector adds an order to the predictor's: the paper's UniPC-p is `order` p + 1 here.

    Args:
        order: 2, 3 or 4; the predictor looks at order - 1 predictions, the corrector at `order`.
    """

    order: int = 3
    calls: int = 1

    def __post_init__(self) -> None:
        if self.order not in (2, 3, 4):
            raise ArgumentError(f"unipc has order 2, 3 or 4; got {self.order}")

    def step(
        self, predict: Callable[..., Any], path: Any, x_t: Any, t: Tensor, s: Tensor, memory: Any
    ) -> tuple[Any, Any]:
        points = self.order - 1
        return look_back(
            predict, path, x_t, t, s, memory, points=points, name="unipc", correct=True
        )
