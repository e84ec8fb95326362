"""Steps that look back: the polynomial through the last predictions, averaged over the step.

Shared by the solvers with more than two predictions. A better value of the state that a step
arrived at is free once the prediction there is known: the same mean, now through one point more.
It enters as a shift of the prediction that is trusted next,

    x_hat + k (better mean - first mean),
    k = sin s sin(r - t) / (sin r sin(t - s)),        angles of the last step r -> t and the next,
                                                      t -> s

because `move` then lands where it would have landed from the better state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unfog.maths.paths import Affine
from unfog.maths.product import fieldwise
from unfog.sample.solvers.angles import angle_at, mean_shares, one_time, radius_at


@dataclass(frozen=True)
class Past:
    """The last predictions, newest first, and the times where they were made."""

    times: tuple[float, ...] = ()
    made: tuple[Any, ...] = ()


def look_back(
    predict: Callable[..., Any],
    path: Any,
    x_t: Any,
    t: Tensor,
    s: Tensor,
    memory: Past | None,
    *,
    points: int,
    name: str,
    correct: bool | None = None,
    power: int = 1,
) -> tuple[Any, Past]:
    """One step: (x_hat to trust, memory).

    Fields without an affine path keep the plain prediction.

    Args:
        points: predictions that the polynomial goes through.     name: the solver's, for errors.
        correct: make the state better always (True), never (False), or while fewer than `points`
            predictions are known (None).
        power: see `mean_shares`.
    """
    now, then = one_time(t, name), one_time(s, name)
    past = memory if memory is not None and memory.times[0] > now else Past()
    times = (now, *past.times)[: points + 1]
    x_hat = predict(x_t, t, s)
    made = (x_hat, *past.made)[: points + 1]

    def mix(member: Any, *known: Any) -> Any:
        if not isinstance(member, Affine):
            return known[0]
        angles = tuple(angle_at(member, at) for at in times)
        end = angle_at(member, then)
        # what nothing will correct looks one further back
        reach = points + int(correct is True and end <= 0)
        shares = list(mean_shares(angles[:reach], angles[0], end, power))
        starting = correct is None and len(angles) <= points
        if len(angles) > 1 and end > 0 and (correct or starting):
            better = mean_shares(angles, angles[1], angles[0], power)
            first = (0.0, *mean_shares(angles[1:], angles[1], angles[0], power))
            k = _carried(angles[1], angles[0], end)
            shares += [0.0] * (len(angles) - len(shares))
            shares = [a + k * (b - c) for a, b, c in zip(shares, better, first)]
        return weighted(shares, known)

    return fieldwise(path, mix, *made), Past(times[:points], made[:points])


def noise_of(path: Any, x_t: Any, x_hat: Any, t: float) -> Any:
    """The noise that a prediction means, z_hat = (x_t - alpha x_hat) / sigma; fields without an
    affine path keep the prediction.
    """

    def noise(member: Any, state: Any, data: Any) -> Any:
        if not isinstance(member, Affine):
            return data
        u, r = angle_at(member, t), radius_at(member, t)
        return weighted([1 / (r * math.sin(u)), -1 / math.tan(u)], [state, data])

    return fieldwise(path, noise, x_t, x_hat)


def weighted(shares: Sequence[float], values: Sequence[Tensor]) -> Tensor:
    """sum of shares times values."""
    total = values[0] * shares[0]
    for share, value in zip(shares[1:], values[1:]):
        if share:
            total.add_(value, alpha=share)
    return total


def _carried(before: float, here: float, end: float) -> float:
    """How a shift of the last trusted prediction acts on the next one."""
    return math.sin(end) * math.sin(before - here) / (math.sin(before) * math.sin(here - end))
