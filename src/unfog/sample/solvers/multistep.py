"""Second order from one call a step: extrapolate with the previous prediction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.maths.paths import Affine
from unfog.maths.product import fieldwise
from unfog.sample.solvers import solvers
from unfog.sample.solvers.reach import reach_at


@solvers.add(
    "multistep",
    aliases=("dpmpp_2m", "dpmsolver++"),
    reference="Lu et al. 2022, DPM-Solver++, alg. 2; linear in cos(atan2(sigma, alpha)), not in "
    "log-SNR",
)
@dataclass(frozen=True)
class Multistep:
    """One call a step, order 2: the line through the last two predictions, averaged exactly over
    the step.

    The first step and the last one to t = 0 are first order. Fields without an affine path keep
    the plain prediction.

    Args:
        order: 1 or 2.
    """

    order: int = 2
    calls: int = 1

    def __post_init__(self) -> None:
        if self.order not in (1, 2):
            raise ArgumentError(f"multistep has order 1 or 2; got {self.order}")

    def step(
        self, predict: Callable[..., Any], path: Any, x_t: Any, t: Tensor, s: Tensor, memory: Any
    ) -> tuple[Any, Any]:
        x_hat = predict(x_t, t, s)
        if self.order == 1 or memory is None or not bool(s > 0):
            return x_hat, (x_hat, t)
        before, earlier = memory

        def extend(member: Any, here: Any, there: Any) -> Any:
            if not isinstance(member, Affine):
                return here
            share = reach_at(member, float(t), float(s), float(earlier))
            return torch.add(here, here - there, alpha=share)

        return fieldwise(path, extend, x_hat, before), (x_hat, t)
