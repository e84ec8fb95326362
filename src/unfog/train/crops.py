"""Patch-wise training: batches of random crops, with the net told where each lies in the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.maths.randomness import Rng
from unfog.train.share import Share

CROP = "crop"
"""The condition that says what was cut off."""


@dataclass(frozen=True)
class Crops:
    """A share of the batches is cut to one of some sizes, each item at a place of its own.

    A batch has one size, since it is one tensor. What is told is what was cut off before and after
    each axis, as shares of it: zeros for the whole, which is what a net that samples is told.

    Args:
        share: of the batches; the others stay whole, bit for bit.
        sizes: of a crop's sides over the grid's, each in (0, 1].
        least: places that a side has at the least; sides are multiples of it where the grid's are.
    Ref: Wang et al. 2023, Patch Diffusion, sec. 3.2.
    """

    share: float
    sizes: Sequence[float] = (0.5, 0.25)
    least: int = 4

    def __post_init__(self) -> None:
        if not self.sizes or any(not 0 < size <= 1 for size in self.sizes):
            raise ArgumentError(
                f"crop sizes are shares of a side, above 0 and up to 1; got {list(self.sizes)}"
            )

    def __call__(
        self, x: Tensor, cond: dict[str, Tensor], rng: Rng, rows: Share | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """States (B, C, *S) → the same or crops (B, C, *s), and the conditions with `crop`.

        Args:
            rng: of the whole batch: one draw of it chooses the size, for all processes alike.
            rows: the rows of the batch that these are.
        """
        axes = x.ndim - 2
        lot, pick = rng.uniform(torch.empty(2)).tolist()
        size = self.sizes[min(int(pick * len(self.sizes)), len(self.sizes) - 1)]
        sides = [self.side(whole, size) for whole in x.shape[2:]]
        told = x.new_zeros(len(x), 2 * axes)
        if lot < self.share and sides != list(x.shape[2:]):
            places = rng.at(1) if rows is None else rows.rng(rng.at(1))
            draw = places.uniform(torch.empty(len(x), axes))
            for axis, (side, whole) in enumerate(zip(sides, x.shape[2:])):
                start = (draw[:, axis] * (whole - side + 1)).long().clamp(max=whole - side)
                x = _cut(x, axis + 2, start, side)
                told[:, 2 * axis] = start / whole
                told[:, 2 * axis + 1] = (whole - side - start) / whole
        return x, {**cond, CROP: told}

    def side(self, whole: int, size: float) -> int:
        """Places of a crop's side, for a grid's side of `whole`."""
        return min(whole, max(1, round(whole * size / self.least)) * self.least)


def _cut(x: Tensor, axis: int, start: Tensor, side: int) -> Tensor:
    """`side` places of every item along `axis`, from its own `start` (B,) on."""
    shape = [1] * x.ndim
    shape[axis] = side
    places = start.view(-1, *[1] * (x.ndim - 1)) + torch.arange(side).view(shape)
    wide = list(x.shape)
    wide[axis] = side
    return x.gather(axis, places.expand(wide).to(x.device))
