"""Objectives of flow maps: models that connect any t to any s <= t in one call.

On rows with s = t the model is an ordinary one. On the others an objective says by how much its
x_hat misses the flow map that belongs to it. Three identities of the exact map X(t -> s) give all:

    X(u -> s) o X(t -> u) = X(t -> s)         progressive, shortcut; consistency with u near t
    d X(t -> s; x_t) / dt = 0 along the flow  mean flow, continuous consistency ("eulerian")
    d X(t -> s) / ds = velocity at X(t -> s)  lagrangian

The velocity is that of a teacher in distillation; else of the data (at x_t, right on average) or of
the model itself where s = t. The weight is that of the errors in the target's own currency.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.maths.affine import Affine
from unfog.maths.jumps import (
    Ask,
    change,
    drift,
    flowing,
    jump,
    part_of,
    reach,
    scaled,
    slope,
    with_part,
)
from unfog.maths.randomness import Rng
from unfog.maths.states import each
from unfog.registry import Registry

flowmaps: Registry[type] = Registry("flow map")

NEAR = 1e-3
"""Times that are nearer than this are taken for one."""


class Pairs(NamedTuple):
    """Times (B,) of a batch; `apart` (B,) where s < t; u (B,) uniform numbers."""

    t: Tensor
    s: Tensor
    apart: Tensor
    u: Tensor


@dataclass(frozen=True)
class FlowMap:
    """Base of all objectives.

    Args:
        matched: share of the rows with s = t, which learn the flow itself.
        starts, ends: share of the other rows that start at t = 1, and that end at s = 0.
        power: rows with an error e weigh 1 / (e + floor)^power, so that large errors count less.
        onward: where there is a teacher, let rows with s = t go on learning the data, so that the
            map is not bound to how far the teacher came, in place of copying it.
        step: 0 differentiates exactly (forward mode); else by differences of so long a step of t.
        arrival: where there is a teacher, say of categories what it says where the jump lands, so
            that those revealed in a jump go with its numbers; else what it says where it starts.
    """

    matched: float = 0.5
    starts: float = 0.25
    ends: float = 0.25
    power: float = 0.0
    floor: float = 1e-3
    step: float = 0.0
    onward: bool = False
    arrival: bool = False

    @property
    def wants_here(self) -> bool:
        """Whether `missed` reads `Ask.here`."""
        return False

    def __post_init__(self) -> None:
        for name in ("matched", "starts", "ends"):
            value = getattr(self, name)
            if not 0 <= value <= 1 or (name == "matched" and value == 1):
                raise ArgumentError(f"flowmap.{name} is a share in [0, 1]; got {value!r}")
        if self.power < 0 or self.floor <= 0 or not 0 <= self.step < 0.5:
            raise ArgumentError(
                "a flow map needs power >= 0, floor > 0 and 0 <= step < 0.5; got "
                f"{self.power!r}, {self.floor!r}, {self.step!r}"
            )

    def draw(self, law: Any, path: Any, batch: int, *, rng: Rng, device: Any = "cpu") -> Pairs:
        """Two times of every row: both from the law, the later one first."""
        one, other = (law.draw(path, batch, rng=rng, device=device) for _ in range(2))
        dice = rng.uniform(torch.empty(batch, 4)).to(device)
        t, s = self.pair(torch.maximum(one, other), torch.minimum(one, other), dice)
        high = float(getattr(law, "high", 1.0))
        t = torch.where(dice[:, 1] < self.starts, torch.full_like(t, high), t.clamp(max=high))
        s = torch.where(dice[:, 2] < self.ends, torch.zeros_like(s), s)
        apart = (dice[:, 0] >= self.matched) & (t - s > NEAR)
        return Pairs(torch.where(apart, t, one), torch.where(apart, s, one), apart, dice[:, 3])

    def pair(self, t: Tensor, s: Tensor, dice: Tensor) -> tuple[Tensor, Tensor]:
        """The times to connect, from two drawn ones and (B, 4) uniform numbers."""
        return t, s

    def missed(self, ask: Ask) -> Any:
        """x_hat minus what it should be, of the flowing fields, (B, *D) each."""
        raise TypeError(f"{type(self).__name__} must define missed")

    def weighed(self, loss: Tensor) -> Tensor:
        """Losses (B,) as they are, whose gradient counts 1 / (loss + floor)^power."""
        if self.power == 0:
            return loss
        share = loss * (loss.detach() + self.floor).pow(-self.power)
        return loss.detach() + share - share.detach()

    def apart(self, t: Tensor, s: Tensor) -> Tensor | None:
        """How far a difference reaches from one time towards the other, (B,); None where the
        derivative is exact.
        """
        return (t - s).clamp(max=2 * self.step) / 2 if self.step else None


def _past(ask: Ask, found: Any) -> Any:
    """By how much X(t -> s) misses `found`, in x_hat, the gradient in x_hat alone."""
    landed = jump(ask.path, ask.x_t, ask.x_hat, ask.t, ask.s, ask.keep)

    def one(path: Affine, x: Tensor, wanted: Tensor) -> Tensor:
        return scaled(1 / reach(path, ask.t, ask.s), x - wanted)

    return flowing(ask.path, one, landed, found)


def _by_way_of(ask: Ask, first: Any, u: Tensor) -> Any:
    """X(u -> s) after a move from t to u that trusts `first`."""
    x_u = jump(ask.path, ask.x_t, first, ask.t, u, ask.keep)
    return jump(ask.path, x_u, ask.predict(x_u, u, ask.s), u, ask.s, ask.keep)


@flowmaps.add(
    "progressive",
    aliases=("psd",),
    reference="Boffi et al. 2025, How to Build a Consistency Model, eq. 17 (progressive "
    "self-distillation); Salimans & Ho 2022, Progressive Distillation",
)
@dataclass(frozen=True)
class Progressive(FlowMap):
    """One jump is two jumps, met at a time between them drawn at random.

    Args:
        middle: meet half way instead.
    """

    middle: bool = False

    def missed(self, ask: Ask) -> Any:
        share = torch.full_like(ask.u, 0.5) if self.middle else ask.u
        u = ask.s + (ask.t - ask.s) * share
        with torch.no_grad():
            landed = _by_way_of(ask, ask.predict(ask.x_t, ask.t, u), u)
        return _past(ask, landed)


@flowmaps.add("shortcut", reference="Frans et al. 2024, One Step Diffusion via Shortcut Models")
@dataclass(frozen=True)
class Shortcut(Progressive):
    """One jump is two jumps of half its length, for jumps of 1/2^k between multiples of 1/2^k.

    Args:
        most: the shortest jump is 1/2^most; it is learnt from two of half its length.
    """

    matched: float = 0.75
    starts: float = 0.0
    ends: float = 0.0
    middle: bool = True
    most: int = 7

    def pair(self, t: Tensor, s: Tensor, dice: Tensor) -> tuple[Tensor, Tensor]:
        length = 0.5 ** (dice[:, 3] * (self.most + 1)).floor()
        up = ((t / length).ceil() * length).clamp(max=1.0)
        return up, (up - length).clamp(min=0.0)


@flowmaps.add(
    "consistency",
    aliases=("ct", "cd"),
    reference="Song et al. 2023, Consistency Models, alg. 2 and 3; Kim et al. 2024, Consistency "
    "Trajectory Models, for any s",
)
@dataclass(frozen=True)
class Consistency(FlowMap):
    """Two neighbouring states of one trajectory land at the same place, in discrete time.

    Args:
        steps: the neighbour lies 1/steps of t's range nearer to the data.
    """

    steps: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 1:
            raise ArgumentError(f"flowmap.steps is 1 or more; got {self.steps!r}")

    @property
    def wants_here(self) -> bool:
        return True

    def missed(self, ask: Ask) -> Any:
        u = torch.maximum(ask.t - 1 / self.steps, ask.s)
        with torch.no_grad():
            landed = _by_way_of(ask, ask.here, u)
        return _past(ask, landed)


@flowmaps.add(
    "mean_flow",
    aliases=("meanflow",),
    reference="Geng et al. 2025, Mean Flows for One-step Generative Modeling, eq. 6 to 10",
)
@dataclass(frozen=True)
class MeanFlow(FlowMap):
    """The average velocity's own identity; on any path: where the jump lands does not change along
    the flow.
    """

    matched: float = 0.75
    power: float = 0.5
    step: float = 0.05

    @property
    def wants_here(self) -> bool:
        return True

    def missed(self, ask: Ask) -> Any:
        with torch.no_grad():
            wrong = self.tangent(self.wrong(ask))
        return each(lambda hat, by: hat - (hat.detach() + by), part_of(ask.path, ask.x_hat), wrong)

    def wrong(self, ask: Ask) -> Any:
        """dX/dt along the flow over the slope, the change of x_hat that mends it to first order."""

        def landed(part: Any, t: Tensor) -> Any:
            x = with_part(ask.x_t, part)
            found = jump(ask.path, x, ask.predict(x, t, ask.s), t, ask.s, ask.keep)
            return part_of(ask.path, found)

        part = part_of(ask.path, ask.x_t)
        along = drift(ask.path, ask.x_t, ask.here, ask.t, ask.keep)
        back = self.apart(ask.t, ask.s)
        step = None if back is None else -back
        _, rate = change(landed, (part, ask.t), (along, torch.ones_like(ask.t)), step)
        return flowing(ask.path, lambda path, v: scaled(1 / slope(path, ask.t), v), rate)

    def tangent(self, wrong: Any) -> Any:
        """What x_hat is pulled by."""
        return wrong


@flowmaps.add(
    "continuous_consistency",
    aliases=("scm", "tcm"),
    reference="Lu & Song 2024, Simplifying, Stabilizing and Scaling Continuous-Time Consistency "
    "Models, eq. 6 and sec. 4.1 (tangent normalisation), for any s",
)
@dataclass(frozen=True)
class ContinuousConsistency(MeanFlow):
    """The consistency objective's limit of infinitely many steps, its tangent brought to one size.

    Args:
        soft: a row's tangent v, of root mean square r, becomes v / (r + soft).
    """

    power: float = 0.0
    soft: float = 0.1

    def tangent(self, wrong: Any) -> Any:
        def one(v: Tensor) -> Tensor:
            size = v.flatten(1).square().mean(1).sqrt()
            return scaled(1 / (size + self.soft), v)

        return each(one, wrong)


@flowmaps.add(
    "lagrangian",
    aliases=("lsd",),
    reference="Boffi et al. 2025, How to Build a Consistency Model, eq. 14 (lagrangian "
    "self-distillation)",
)
@dataclass(frozen=True)
class Lagrangian(FlowMap):
    """Where the jump lands moves with s as the flow itself does there.

    Args:
        least: no s below: there a prediction of the data says nothing of the velocity.
        through: let the gradient go through the change with s too, as in the paper.
    """

    least: float = 0.01
    through: bool = True
    step: float = 0.05

    def missed(self, ask: Ask) -> Any:
        s = torch.minimum(ask.s.clamp_min(self.least), (ask.s + ask.t) / 2)

        def landed(s: Tensor) -> Any:
            x_hat = ask.predict(ask.x_t, ask.t, s)
            found = jump(ask.path, ask.x_t, x_hat, ask.t, s, ask.keep)
            return part_of(ask.path, found)

        with torch.set_grad_enabled(self.through):
            part, rate = change(landed, (s,), (torch.ones_like(s),), self.apart(ask.t, s))
        with torch.no_grad():
            x_s = with_part(ask.x_t, each(lambda v: v.detach(), part))
            wanted = drift(ask.path, x_s, ask.trust(x_s, s), s, ask.keep)

        def off(path: Affine, v: Tensor, w: Tensor, hat: Tensor) -> Tensor:
            wrong = scaled(1 / slope(path, ask.t), v - w)
            return wrong if self.through else wrong + (hat - hat.detach())

        return flowing(ask.path, off, rate, wanted, ask.x_hat)
