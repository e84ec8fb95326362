"""Explicit randomness: every draw comes from an object that was derived from named integers.

Nothing in unfog touches torch's global generator. A training step's noise depends on (seed, step)
only, so resuming is exact, also with another number of processes; a sample's noise depends on
(seed, sample index, step) only, so the batch it is drawn in does not matter (see
`unfog.sample.randomness`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

_MASK = (1 << 64) - 1


class Rng(Protocol):
    """What paths and couplings draw from. Each call moves on: two calls, two different draws."""

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal numbers of `like`'s shape, dtype and device."""
        ...

    def uniform(self, like: Tensor) -> Tensor:
        """Uniform numbers in [0, 1) of `like`'s shape and device, float32 unless it is floating."""
        ...

    def at(self, step: int) -> Rng:
        """A fresh, independent stream for this step."""
        ...


def later(rng: Rng, like: Tensor) -> Callable[[Tensor], Tensor]:
    """A uniform draw of which few entries will be looked at: where -> rng.uniform(like)[where].

    It counts as one draw, now. An rng with a `later` of its own leaves the rest out.
    """
    own: Callable[[Tensor], Callable[[Tensor], Tensor]] | None = getattr(rng, "later", None)
    if own is not None:
        return own(like)
    whole = rng.uniform(like)
    return lambda where: whole[where]


def mix(*keys: int) -> int:
    """Hash integers to 63 well-mixed bits (splitmix64 finaliser, Steele et al. 2014)."""
    state = 0x9E3779B97F4A7C15
    for key in keys:
        state = (state ^ (key & _MASK)) & _MASK
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1


class BatchRng:
    """One stream for a whole batch, drawn on the batch's own device.

    Args:
        keys: the integers that the stream depends on, for example (seed, rank, step).
    """

    def __init__(self, *keys: int):
        self.keys = keys
        self._generators: dict[torch.device, torch.Generator] = {}

    def __deepcopy__(self, memo: object) -> BatchRng:
        """A stream that goes on as this one does."""
        twin = BatchRng(*self.keys)
        for device, own in self._generators.items():
            twin._generator(device).set_state(own.get_state())
        return twin

    def _generator(self, device: torch.device) -> torch.Generator:
        if device not in self._generators:
            generator = torch.Generator(device)
            generator.manual_seed(mix(*self.keys))
            self._generators[device] = generator
        return self._generators[device]

    def normal(self, like: Tensor) -> Tensor:
        dtype = like.dtype if like.is_floating_point() else torch.float32
        return torch.randn(
            like.shape, dtype=dtype, device=like.device, generator=self._generator(like.device)
        )

    def uniform(self, like: Tensor) -> Tensor:
        dtype = like.dtype if like.is_floating_point() else torch.float32
        return torch.rand(
            like.shape, dtype=dtype, device=like.device, generator=self._generator(like.device)
        )

    def at(self, step: int) -> BatchRng:
        return BatchRng(*self.keys, step)
