"""From the gradient of a log-likelihood to a prediction: the one formula of every gradient guide.

    E[x | x_t, y] = E[x | x_t] + (sigma^2 / alpha) grad_{x_t} log p(y | x_t)

because the posterior's score is the prior's plus the likelihood's (Tweedie, twice). Where alpha is
nearly 0 the factor is huge and the gradient tiny; `Edge` looks a little earlier there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.maths.discrete import Masking
from unfog.maths.paths import Affine, as_time
from unfog.maths.product import Product, fieldwise
from unfog.maths.states import expand

Potential = Callable[[Any, Tensor], Tensor]

MOST = 50.0  # sigma / alpha: above it, a gradient says little of data of unit size


def check_path(path: Any, what: str, *, categories: bool = True) -> None:
    """Raise ArgumentError where `what` has no mathematics on a field of this path."""
    members = path.fields if isinstance(path, Product) else {"the state": path}
    for name, member in members.items():
        if not isinstance(member, (Affine, Masking) if categories else Affine):
            raise ArgumentError(
                f"{what} can't guide {name!r}, on a path of {type(member).__name__}: it needs a "
                + ("path with Gaussian noise" + (" or of categories" if categories else ""))
                + "; guide the other fields, or use cfg or compose"
            )


def rise(path: Affine, t: Tensor, like: Tensor) -> Tensor:
    """sigma^2 / alpha, shaped to multiply `like`."""
    return expand(path.sigma(t).square() / path.alpha(t), like).to(like)


@dataclass(frozen=True)
class Edge:
    """Where a guide looks: at most at the time where sigma / alpha = `most`.

    A state beyond is nearly pure noise, and is scaled to the noise of that time.
    """

    path: Any
    most: float = MOST

    def __call__(self, x_t: Any, t: Tensor, s: Tensor | None) -> tuple[Any, Tensor, Tensor | None]:
        """(x_t, t, s) to look at."""
        t = as_time(t)
        latest = self._latest().to(t)
        if bool((t <= latest).all()):
            return x_t, t, s
        at = torch.minimum(t, latest)

        def scaled(member: Any, x: Tensor) -> Tensor:
            if not isinstance(member, Affine):
                return x
            return x * expand(member.sigma(at) / member.sigma(t), x).to(x)

        seen = None if s is None else torch.minimum(as_time(s).to(at), at)
        return fieldwise(self.path, scaled, x_t), at, seen

    def _latest(self) -> Tensor:
        if not hasattr(self.path, "time_at"):
            return torch.ones((), dtype=torch.float64)  # categories alone: any time will do
        return self.path.time_at(torch.tensor(math.log(self.most), dtype=torch.float64))


def leaves(path: Any, x_t: Any) -> tuple[Any, list[Tensor]]:
    """The state with its continuous fields ready for gradients, and these fields."""
    found: list[Tensor] = []

    def leaf(member: Any, x: Tensor) -> Tensor:
        if not isinstance(member, Affine):
            return x
        found.append(x.detach().requires_grad_())
        return found[-1]

    return fieldwise(path, leaf, x_t), found


def spread_out(path: Any, x_t: Any, grads: list[Tensor], t: Tensor) -> Any:
    """Gradients of the continuous fields times sigma^2 / alpha, as a state; None elsewhere."""
    remaining = iter(grads)

    def field(member: Any, x: Tensor) -> Tensor | None:
        return rise(member, t, x) * next(remaining) if isinstance(member, Affine) else None

    return fieldwise(path, field, x_t)


@dataclass(frozen=True)
class Leaning:
    """A prediction, where the likelihood pulls it, and the log-likelihood (B,)."""

    x_hat: Any
    pulled: Any
    log: Tensor


def lean(
    predictor: Callable[..., Any],
    path: Any,
    potential: Potential,
    x_t: Any,
    t: Tensor,
    s: Tensor | None,
    *,
    scale: float = 1.0,
) -> Leaning:
    """Predict, and pull the prediction along the gradient of potential(x_hat, t) -> (B,).

    Numbers take the formula above. Probabilities of categories are multiplied by
    exp(scale d potential / d x_hat) and normalised, which is exact where the potential is linear
    in them and the entries are independent. Ref: Vignac et al. 2023, DiGress, alg. 3.
    """
    with torch.enable_grad():
        state, numbers = leaves(path, x_t)
        x_hat = predictor(state, t, s)
        probabilities: list[Tensor] = []

        def keep(member: Any, value: Tensor) -> Tensor:
            if isinstance(member, Masking):
                value = value if value.requires_grad else value.detach().requires_grad_()
                probabilities.append(value)
            return value

        x_hat = fieldwise(path, keep, x_hat)
        log = potential(x_hat, t)
        if log.ndim != 1:
            raise ArgumentError(
                f"a potential gives one number per sample, (B,); got {tuple(log.shape)}"
            )
        inputs = [*numbers, *probabilities]
        if log.requires_grad:
            grads = torch.autograd.grad(
                log.sum(), inputs, allow_unused=True, materialize_grads=True
            )
        else:  # nothing that the potential sees depends on the state here
            grads = tuple(torch.zeros_like(value) for value in inputs)
    moves = spread_out(path, x_t, list(grads[: len(numbers)]), t)
    weights = iter(grads[len(numbers) :])

    def pulled(member: Any, value: Tensor, move: Tensor | None) -> Tensor:
        if move is not None:
            return value.detach() + scale * move
        if not isinstance(member, Masking):
            return value.detach()
        tilted = value.detach().log() + scale * next(weights)
        return torch.softmax(tilted.masked_fill(value == 0, -torch.inf), -1)

    plain = fieldwise(path, lambda member, value: value.detach(), x_hat)
    return Leaning(plain, fieldwise(path, pulled, x_hat, moves), log.detach())
