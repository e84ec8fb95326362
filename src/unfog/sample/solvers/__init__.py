"""Solvers choose which prediction to trust between t and s. They hold no tensor: memory goes in and
out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

from unfog.registry import Registry

solvers: Registry[type] = Registry("solver")


class Solver(Protocol):
    """A frozen dataclass; `order` is what the error law measures, `calls` the network calls per
    step.
    """

    @property
    def order(self) -> int: ...

    @property
    def calls(self) -> int: ...

    def step(
        self, predict: Callable[..., Any], path: Any, x_t: Any, t: Tensor, s: Tensor, memory: Any
    ) -> tuple[Any, Any]:
        """(x_hat to trust between t and s, memory for the next step)."""
        ...


from unfog.sample.solvers import (  # noqa: E402, F401  (they enter the registry)
    adams_bashforth,
    dormand_prince,
    euler,
    heun,
    lms,
    midpoint,
    multistep,
    multistep_sde,
    rk4,
    threestep,
    tuned,
    unipc,
)
