"""Second order from two calls a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unfog.maths.paths import Affine
from unfog.maths.product import fieldwise
from unfog.sample.solvers import solvers
from unfog.sample.solvers.reach import reach


@solvers.add("heun", reference="Karras et al. 2022, EDM, alg. 1, in exponential form")
@dataclass(frozen=True)
class Heun:
    """Predict, move, predict again, trust the blend; the last step to t = 0 is first order.

    The blend's share is exact for a prediction that is linear in the cosine of the
    path's angle. Fields without
    an affine path keep their first prediction.
    """

    order: int = 2
    calls: int = 2

    def step(
        self, predict: Callable[..., Any], path: Any, x_t: Any, t: Tensor, s: Tensor, memory: Any
    ) -> tuple[Any, Any]:
        x_hat = predict(x_t, t, s)
        if not bool(s > 0):
            return x_hat, None

        def look(member: Any, state: Any, trusted: Any) -> Any:
            return member.move(state, trusted, t, s) if isinstance(member, Affine) else state

        ahead = predict(fieldwise(path, look, x_t, x_hat), s)

        def blend(member: Any, here: Any, there: Any) -> Any:
            if not isinstance(member, Affine):
                return here
            share = -reach(member, t, s, s)
            return here + share.to(here.dtype) * (there - here)

        return fieldwise(path, blend, x_hat, ahead), None
