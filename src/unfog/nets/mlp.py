"""Residual perceptron with modulation: for rows of numbers and any small state."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unfog.errors import ShapeError
from unfog.nets.attention import Modulation, normed, unit
from unfog.nets.conditions import Conditions
from unfog.nets.embed import TimeEmbedding, sinusoids
from unfog.nets.given import Given
from unfog.nets.recompute import passed
from unfog.nets.registry import nets
from unfog.nets.units import Dropout


class Gated(nn.Module):
    """One gated perceptron (SwiGLU) on a residual line, modulated by the condition vector."""

    def __init__(self, width: int, hidden: int, vector: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.modulation = Modulation(vector, width, 3)
        self.inner = nn.Linear(width, 2 * hidden, bias=False)
        self.outer = nn.Linear(hidden, width, bias=False)
        self.drop = Dropout(dropout)

    def initialise(self) -> None:
        self.modulation.initialise()
        unit(self.inner)
        unit(self.outer)

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        shift, scale, gate = self.modulation(vector)
        value, door = self.inner(normed(x, shift, scale)).chunk(2, dim=-1)
        y = self.outer(self.drop(F.silu(door) * value))
        return torch.addcmul(x, gate.to(x.dtype), y.to(x.dtype))


@nets.add("mlp", reference="Peebles and Xie 2023 (adaLN-zero); Shazeer 2020 (SwiGLU)")
class MLP(nn.Module):
    """Residual perceptron, modulated by time and conditions; any shape, flattened inside.

    Args:
        shape: [*D] of one sample.    width: of the residual line.    depth: blocks.
        expand: hidden width over `width`.    vector: width of the condition vector; small,
            since the modulation costs batch × vector × 3·width per block.
        given: condition specs.    two_times: embed s as well (flow maps).
        out_channels: first size of the output, if not that of `shape`.
        dropout: share of the hidden units that are dropped in training.
        waves: show every number of the state with the cosines and sines of so many octaves of it,
            from half a radian per unit on; a perceptron alone learns fine detail in a few
            coordinates late. 0 = the numbers alone.
    Ref: Tancik et al. 2020, Fourier Features Let Networks Learn High Frequency Functions in Low
    Dimensional Domains, sec. 6 (positional encoding).
    """

    def __init__(
        self,
        shape: Sequence[int],
        width: int = 512,
        depth: int = 4,
        expand: float = 1.0,
        vector: int = 128,
        given: Given | None = None,
        two_times: bool = False,
        out_channels: int | None = None,
        dropout: float = 0.0,
        waves: int = 0,
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.out_shape = (out_channels or self.shape[0], *self.shape[1:])
        hidden = max(8, round(width * expand / 8) * 8)
        self.time = TimeEmbedding(vector, two_times)
        self.conditions = Conditions(given, vector, tokens=False, grid=False)
        self.waves = waves
        self.first = nn.Linear(math.prod(self.shape) * (1 + 2 * waves), width)
        self.blocks = nn.ModuleList(Gated(width, hidden, vector, dropout) for _ in range(depth))
        self.modulation = Modulation(vector, width, 2)
        self.last = nn.Linear(width, math.prod(self.out_shape))
        self.options: dict[str, Any] = {
            "shape": list(self.shape),
            "width": width,
            "depth": depth,
            "expand": expand,
            "vector": vector,
            "given": self.conditions.given,
            "two_times": two_times,
            "out_channels": out_channels,
            "dropout": dropout,
            "waves": waves,
        }
        self.initialise()

    def initialise(self) -> None:
        """Unit-gain weights, closed blocks, zero output."""
        self.time.initialise()
        self.conditions.initialise()
        unit(self.first)
        for block in self.blocks:
            cast(Gated, block).initialise()
        self.modulation.initialise()
        unit(self.last, 0.0)

    def forward(
        self,
        x_t: Tensor,  # (B, *shape)
        t: Tensor,  # () or (B,)
        cond: Mapping[str, Tensor] | None = None,
        s: Tensor | None = None,  # () or (B,)
    ) -> Tensor:  # (B, *out_shape)
        batch = x_t.shape[0]
        if tuple(x_t.shape[1:]) != self.shape:
            raise ShapeError(
                f"state has shape {tuple(x_t.shape)}; this net takes (B, *{self.shape})"
            )
        vector = self.time(t, s, batch) + self.conditions(cond, batch).vector
        vector = F.silu(vector)
        x = x_t.flatten(1)
        if self.waves:
            octaves = 2.0 ** torch.arange(-1, self.waves - 1, device=x.device)
            x = torch.cat([x, sinusoids(x, octaves).flatten(1)], dim=1)
        x = self.first(x)
        for block in self.blocks:
            x = passed(block, x, vector)
        x = self.last(normed(x, *self.modulation(vector)))
        return x.to(x_t.dtype).view(batch, *self.out_shape)
