"""Runge-Kutta steps of any tableau, on the angle's own clock.

Nodes are even in the angle of the path whose noise levels lay out the grid; fields on other affine
paths follow by the chain rule. A time per sample is as good as one for the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unfog.maths.paths import Affine
from unfog.maths.product import Product, fieldwise
from unfog.maths.states import expand
from unfog.sample.solvers.angles import angle_at, time_at
from unfog.sample.solvers.history import weighted
from unfog.sample.solvers.sphere import landing, radius, velocity


@dataclass(frozen=True)
class Tableau:
    """An explicit Runge-Kutta method.

    Args:
        nodes: where the stages lie in the step, first 0.     rows: how each later stage is reached.
        weights: of the stages in the step.     cosine: nodes are even in the angle's cosine.
    """

    nodes: tuple[float, ...]
    rows: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]
    cosine: bool = False


# For the step to t = 0, where a prediction says nothing of the velocity: no stage there. Near data
# the flow is smooth in the angle's square, so the error of this third order method falls like the
# eighth power of the angle.
CLOSING = Tableau((0.0, 1 / 3, 2 / 3), ((1 / 3,), (0.0, 2 / 3)), (1 / 4, 0.0, 3 / 4), cosine=True)


def clock(path: Any) -> Affine:
    """The affine path whose angle the stages are even in."""
    return path.clock if isinstance(path, Product) else path


def angle(path: Affine, t: Tensor) -> Tensor:
    """atan2(sigma, alpha), float64, remembered for one time for all."""
    if t.ndim:
        return path.angle(t.to(torch.float64))
    return torch.tensor(angle_at(path, float(t)), dtype=torch.float64)


def time(path: Affine, u: Tensor) -> Tensor:
    """The inverse of `angle`."""
    if u.ndim:
        return path.time_at_angle(u)
    return torch.tensor(time_at(path, float(u)), dtype=torch.float64)


def slopes(
    predict: Callable[..., Any],
    path: Any,
    x_t: Any,
    t: Tensor,
    s: Tensor,
    tableau: Tableau,
    first: Any = None,
) -> tuple[Any, list[Any]]:
    """The stages of one step: (x_hat at t, their velocities on the clock's angle).

    Fields without an affine path keep state and prediction.

    Args:
        first: x_hat at t, if it is known.
    """
    lead = clock(path)
    start, span = _ruler(lead, t, s, tableau)
    x_hat = predict(x_t, t, s) if first is None else first
    found = [fieldwise(path, slope_at(lead, t, tableau), x_t, x_hat)]
    for node, row in zip(tableau.nodes[1:], tableau.rows):
        place = start + node * span
        at = time(lead, torch.acos(place) if tableau.cosine else place)
        reached = fieldwise(path, _reached(t, at, row, span), x_t, *found)
        found.append(fieldwise(path, slope_at(lead, at, tableau), reached, predict(reached, at)))
    return x_hat, found


def stepped(
    path: Any, x_t: Any, x_hat: Any, t: Tensor, s: Tensor, tableau: Tableau, found: list[Any]
) -> Any:
    """The prediction to trust, so that `move` lands where the weighted slopes lead."""
    _, span = _ruler(clock(path), t, s, tableau)

    def land(member: Any, state: Any, trusted: Any, *slopes: Any) -> Any:
        if not isinstance(member, Affine):
            return trusted
        n = state / radius(member, t, state)
        arrived = n + _wide(span, n) * weighted(tableau.weights, slopes)
        return landing(n, arrived, _wide(angle(member, t), n), _wide(angle(member, s), n))

    return fieldwise(path, land, x_t, x_hat, *found)


def stages(
    predict: Callable[..., Any], path: Any, x_t: Any, t: Tensor, s: Tensor, tableau: Tableau
) -> Any:
    """One step of a solver without memory; the one to t = 0 closes at third order or less."""
    if not isinstance(clock(path), Affine):
        return predict(x_t, t, s)
    if not bool((s > 0).all()) and tableau.nodes[-1] == 1:
        tableau = CLOSING
    x_hat, found = slopes(predict, path, x_t, t, s, tableau)
    return stepped(path, x_t, x_hat, t, s, tableau, found)


def _ruler(lead: Affine, t: Tensor, s: Tensor, tableau: Tableau) -> tuple[Tensor, Tensor]:
    """Where the step starts and how long it is, in what the tableau's nodes are even in."""
    start, end = angle(lead, t), angle(lead, s)
    if tableau.cosine:
        start, end = torch.cos(start), torch.cos(end)
    return start, end - start


def slope_at(lead: Affine, t: Tensor, tableau: Tableau) -> Callable[..., Any]:
    """d n / d ruler of every field."""

    def slope(member: Any, state: Any, x_hat: Any) -> Any:
        if not isinstance(member, Affine):
            return x_hat
        n = state / radius(member, t, state)
        u = angle(member, t)
        factor = torch.ones_like(u) if member == lead else _rate(member, t) / _rate(lead, t)
        if tableau.cosine:
            factor = -factor / torch.sin(angle(lead, t))
        return velocity(n, x_hat, _wide(u, n)) * _wide(factor, n)

    return slope


def _reached(t: Tensor, at: Tensor, row: tuple[float, ...], span: Tensor) -> Callable[..., Any]:
    def reached(member: Any, state: Any, *slopes: Any) -> Any:
        if not isinstance(member, Affine):
            return state
        n = state / radius(member, t, state)
        n = n + _wide(span, n) * weighted(row, slopes)
        return radius(member, at, n) * n

    return reached


def _rate(path: Affine, t: Tensor) -> Tensor:
    """d angle / dt."""
    a, s = path.alpha(t), path.sigma(t)
    return (path.sigma_rate(t) * a - s * path.alpha_rate(t)) / (a.square() + s.square())


def _wide(value: Tensor, like: Tensor) -> Tensor:
    return expand(value, like).to(like)
