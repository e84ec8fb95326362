"""Order k from one call a step: polynomials through the last k predictions, integrated."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unfog.errors import ArgumentError
from unfog.maths.paths import Affine
from unfog.maths.product import fieldwise
from unfog.sample.solvers import solvers
from unfog.sample.solvers.angles import angle_at, one_time, radius_at, turn_shares
from unfog.sample.solvers.history import noise_of, weighted
from unfog.sample.solvers.rk4 import CLASSICAL
from unfog.sample.solvers.stages import slopes, stepped

NAME = "adams_bashforth"


@dataclass(frozen=True)
class Turns:
    """The last predictions of data and of noise, newest first, and the times where they were
    made.
    """

    times: tuple[float, ...] = ()
    data: tuple[Any, ...] = ()
    noise: tuple[Any, ...] = ()


@solvers.add(
    NAME,
    aliases=("deis",),
    reference="Bashforth & Adams 1883; in exponential form, as Zhang & Chen 2023, DEIS, sec. 3.3",
)
@dataclass(frozen=True)
class AdamsBashforth:
    """One call a step, order k: data and noise as polynomials in the angle through the last k
    predictions, integrated over the step; order 1 is DDIM.

    The weights come from the grid itself, even or not. While fewer than k predictions are known,
    the state that was reached is made better once the prediction there is known; that keeps
    orders up to 3 without an extra call, and above them the first k - 1 steps take four calls
    each. Fields without an affine path keep the plain prediction.

    Args:
        order: k, 1 to 5.
    """

    order: int = 3
    calls: int = 1

    def __post_init__(self) -> None:
        if self.order not in (1, 2, 3, 4, 5):
            raise ArgumentError(f"{NAME} has order 1 to 5; got {self.order}")

    def step(
        self, predict: Callable[..., Any], path: Any, x_t: Any, t: Tensor, s: Tensor, memory: Any
    ) -> tuple[Any, Any]:
        now, then = one_time(t, NAME), one_time(s, NAME)
        past = memory if memory is not None and memory.times[0] > now else Turns()
        x_hat = predict(x_t, t, s)

        seen = Turns(
            (now, *past.times)[: self.order],
            (x_hat, *past.data)[: self.order],
            (noise_of(path, x_t, x_hat, now), *past.noise)[: self.order],
        )
        if self.order > 3 and len(seen.times) < self.order and then > 0:
            _, found = slopes(predict, path, x_t, t, s, CLASSICAL, x_hat)
            return stepped(path, x_t, x_hat, t, s, CLASSICAL, found), seen
        starting = self.order <= 3 and len(seen.times) > 1 and len(past.times) < self.order

        def turn(member: Any, state: Any, *known: Any) -> Any:
            if not isinstance(member, Affine):
                return known[0]
            angles = tuple(angle_at(member, at) for at in seen.times)
            end = angle_at(member, then)
            shares = sum(turn_shares(angles, angles[0], end), ())
            if starting:
                better = sum(turn_shares(angles, angles[1], angles[0]), ())
                data, fresh = turn_shares(angles[1:], angles[1], angles[0])
                first = (0.0, *data, 0.0, *fresh)
                shares = tuple(a + b - c for a, b, c in zip(shares, better, first))
            # sphere.landing of n + what was integrated, n = state / radius, in one sum
            away, here = math.sin(angles[0] - end), math.sin(angles[0])
            stay = (here - math.sin(end)) / (away * radius_at(member, now))
            return weighted([stay, *(v * here / away for v in shares)], [state, *known])

        return fieldwise(path, turn, x_t, *seen.data, *seen.noise), seen
