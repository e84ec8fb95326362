"""Diffusion transformer: patches of a grid, or the entries of a sequence, as tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unfog.errors import ArgumentError, ShapeError
from unfog.nets.attention import Block, Modulation, checked_heads, normed, unit
from unfog.nets.conditions import Conditions
from unfog.nets.embed import TimeEmbedding, positions
from unfog.nets.given import Given
from unfog.nets.patches import cropped, fold, marked, unfold
from unfog.nets.recompute import passed
from unfog.nets.registry import nets


@nets.add("dit", reference="Peebles and Xie 2023", aliases=("transformer",))
class DiT(nn.Module):
    """Transformer on patches of a 1-, 2- or 3-axis grid, modulated by time and conditions.

    A sequence of vectors is the shape [C, L] with patch 1. Texts are attended to in every block.
    Positions are fixed sinusoids, so that the net takes other sizes than it was made for.

    Args:
        shape: [C, *S] of one sample.    patch: places along each axis in one token; None = 2 or
            more, by powers of 2, until at most 64 tokens are left.
        width: of a token.    depth: blocks.    heads: attention heads; None = width / 64.
        expand: hidden width of the perceptron over `width`.    given: condition specs.
        two_times: embed s as well (flow maps).    out_channels: of the output; None = C.
        dropout: share of the perceptrons' hidden units that are dropped in training.
    """

    grid = True  # it reads axes beside channels, so no space may take them away

    def __init__(
        self,
        shape: Sequence[int],
        patch: int | None = 1,
        width: int = 192,
        depth: int = 6,
        heads: int | None = None,
        expand: float = 2.625,
        given: Given | None = None,
        two_times: bool = False,
        out_channels: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.axes = len(self.shape) - 1
        if self.axes not in (1, 2, 3):
            raise ArgumentError(f"shape={list(shape)} has {self.axes} axes after C; give 1 to 3")
        patch = fitting(self.shape[1:]) if patch is None else patch
        self.patch = patch
        if heads is None:
            heads = next(n for n in range(max(1, width // 64), 0, -1) if width % n == 0)
        checked_heads(width, heads)
        self.out_channels = out_channels or self.shape[0]
        self.time = TimeEmbedding(width, two_times)
        self.conditions = Conditions(given, width, tokens=True)
        folded = (self.shape[0] + 1 + self.conditions.channels) * patch**self.axes
        source = width if self.conditions.tokens else None
        self.first = nn.Linear(folded, width)
        self.blocks = nn.ModuleList(
            Block(width, heads, width, source, expand, dropout) for _ in range(depth)
        )
        self.modulation = Modulation(width, width, 2)
        self.last = nn.Linear(width, self.out_channels * patch**self.axes)
        self.options: dict[str, Any] = {
            "shape": list(self.shape),
            "patch": patch,
            "width": width,
            "depth": depth,
            "heads": heads,
            "expand": expand,
            "given": self.conditions.given,
            "two_times": two_times,
            "out_channels": out_channels,
            "dropout": dropout,
        }
        self.initialise()

    def initialise(self) -> None:
        """Unit-gain weights, closed blocks (adaLN-zero), zero output."""
        self.time.initialise()
        self.conditions.initialise()
        unit(self.first)
        for block in self.blocks:
            cast(Block, block).initialise()
        self.modulation.initialise()
        unit(self.last, 0.0)

    def forward(
        self,
        x_t: Tensor,  # (B, C, *S)
        t: Tensor,  # () or (B,)
        cond: Mapping[str, Tensor] | None = None,
        s: Tensor | None = None,  # () or (B,)
    ) -> Tensor:  # (B, out_channels, *S)
        if x_t.ndim != self.axes + 2 or x_t.shape[1] != self.shape[0]:
            raise ShapeError(f"state is {tuple(x_t.shape)}; this net takes (B, *{self.shape})")
        batch, spatial = x_t.shape[0], x_t.shape[2:]
        given = self.conditions(cond, batch, spatial=spatial)
        vector = F.silu(self.time(t, s, batch) + given.vector)
        x = x_t if given.channels is None else torch.cat([x_t, given.channels.to(x_t.dtype)], dim=1)
        x = fold(marked(x, self.patch), self.patch)
        grid = x.shape[2:]
        x = self.first(x.flatten(2).transpose(1, 2))
        x = x + positions(grid, x.shape[-1], device=x.device).to(x.dtype)
        for block in self.blocks:
            x = passed(block, x, vector, given.tokens, given.token_mask)
        x = self.last(normed(x, *self.modulation(vector, axes=1)))
        x = x.to(x_t.dtype).transpose(1, 2).unflatten(2, grid)
        return cropped(unfold(x, self.patch), spatial)


def fitting(spatial: Sequence[int], tokens: int = 64) -> int:
    """The smallest patch of 2, 4, 8 … that cuts the grid into at most `tokens`; from 1 on where an
    axis is shorter than 4.
    """
    patch = 1 if min(spatial) < 4 else 2
    while math.prod(-(-size // patch) for size in spatial) > tokens:
        patch *= 2
    return patch
