"""Jumps from t to s: the verbs that objectives of flow maps share.

A predictor with two times says where the flow from x_t lands at s, in the house's currency:

    X(t -> s; x_t) = path.move(x_t, x_hat(x_t, t, s), t, s),     so that X(t -> t) is the identity

Only fields on affine paths flow. The others, and known entries, stay as they are at t: what is
revealed so far is a condition like any other, under which the numbers' flow is a flow of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unfog.maths.affine import Affine
from unfog.maths.product import Product
from unfog.maths.states import State, each, expand
from unfog.maths.views import velocity


@dataclass(frozen=True)
class Ask:
    """Rows of a batch that a flow map is asked to connect, s < t.

    Attributes:
        predict: the map, (x_t, t, s) -> x_hat.     trust: (x_t, t) -> x_hat of the flow itself,
            without gradient: a teacher, or the map where s = t.
        x_t: state at t.     t, s: (B,).     x_hat: what the map says, with its gradient.
        here: x_hat that tells the velocity at x_t: the teacher's, or the data (right on average).
        u: (B,) uniform numbers.     keep: 1 = a known entry, which does not flow.
    """

    predict: Callable[..., Any]
    trust: Callable[..., Any]
    path: Any
    x_t: State
    t: Tensor
    s: Tensor
    x_hat: State
    here: State
    u: Tensor
    keep: State | None = None


def flowing(path: Any, function: Callable[..., Any], first: Any, *others: Any) -> Any:
    """function(path, values...) for an affine path; for a Product the same for its affine fields,
    and no other field in what comes out.
    """
    if not isinstance(path, Product):
        return function(path, first, *others)
    return {
        name: function(member, first[name], *(None if o is None else o.get(name) for o in others))
        for name, member in path.fields.items()
        if isinstance(member, Affine)
    }


def part_of(path: Any, state: Any) -> Any:
    """The flowing fields of a state."""
    return flowing(path, lambda _, value: value, state)


def flows(path: Any) -> bool:
    """Whether any part of a state on this path flows."""
    return any(isinstance(p, Affine) for p in getattr(path, "fields", {"": path}).values())


def with_part(state: Any, part: Any) -> Any:
    """The state with its flowing fields put in."""
    return {**state, **part} if isinstance(state, dict) else part


def jump(
    path: Any, x_t: State, x_hat: State, t: Tensor, s: Tensor, keep: State | None = None
) -> Any:
    """X(t -> s) of a whole state, trusting x_hat: flowing entries moved, the others held."""

    def moved(member: Affine, x: Tensor, hat: Tensor, kept: Tensor | None) -> Tensor:
        found = member.move(x, hat, t, s)
        return found if kept is None else torch.where(expand(kept, x).bool(), x, found)

    return with_part(x_t, flowing(path, moved, x_t, x_hat, keep))


def drift(path: Any, x_t: State, x_hat: State, t: Tensor, keep: State | None = None) -> Any:
    """dx_t/dt of the flowing fields, trusting x_hat; 0 for known entries."""

    def rate(member: Affine, x: Tensor, hat: Tensor, kept: Tensor | None) -> Tensor:
        found = velocity(member, x, hat, t)
        return found if kept is None else found * ~expand(kept, x).bool()

    return flowing(path, rate, x_t, x_hat, keep)


def slope(path: Affine, t: Tensor) -> Tensor:
    """d velocity / d x_hat at x_t: alpha' - sigma' alpha / sigma, negative; -1/t on the linear
    path.
    """
    return path.alpha_rate(t) - path.sigma_rate(t) * path.alpha(t) / path.sigma(t)


def reach(path: Affine, t: Tensor, s: Tensor) -> Tensor:
    """d X(t -> s) / d x_hat: alpha_s - alpha_t sigma_s / sigma_t; 1 - s/t on the linear path."""
    return path.alpha(s) - path.alpha(t) * path.sigma(s) / path.sigma(t)


def worth(target: Any, path: Affine, t: Tensor) -> Tensor:
    """d y / d x_hat at x_t of an affine target: an error of x_hat, times this, is one of y."""
    a, b = target.row(path, t)
    found: Tensor = a - b * path.alpha(t) / path.sigma(t)
    return found


def scaled(factor: Tensor, x: Tensor) -> Tensor:
    """factor (B,) times x (B, *D)."""
    return expand(factor, x).to(x.dtype) * x


def change(
    function: Callable[..., Any],
    where: tuple[Any, ...],
    along: tuple[Any, ...],
    step: Tensor | None = None,
) -> tuple[Any, Any]:
    """(value, derivative) of `function` at `where` along a direction, by forward-mode
    differentiation; with `step` (B,) by the difference to the point that lies so far along.
    """
    if step is None:
        value, rate, *_ = torch.func.jvp(function, where, along)
        return value, rate
    ahead = (each(lambda v, d: v + scaled(step, d), one, by) for one, by in zip(where, along))
    value = function(*where)
    return value, each(lambda a, b: scaled(1 / step, a - b), function(*ahead), value)
