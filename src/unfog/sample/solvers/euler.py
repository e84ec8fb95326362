"""First order: trust the prediction at t."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unfog.sample.solvers import solvers


@solvers.add(
    "euler",
    aliases=("ddim", "ddpm", "ancestral"),
    reference="Song et al. 2021, DDIM, eq. 12 (eta 0); Ho et al. 2020, DDPM, alg. 2 (eta 1)",
)
@dataclass(frozen=True)
class Euler:
    """One call a step: DDIM at eta 0, ancestral DDPM at eta 1, plain Euler on the linear path."""

    order: int = 1
    calls: int = 1

    def step(
        self, predict: Callable[..., Any], path: Any, x_t: Any, t: Tensor, s: Tensor, memory: Any
    ) -> tuple[Any, Any]:
        return predict(x_t, t, s), None
