"""Particles that are steered by a likelihood or a reward."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from unfog.errors import ArgumentError
from unfog.guide.cfg import guides
from unfog.guide.measurement import Measurement
from unfog.guide.tilt import Edge, Potential, check_path, lean
from unfog.maths import views
from unfog.maths.affine import Affine
from unfog.maths.discrete import Masking
from unfog.maths.product import fieldwise
from unfog.maths.randomness import Rng
from unfog.maths.states import expand, lead


@guides.add(
    "steer",
    aliases=("feynman_kac", "smc", "twisted"),
    reference="Wu et al. 2023, Twisted Diffusion Sampler, alg. 1; Singhal et al. 2025, FK Steering",
)
@dataclass(frozen=True, eq=False)
class Steer:
    """A walk for `particles` whose target is p(x) exp(potential(x, 0)).

    At t the weight is the potential of x_hat; where it is smooth, its gradient pulls the proposal,
    and the weight takes account of it. Only the value at t = 0 says what is drawn, all else how
    well few particles do.

    Args:
        potential: (x_hat, t) -> (B,) log; of categories it is given probabilities, one-hot at 0.
        pull: strength of the gradient in the proposal; 0 = none is taken, and the potential need
            not be differentiable.
    Raises: ArgumentError on paths of angles or rotations, which have no random moves.
    """

    predictor: Callable[..., Any]
    path: Any
    potential: Potential
    pull: float = 1.0

    def __post_init__(self) -> None:
        check_path(self.path, "particles")
        if not self.pull >= 0:
            raise ArgumentError(f"pull is 0 or more; got {self.pull}")

    def look(self, x_t: Any, t: Tensor, s: Tensor | None) -> tuple[tuple[Any, ...], Tensor]:
        """The prediction twice, plain and pulled, with the potential before the move."""
        if s is None:
            data = fieldwise(self.path, _onehot, x_t)
            return (x_t,), self.potential(data, torch.zeros_like(t))
        x_t, t, s = Edge(self.path)(x_t, t, s)
        if self.pull == 0:
            with torch.no_grad():
                x_hat = self.predictor(x_t, t, s)
                log = self.potential(x_hat, t)
            return (x_hat, log, x_hat), log
        leaning = lean(self.predictor, self.path, self.potential, x_t, t, s, scale=self.pull)
        return (leaning.x_hat, leaning.log, leaning.pulled), leaning.log

    def move(
        self, x_t: Any, seen: tuple[Any, ...], t: Tensor, s: Tensor, *, rng: Rng, mask: Any = None
    ) -> tuple[Any, Tensor]:
        """An ancestral move to the pulled prediction, weighed against one to the plain one."""
        x_hat, log, pulled = seen
        if not bool(s > 0):  # numbers go to the prediction itself, where no weight can follow
            pulled = fieldwise(
                self.path, lambda m, a, b: a if isinstance(m, Affine) else b, x_hat, pulled
            )
        x_s = ancestral(self.path, x_t, pulled, t, s, rng=rng, mask=mask)
        ratios = fieldwise(
            self.path,
            lambda m, *values: _log_ratio(m, *values, t=t, s=s),
            x_t, x_s, x_hat, pulled, mask,
        )  # fmt: skip
        parts = list(ratios.values()) if isinstance(ratios, dict) else [ratios]
        return x_s, torch.stack(parts).sum(0) - log


def likelihood(measurement: Measurement, path: Any) -> Potential:
    """log N(y; A x_hat, noise^2 + r_t^2 diag A A'), r_t a white guess of x_hat's error: exact at 0.

    Raises: ArgumentError without noise: then no particle fits, and mmps or Hold is the method.
    """
    if not bool((torch.as_tensor(measurement.noise) > 0).all()):
        raise ArgumentError(
            "particles need a measurement with noise > 0, for without it none of them fits; give "
            "the noise, or use mmps; for known entries use Hold"
        )

    sizes: dict[int, Tensor] = {}

    def potential(x_hat: Any, t: Tensor) -> Tensor:
        batch = len(lead(x_hat))
        if batch not in sizes:
            sizes[batch] = measurement.row_sizes(x_hat)
        left = measurement.left(path, t).reshape(-1, 1).to(sizes[batch])
        return measurement.log_prob(x_hat, left * sizes[batch])

    return potential


def ancestral(
    path: Any, x_t: Any, x_hat: Any, t: Tensor, s: Tensor, *, rng: Rng, mask: Any = None
) -> Any:
    """Every field moved as its noising process runs backwards: numbers with fresh noise, and a
    category that was revealed stays so.
    """

    def move(member: Any, x: Tensor, trusted: Tensor, real: Tensor | None) -> Tensor:
        eta = 1.0 if isinstance(member, Affine) else 0.0
        moved: Tensor = member.move(x, trusted, t, s, eta=eta, rng=rng, mask=real)
        return moved

    return fieldwise(path, move, x_t, x_hat, mask)


def _onehot(member: Any, x: Tensor) -> Tensor:
    if not isinstance(member, Masking):
        return x
    return F.one_hot(x, member.width).to(torch.get_default_dtype())


def _log_ratio(
    member: Any,
    x_t: Tensor,
    x_s: Tensor,
    x_hat: Tensor,
    pulled: Tensor,
    mask: Tensor | None,
    *,
    t: Tensor,
    s: Tensor,
) -> Tensor:
    """log p(x_s | x_t, x_hat) - log p(x_s | x_t, pulled), (B,); 0 for numbers at s = 0."""
    if isinstance(member, Affine):
        if not bool(s > 0):
            return x_t.new_zeros(len(x_t), dtype=torch.float64)
        plain, variance = views.posterior(member, x_t, x_hat, t, s)
        led, _ = views.posterior(member, x_t, pulled, t, s)
        from_plain, from_led = (member.project(x_s - mean, mask) for mean in (plain, led))
        change = from_led.square() - from_plain.square()
        return change.flatten(1).double().sum(1) / (2 * variance)
    token = member.mask_token(x_t)
    shown = (x_t == token) & (x_s != token)
    if mask is not None:
        shown = shown & expand(mask, x_t).bool()
    code = torch.where(shown, x_s, 0).unsqueeze(-1)
    chances = [p.double().gather(-1, code).squeeze(-1) for p in (x_hat, pulled)]
    logs = [torch.where(shown, p, 1.0).log() for p in chances]
    return (logs[0] - logs[1]).sum(1)
