"""Particles whose numbers are to lie in given spans: ranges and inequalities without retraining."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unfog.guide.cfg import guides
from unfog.guide.steer import Steer
from unfog.guide.tilt import check_path
from unfog.maths.affine import Affine
from unfog.maths.product import Product
from unfog.maths.randomness import Rng
from unfog.maths.states import lead
from unfog.maths.truncated import cut


@guides.add(
    "within",
    aliases=("range", "truncated"),
    reference="Wu et al. 2023, Twisted Diffusion Sampler, alg. 1, twisted by a truncated normal",
)
@dataclass(frozen=True, eq=False)
class Within:
    """A walk for `particles` whose numbers end inside given spans.

    With N(x_hat, r_t^2) for what a number will be, its chance to end inside weighs the particle,
    and the mean of that normal cut to the spans is what it moves to; no derivative is taken. At t
    = 0 the number is inside for certain, and what the last chance was stays in the weight. Only the
    guess r_t^2 = sigma^2 / (alpha^2 spread^-2 + sigma^2) is not the data's own; weights make up for
    it, so the result is exact with many particles and steps.

    Args:
        low, high: (B, n, I) ends of I spans for each number of the field; (-inf, inf) asks for
            nothing, (inf, -inf) is no span.
        field: of a dict, the one with the numbers.     spread: of the data, in the state's units.
    Raises: ArgumentError on paths of angles or rotations, which have no random moves.
    """

    predictor: Callable[..., Any]
    path: Any
    low: Tensor
    high: Tensor
    field: str | None = None
    spread: float = 1.0

    def __post_init__(self) -> None:
        check_path(self.path, "spans")

    def look(self, x_t: Any, t: Tensor, s: Tensor | None) -> tuple[tuple[Any, ...], Tensor]:
        """The prediction, plain and cut to the spans, with the chance of these."""
        if s is None:
            return (x_t,), lead(x_t).new_zeros(len(lead(x_t)), dtype=torch.float64)
        x_hat = self.predictor(x_t, t, s)
        last = not bool(s > 0)  # a number goes into one span, not to a mean between two
        inside, log = cut(self._numbers(x_hat), self._error(t), self.low, self.high, one=last)
        return (x_hat, log, self._with(x_hat, inside)), log

    def move(
        self, x_t: Any, seen: tuple[Any, ...], t: Tensor, s: Tensor, *, rng: Rng, mask: Any = None
    ) -> tuple[Any, Tensor]:
        """An ancestral move to the cut prediction, weighed against one to the plain one."""
        _, log, inside = seen
        if bool(s > 0):
            return self._steer.move(x_t, seen, t, s, rng=rng, mask=mask)
        # the last chance is the end's own weight, so it is not taken back
        x_s, change = self._steer.move(x_t, (inside, log, inside), t, s, rng=rng, mask=mask)
        return x_s, change + log

    @property
    def _steer(self) -> Steer:
        return Steer(self.predictor, self.path, lambda x, t: lead(x).new_zeros(len(lead(x))))

    def _numbers(self, x_hat: Any) -> Tensor:
        numbers: Tensor = x_hat if self.field is None else x_hat[self.field]
        return numbers

    def _with(self, x_hat: Any, numbers: Tensor) -> Any:
        return numbers if self.field is None else {**x_hat, self.field: numbers}

    def _error(self, t: Tensor) -> Tensor:
        """r_t, how far off a prediction is guessed to be."""
        path = self.path
        if isinstance(path, Product) and self.field is not None:
            path = path.fields[self.field]
        assert isinstance(path, Affine)
        alpha, sigma = path.alpha(t), path.sigma(t)
        return sigma * self.spread / (sigma.square() + (alpha * self.spread).square()).sqrt()
