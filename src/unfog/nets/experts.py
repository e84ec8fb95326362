"""Two nets that share the noise levels: a perceptron for the layout, a U-Net for the rest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unfog.errors import ArgumentError, ShapeError
from unfog.nets.attention import unit
from unfog.nets.conditions import Conditions
from unfog.nets.embed import TimeEmbedding
from unfog.nets.given import Given
from unfog.nets.mlp import MLP
from unfog.nets.registry import nets
from unfog.nets.unet import UNet

NUMBERS = 1024
"""The coarse grid has at most so many numbers."""
VECTOR = 32


@nets.add("experts", reference="Balaji et al. 2022, eDiff-I, sec. 4.1 (expert denoisers)")
class Experts(nn.Module):
    """An expert for high noise levels and one for low ones; every sample asks the one of its level.

    Where there is much noise, only means over large patches can be told from it, and all of them
    depend on each other: a perceptron on a coarse grid learns that in a fraction of a U-Net's work.
    What the coarse grid doesn't hold is answered there by a gain per channel and level, which is
    what a linear filter knows. Below `at` a U-Net answers alone. Times that serve both: `parted`.

    Args:
        shape: [C, *S] of one sample, of that size only.     at: noise level in (0, 1).
        width, mult, blocks, attention, vector, dropout: of the U-Net, which see.
        coarse_width, coarse_depth, coarse_vector: of the perceptron.
        coarse: patches of so many places along each axis are one on its grid; None = the least
            power of two that leaves at most 1024 numbers.
        given: condition specs.     two_times: embed s as well (flow maps).
        out_channels: of the output, a multiple of C; None = C.
    """

    grid = True  # it reads axes beside channels, so no space may take them away

    def __init__(
        self,
        shape: Sequence[int],
        at: float = 0.84,
        width: int = 64,
        mult: Sequence[int] = (1, 2, 2),
        blocks: int = 2,
        attention: Sequence[bool] | None = None,
        vector: int | None = None,
        coarse_width: int = 1024,
        coarse_depth: int = 4,
        coarse_vector: int = 128,
        coarse: int | None = None,
        given: Given | None = None,
        two_times: bool = False,
        out_channels: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 < at < 1:
            raise ArgumentError(f"at is a noise level between 0 and 1; got {at}")
        self.shape, self.at = tuple(shape), at
        self.fine = UNet(
            shape,
            width=width,
            mult=mult,
            blocks=blocks,
            attention=attention,
            vector=vector,
            given=given,
            two_times=two_times,
            out_channels=out_channels,
            dropout=dropout,
        )
        channels, *grid = shape
        self.out_channels = out_channels or channels
        if self.out_channels % channels:
            raise ArgumentError(
                f"out_channels={out_channels} has to be a multiple of the {channels} channels"
            )
        coarse = _patch(channels, grid) if coarse is None else coarse
        if coarse < 1 or any(size % coarse for size in grid):
            raise ArgumentError(f"coarse={coarse} has to divide the grid of {grid}")
        self.patch = coarse
        small = [size // coarse for size in grid]
        self.coarse = MLP(
            [channels, *small],
            width=coarse_width,
            depth=coarse_depth,
            vector=coarse_vector,
            given=given,
            two_times=two_times,
            out_channels=out_channels,
            dropout=dropout,
        )
        self.time = TimeEmbedding(VECTOR, two_times)
        self.gain = nn.Linear(VECTOR, self.out_channels)
        own = self.fine.options
        self.options: dict[str, Any] = {
            **{name: own[name] for name in ("shape", "width", "mult", "blocks", "attention")},
            **{name: own[name] for name in ("vector", "given", "two_times", "dropout")},
            "at": at,
            "coarse": coarse,
            "coarse_width": coarse_width,
            "coarse_depth": coarse_depth,
            "coarse_vector": coarse_vector,
            "out_channels": out_channels,
        }
        self.initialise()

    @property
    def conditions(self) -> Conditions:
        """What is given, the same for both."""
        return self.fine.conditions

    def initialise(self) -> None:
        """Both experts as they are alone, and no gain."""
        self.fine.initialise()
        self.coarse.initialise()
        self.time.initialise()
        unit(self.gain, 0.0)

    def normalise_weights(self) -> None:
        """See `UNet.normalise_weights`."""
        self.fine.normalise_weights()

    def forward(
        self,
        x_t: Tensor,  # (B, C, *S)
        t: Tensor,  # () or (B,)
        cond: Mapping[str, Tensor] | None = None,
        s: Tensor | None = None,  # () or (B,)
    ) -> Tensor:  # (B, out_channels, *S)
        if tuple(x_t.shape[1:]) != self.shape:
            raise ShapeError(f"state is {tuple(x_t.shape)}; this net takes (B, *{self.shape})")
        high = t.detach() >= self.at
        if bool(high.all()):
            return self._low(x_t, t, cond, s)
        if not bool(high.any()):
            return self.fine(x_t, t, cond, s)
        rows = [side.nonzero()[:, 0] for side in (high, ~high)]
        parts = [
            self._low(*_rows(rows[0], x_t, t, cond, s)),
            self.fine(*_rows(rows[1], x_t, t, cond, s)),
        ]
        return torch.cat(parts)[torch.cat(rows).argsort()]

    def _low(
        self, x_t: Tensor, t: Tensor, cond: Mapping[str, Tensor] | None, s: Tensor | None
    ) -> Tensor:
        """The coarse expert's answer, with the linear filter for what its grid doesn't hold."""
        small = self._pooled(x_t)
        rest = x_t - self._spread(small)
        gains = self.gain(F.silu(self.time(t, s, x_t.shape[0])))
        gains = gains.view(*gains.shape, *(1,) * (x_t.ndim - 2)).to(x_t.dtype)
        times = self.out_channels // self.shape[0]
        rest = rest.repeat(1, times, *(1,) * (x_t.ndim - 2))
        return self._spread(self.coarse(small, t, cond, s)) + gains * rest

    def _pooled(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B, C, *S / patch), sums of patches that leave white noise white."""
        for axis in range(2, x.ndim):
            x = x.unflatten(axis, (-1, self.patch)).sum(axis + 1)
        return x * self.patch ** (-0.5 * (x.ndim - 2))

    def _spread(self, small: Tensor) -> Tensor:
        """The adjoint of `_pooled`: a patch has what its sum has, shared evenly."""
        for axis in range(2, small.ndim):
            small = small.repeat_interleave(self.patch, axis)
        return small * self.patch ** (-0.5 * (small.ndim - 2))


def _patch(channels: int, grid: Sequence[int]) -> int:
    """The least power of two that divides the grid and leaves few numbers, or the largest one."""
    patch = 1
    while channels * math.prod(size // patch for size in grid) > NUMBERS:
        if any(size % (2 * patch) for size in grid):
            break
        patch *= 2
    return patch


def _rows(
    index: Tensor,
    x: Tensor,
    t: Tensor,
    cond: Mapping[str, Tensor] | None,
    s: Tensor | None,
) -> tuple[Tensor, Tensor, dict[str, Tensor] | None, Tensor | None]:
    """The samples of these numbers."""
    told = None if cond is None else {name: value[index] for name, value in cond.items()}
    return x[index], t[index], told, s if s is None or s.ndim == 0 else s[index]
