"""Linear multistep in the noise level: noise as a polynomial in (sigma / alpha)^power."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from unfog.errors import ArgumentError
from unfog.maths.paths import Affine
from unfog.maths.product import fieldwise
from unfog.sample.solvers import solvers
from unfog.sample.solvers.angles import angle_at, level_shares, one_time
from unfog.sample.solvers.history import noise_of, weighted

NAME = "lms"
FARTHEST = 1e6  # above this sigma / alpha a state is noise and nothing else


@dataclass(frozen=True)
class Levels:
    """The last predictions of noise, newest first, and the times where they were made."""

    times: tuple[float, ...] = ()
    noise: tuple[Any, ...] = ()


@solvers.add(
    NAME,
    aliases=("linear_multistep",),
    reference="Katherine Crowson's k-diffusion, sample_lms, which is `power` 1",
)
@dataclass(frozen=True)
class LinearMultistep:
    """One call a step: with v = sigma / alpha the flow is d(x_t / alpha) = z_hat dv; z_hat is a
    polynomial in v^power through the last predictions, integrated over the step.

    Fewer predictions are known in the first steps, and those made where alpha is 0 are left out, so
    the first steps are of lower order. Fields without an affine path keep the plain prediction.

    Args:
        points: how many predictions the polynomial goes through, 2 to 4. The first steps bound the
            order to 2, whatever it is; more points make the error smaller, not its order higher.
        power: above 0; 1 is the usual form, 0.5 follows grids that are dense near data better.
    """

    points: int = 3
    power: float = 1.0
    order: ClassVar[int] = 2
    calls: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.points not in (2, 3, 4):
            raise ArgumentError(f"{NAME} looks at 2 to 4 points; got {self.points}")
        if not 0 < self.power < math.inf:
            raise ArgumentError(f"power must be above 0; got {self.power}")

    def step(
        self, predict: Callable[..., Any], path: Any, x_t: Any, t: Tensor, s: Tensor, memory: Any
    ) -> tuple[Any, Any]:
        now, then = one_time(t, NAME), one_time(s, NAME)
        past = memory if memory is not None and memory.times[0] > now else Levels()
        x_hat = predict(x_t, t, s)

        seen = Levels(
            (now, *past.times)[: self.points],
            (noise_of(path, x_t, x_hat, now), *past.noise)[: self.points],
        )

        def trust(member: Any, data: Any, *known: Any) -> Any:
            if not isinstance(member, Affine):
                return data
            levels = [math.tan(angle_at(member, at)) for at in seen.times]
            usable = sum(0 <= level < FARTHEST for level in levels)
            if usable < 2 or not 0 <= levels[0] < FARTHEST:
                return data
            end = math.tan(angle_at(member, then))
            shares = level_shares(tuple(levels[:usable]), end, self.power)
            # the shares sum to 1: only the differences from the newest prediction move the data
            far = [-levels[0] * share for share in shares]
            return weighted([1.0, far[0] + levels[0], *far[1:]], [data, *known[:usable]])

        return fieldwise(path, trust, x_hat, *seen.noise), seen
