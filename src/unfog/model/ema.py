"""A running average of the weights: what sampling uses."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from unfog.errors import ArgumentError

M = TypeVar("M", bound=nn.Module)
LONGEST = 0.28
"""The longest average: that of a flat profile has a length of 0.289."""


class Ema(Generic[M]):
    """Power-function average: its length is a share of the training so far, so no budget needs its
    own decay.

        average <- lerp(average, weights, 1 - (1 - 1/step)^(gamma + 1))

    Args:
        model: the module to follow; its floating-point parameters are averaged, its buffers copied.
        length: standard deviation of the averaging profile as a share of training, 0.01 to 0.28.
    Ref: Karras et al. 2024, EDM2, eq. 4 and 8.
    """

    def __init__(self, model: M, length: float = 0.05):
        self.model: M = copy.deepcopy(model).requires_grad_(False).eval()
        self.length = length
        self.gamma = exponent(length)
        self._followed: nn.Module | None = None
        self._lists: tuple[list[Tensor], ...] = ()

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after update number `step`, counted from 1."""
        fresh = 1 - (1 - 1 / step) ** (self.gamma + 1)
        if self._followed is not model:  # a small net is updated faster than walked through
            sides: list[nn.Module] = [self.model, model]
            parts = [[*side.parameters()] for side in sides], [[*side.buffers()] for side in sides]
            self._lists = tuple(list[Tensor](one) for both in parts for one in both)
            self._followed = model
        mine, theirs, own, other = self._lists
        torch._foreach_lerp_(mine, theirs, fresh)
        if own:
            torch._foreach_copy_(own, other)

    def tensors(self) -> dict[str, Tensor]:
        return dict(self.model.state_dict())


class Averages(Ema[M]):
    """Two averages of the same weights: the run's own, and a longer one for other lengths later.

    It is the run's own to whoever takes an `Ema`.
    """

    def __init__(self, model: M, length: float = 0.05):
        super().__init__(model, length)
        self.longer = Ema(model, min(2 * length, LONGEST))

    def update(self, model: nn.Module, step: int) -> None:
        """Both take in the weights."""
        super().update(model, step)
        self.longer.update(model, step)


def exponent(length: float) -> float:
    """gamma whose profile t^gamma on [0, 1] has this standard deviation, by bisection.

    Ref: Karras et al. 2024, EDM2, eq. 8: std^2 = (gamma + 1) / ((gamma + 2)^2 (gamma + 3)).
    """
    if not 0.001 <= length <= LONGEST:
        raise ArgumentError(
            f"an EMA length is a share of training from 0.001 to 0.28; got {length}"
        )
    low, high = 0.0, 2e3
    for _ in range(100):
        gamma = (low + high) / 2
        wide = (gamma + 1) / ((gamma + 2) ** 2 * (gamma + 3)) > length**2
        low, high = (gamma, high) if wide else (low, gamma)
    return (low + high) / 2
