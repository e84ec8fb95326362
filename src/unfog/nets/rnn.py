"""Recurrent net for series: gated recurrent units on a modulated residual line."""

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
from unfog.nets.embed import TimeEmbedding
from unfog.nets.given import Given
from unfog.nets.recompute import passed
from unfog.nets.registry import nets


class _Block(nn.Module):
    """One recurrent layer, one or both ways, behind a gate."""

    def __init__(self, width: int, vector: int, causal: bool) -> None:
        super().__init__()
        self.modulation = Modulation(vector, width, 3)
        self.recurrent = nn.GRU(width, width, batch_first=True, bidirectional=not causal)
        self.outer = nn.Linear(width if causal else 2 * width, width)

    def initialise(self) -> None:
        self.modulation.initialise()
        unit(self.outer)
        for name, value in self.recurrent.named_parameters():
            if name.startswith("bias"):
                nn.init.zeros_(value)
            elif name.startswith("weight_hh"):
                for gate in value.chunk(3):  # an orthogonal step neither grows nor forgets
                    nn.init.orthogonal_(gate)
            else:
                nn.init.normal_(value, std=1 / math.sqrt(value.shape[1]))

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        shift, scale, gate = self.modulation(vector, axes=1)
        y = normed(x, shift, scale)
        with torch.autocast(x.device.type, enabled=False):  # the recurrence adds up rounding errors
            y, _ = self.recurrent(y.to(next(self.recurrent.parameters()).dtype))
        y = self.outer(y)
        return torch.addcmul(x, gate.to(x.dtype), y.to(x.dtype))


@nets.add("rnn", reference="Cho et al. 2014 (GRU)", aliases=("gru",))
class RNN(nn.Module):
    """Recurrent net for series (B, C, L), modulated by time and conditions.

    Args:
        shape: [C, L] of one sample; it takes other lengths too.    width: of the line.
        depth: recurrent layers.    causal: look only at earlier entries; else both ways.
        vector: width of the condition vector.    given: condition specs.
        two_times: embed s as well (flow maps).    out_channels: of the output; None = C.
    """

    def __init__(
        self,
        shape: Sequence[int],
        width: int = 128,
        depth: int = 3,
        causal: bool = False,
        vector: int = 128,
        given: Given | None = None,
        two_times: bool = False,
        out_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        if len(self.shape) != 2:
            raise ShapeError(f"shape={list(shape)} is not that of a series; give [C, L]")
        self.out_channels = out_channels or self.shape[0]
        self.time = TimeEmbedding(vector, two_times)
        self.conditions = Conditions(given, vector, tokens=False)
        self.first = nn.Linear(self.shape[0] + self.conditions.channels, width)
        self.blocks = nn.ModuleList(_Block(width, vector, causal) for _ in range(depth))
        self.modulation = Modulation(vector, width, 2)
        self.last = nn.Linear(width, self.out_channels)
        self.options: dict[str, Any] = {
            "shape": list(self.shape),
            "width": width,
            "depth": depth,
            "causal": causal,
            "vector": vector,
            "given": self.conditions.given,
            "two_times": two_times,
            "out_channels": out_channels,
        }
        self.initialise()

    def initialise(self) -> None:
        """Unit-gain weights, closed layers, zero output."""
        self.time.initialise()
        self.conditions.initialise()
        unit(self.first)
        for block in self.blocks:
            cast(_Block, block).initialise()
        self.modulation.initialise()
        unit(self.last, 0.0)

    def forward(
        self,
        x_t: Tensor,  # (B, C, L)
        t: Tensor,  # () or (B,)
        cond: Mapping[str, Tensor] | None = None,
        s: Tensor | None = None,  # () or (B,)
    ) -> Tensor:  # (B, out_channels, L)
        if x_t.ndim != 3 or x_t.shape[1] != self.shape[0]:
            raise ShapeError(f"state is {tuple(x_t.shape)}; this net takes (B, *{self.shape})")
        batch = x_t.shape[0]
        given = self.conditions(cond, batch, spatial=x_t.shape[2:])
        vector = F.silu(self.time(t, s, batch) + given.vector)
        x = x_t if given.channels is None else torch.cat([x_t, given.channels.to(x_t.dtype)], dim=1)
        x = self.first(x.transpose(1, 2))
        for block in self.blocks:
            x = passed(block, x, vector)
        x = self.last(normed(x, *self.modulation(vector, axes=1)))
        return x.to(x_t.dtype).transpose(1, 2)
