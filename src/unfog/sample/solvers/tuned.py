"""A solver whose times and weights were fitted to one model: few calls, as near as they can come.

Step i trusts a weighted sum of the last predictions and the state,

    x_hat = sum_j w_ij x_hat_j + c_i x_t / sqrt(alpha^2 + sigma^2),

which is every linear solver with that memory; `unfog.sample.tuning` finds the numbers. The
prediction at t may be asked for at a time a little off t: after a few coarse steps the state holds
a little more noise, or less, than its time says.

Ref: Shaul et al. 2024, Bespoke Non-Stationary Solvers, sec. 3; Frankel et al. 2025, S4S.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError, TimeError
from unfog.maths.paths import Affine
from unfog.maths.product import fieldwise
from unfog.sample.solvers import solvers
from unfog.sample.solvers.angles import one_time, radius_at
from unfog.sample.solvers.history import weighted

NEAR = 1e-9


@dataclass(frozen=True)
class Row:
    """One step.

    Attributes:
        t: where it starts.     look: the time that the predictor is told.
        weights: of the predictions, newest first.     state: of the state at unit scale.
    """

    t: float
    look: float
    weights: tuple[float, ...]
    state: float = 0.0


@solvers.add(
    "tuned",
    aliases=("bespoke", "bns"),
    reference="Shaul et al. 2024, Bespoke Non-Stationary Solvers; Frankel et al. 2025, S4S",
)
@dataclass(frozen=True)
class Tuned:
    """One call a step, on times and with weights that `unfog tune` fitted to the run; without any
    it is euler.

    Fields without an affine path keep the plain prediction.

    Args:
        rows: the steps, by falling times; they go with the grid of these times, and 0.
    """

    rows: tuple[Row, ...] = ()
    order: int = 1
    calls: int = 1

    def __post_init__(self) -> None:
        for i, row in enumerate(self.rows):
            if not 1 <= len(row.weights) <= i + 1:
                raise ArgumentError(
                    f"step {i} of a tuned solver has 1 to {i + 1} predictions to weigh; got "
                    f"{len(row.weights)} weights"
                )

    @property
    def times(self) -> Tensor:
        """(steps + 1,) float64, the grid that the rows belong to."""
        return torch.tensor([*(row.t for row in self.rows), 0.0], dtype=torch.float64)

    def step(
        self, predict: Callable[..., Any], path: Any, x_t: Any, t: Tensor, s: Tensor, memory: Any
    ) -> tuple[Any, Any]:
        if not self.rows:
            return predict(x_t, t, s), None
        now = one_time(t, "tuned")
        place = min(range(len(self.rows)), key=lambda i: abs(self.rows[i].t - now))
        row = self.rows[place]
        past: tuple[Any, ...] = () if memory is None else memory
        if abs(row.t - now) > NEAR or len(past) < len(row.weights) - 1:
            raise TimeError(
                f"a tuned solver goes its own times from the first one on, {self.times.tolist()}; "
                f"got t = {now} with {len(past)} predictions before"
            )
        x_hat = predict(x_t, torch.tensor(row.look, dtype=torch.float64), s)
        made = (x_hat, *past)

        def mix(member: Any, state: Any, *known: Any) -> Any:
            if not isinstance(member, Affine):
                return known[0]
            at_unit = row.state / radius_at(member, now)
            return weighted([*row.weights, at_unit], [*known[: len(row.weights)], state])

        return fieldwise(path, mix, x_t, *made), made[: max(len(r.weights) for r in self.rows)]
