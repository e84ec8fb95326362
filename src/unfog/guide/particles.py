"""Particles: many tries per sample, and those that fit are carried on.

A guide bends every prediction and hopes; particles are weighted by what the guide left out, and
resampled, so that the result is exact in the limit of many particles (sequential Monte Carlo, also
Feynman-Kac steering). It is a loop around the path's own ancestral moves, for every kind of state
that has them: numbers, categories, dicts of these.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any, Protocol

import torch
from torch import Tensor

from unfog.errors import ArgumentError, DataError
from unfog.maths.randomness import Rng
from unfog.maths.states import each, lead


class Walk(Protocol):
    """What the particles are drawn from, one step at a time; see `Steer` and `Hold`."""

    def look(self, x_t: Any, t: Tensor, s: Tensor | None) -> tuple[tuple[Any, ...], Tensor]:
        """What is seen at x_t (states, to be resampled along), and the log-weight (B,) it earns.

        s is None at the end of the grid.
        """
        ...

    def move(
        self, x_t: Any, seen: tuple[Any, ...], t: Tensor, s: Tensor, *, rng: Rng, mask: Any = None
    ) -> tuple[Any, Tensor]:
        """The state at s, and the log-weight (B,) of going there."""
        ...


@dataclass(frozen=True)
class Swarm:
    """All particles after a step.

    Attributes:
        x: (G · K, *D) states at t, group after group.     x_hat: what was moved to.
        t: the time reached.     log_weight: (G, K) float64, not normalised.
        ess: (G,) effective number of particles, 1 to K, before any resampling at t.
    """

    x: Any
    x_hat: Any
    t: Tensor
    log_weight: Tensor
    ess: Tensor

    @property
    def log_evidence(self) -> Tensor:
        """(G,) nats: the logarithm of the mean weight, of which the exponential is unbiased."""
        return self.log_weight.logsumexp(1) - math.log(self.log_weight.shape[1])

    def pick(self, *, rng: Rng) -> Any:
        """One particle of each group, with chances as its weights: (G, *D)."""
        groups, size = self.log_weight.shape
        below = _shares(self.log_weight).cumsum(1)
        u = rng.uniform(self.log_weight.flatten())[::size, None] * below[:, -1:]
        chosen = torch.searchsorted(below, u, right=True).clamp_max(size - 1)
        place = chosen[:, 0] + torch.arange(groups, device=chosen.device) * size
        return each(lambda value: value[place.to(value.device)], self.x)


def particles(
    walk: Walk,
    x_t: Any,
    grid: Tensor,
    *,
    size: int,
    rng: Rng,
    threshold: float = 0.5,
    mask: Any = None,
    log_weight: Tensor | None = None,
) -> Iterator[Swarm]:
    """Walk groups of particles back from noise; yields after every step.

    Each group of `size` gives one independent sample (`Swarm.pick`); more particles bring it
    nearer to the exact distribution, with an error of order 1 / size. Moves are ancestral and of
    first order, so the grid wants to be finer than a solver's.

    Args:
        x_t: (groups · size, *D) states at grid[0], each group's particles together.
        size: particles per group, K.
        rng: of the particles; groups don't depend on each other, nor on how many there are.
        threshold: a group is resampled where its effective number falls below this share of K.
        log_weight: (groups · size,) that the particles come with; even where None.
    Raises: ArgumentError for sizes that don't fit; DataError where all of a group's weights are 0.
    Ref: Doucet & Johansen 2009; Wu et al. 2023, Twisted Diffusion Sampler; Singhal et al. 2025.
    """
    total = len(lead(x_t))
    if not isinstance(size, int) or size < 1 or total % size:
        raise ArgumentError(
            f"size is a whole number of particles that divides the batch of {total}; got {size!r}"
        )
    if not 0 <= threshold <= 1:
        raise ArgumentError(f"the threshold is a share in [0, 1]; got {threshold}")
    seen, gain = walk.look(x_t, grid[0], grid[1])
    weight = (gain.double() if log_weight is None else gain + log_weight).reshape(-1, size)
    ends = [*grid[2:], None]
    for (t, s), following, fresh in zip(pairwise(grid), ends, map(rng.at, count(1))):
        x_t, seen, weight = _resampled(x_t, seen, weight, threshold, fresh)
        x_s, passed = walk.move(x_t, seen, t, s, rng=fresh, mask=mask)
        x_hat = seen[-1]
        seen, gain = walk.look(x_s, s, following)
        weight = weight + (passed.double() + gain.double()).reshape(-1, size)
        x_t = x_s
        yield Swarm(x=x_t, x_hat=x_hat, t=s, log_weight=weight, ess=effective(weight))


def effective(log_weight: Tensor) -> Tensor:
    """1 / sum of the squared normalised weights, (G, K) -> (G,). Ref: Kong 1992."""
    return 1 / _shares(log_weight).square().sum(1)


def _shares(log_weight: Tensor) -> Tensor:
    if not bool((log_weight.amax(1) > -torch.inf).all()) or bool(log_weight.isnan().any()):
        raise DataError(
            "all particles of a group have weight 0, or one has none at all: what they are steered "
            "to can't occur under this model, or the noise is too small for so few particles"
        )
    return torch.softmax(log_weight, 1)


def _resampled(
    x_t: Any, seen: tuple[Any, ...], weight: Tensor, threshold: float, rng: Rng
) -> tuple[Any, tuple[Any, ...], Tensor]:
    """Systematic resampling of the groups that need it; their weights become the mean weight."""
    groups, size = weight.shape
    u = rng.uniform(weight.flatten())[::size, None]  # drawn always, so that groups don't interfere
    poor = effective(weight) < threshold * size
    if not bool(poor.any()):
        return x_t, seen, weight
    below = _shares(weight).cumsum(1)
    even = (torch.arange(size, device=weight.device) + u) / size * below[:, -1:]
    ancestors = torch.searchsorted(below, even, right=True).clamp_max(size - 1)
    own = torch.arange(size, device=weight.device).expand(groups, size)
    ancestors = torch.where(poor[:, None], ancestors, own)
    place = (ancestors + torch.arange(groups, device=weight.device)[:, None] * size).flatten()
    mean = weight.logsumexp(1, keepdim=True) - math.log(size)

    def taken(value: Any) -> Any:
        return each(lambda part: part[place.to(part.device)], value)

    weight = torch.where(poor[:, None], mean.expand_as(weight), weight)
    return taken(x_t), tuple(taken(value) for value in seen), weight
