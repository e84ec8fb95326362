"""Magnitude-preserving U-Net for grids of 1, 2 or 3 axes, any channel count and any size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unfog.errors import ArgumentError, ShapeError
from unfog.nets.attention import attend, join, split, unit
from unfog.nets.conditions import Conditions
from unfog.nets.embed import TimeEmbedding
from unfog.nets.given import Given
from unfog.nets.patches import cropped, fold, marked, ringed, unfold
from unfog.nets.recompute import passed
from unfog.nets.registry import nets
from unfog.nets.units import Dropout

SILU = 1 / 0.596  # 1 / rms of silu(normal); always folded into the next layer's weights
OLD, NEW = (weight / math.hypot(0.7, 0.3) for weight in (0.7, 0.3))  # a sum of unit variance


class _Conv(nn.Module):
    """Convolution or 1×1 map whose filters have norm 1, so that unit variance stays unit variance.

    Ref: Karras et al. 2024, Analyzing and Improving the Training Dynamics of Diffusion Models,
    eq. 47
    (with rows of norm 1 stored instead of entries of variance 1, so that usual learning rates fit).
    """

    def __init__(self, inward: int, outward: int, kernel: Sequence[int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outward, inward, *kernel))
        self.padding = tuple(size // 2 for size in kernel)
        self.rings: tuple[int, ...] = ()  # axes of the grid that are closed

    def initialise(self) -> None:
        nn.init.normal_(self.weight)
        self.normalise_weights()

    def normalise_weights(self) -> None:
        with torch.no_grad():
            self.weight.copy_(self.filters(1.0))

    def filters(self, gain: float) -> Tensor:
        rows = self.weight.flatten(1)
        size = torch.linalg.vector_norm(rows, dim=1, keepdim=True) + 1e-8
        return (rows * (gain / size)).view_as(self.weight)

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        weight = self.filters(gain)
        if not self.padding:
            return F.linear(x, weight)
        padding: Sequence[int] = self.padding
        if self.rings:
            x, padding = ringed(x, padding, self.rings)
        return (F.conv3d if x.ndim == 5 else F.conv2d)(x, weight, padding=tuple(padding))


class _Attention(nn.Module):
    """Attention among places, then to the condition's tokens if there are any."""

    def __init__(self, width: int, head_width: int, source: int | None) -> None:
        super().__init__()
        self.heads = next(n for n in range(max(1, width // head_width), 0, -1) if width % n == 0)
        self.scale = (width // self.heads) ** -0.5
        self.all_in = _Conv(width, 3 * width, ())
        self.out = _Conv(width, width, ())
        self.crosses = source is not None
        if source is not None:
            self.query_in = _Conv(width, width, ())
            self.source_in = _Conv(source, 2 * width, ())
            self.cross_out = _Conv(width, width, ())

    def forward(self, x: Tensor, tokens: Tensor | None, mask: Tensor | None) -> Tensor:
        shape = x.shape
        x = x.flatten(2).transpose(1, 2)
        q, k, v = self._normed(self.all_in(x), 3)
        x = torch.add(self.out(join(attend(q * self.scale, k, v)), NEW), x, alpha=OLD)
        if self.crosses:
            (q,) = self._normed(self.query_in(x), 1)
            k, v = self._normed(self.source_in(tokens), 2)
            y = join(attend(q * self.scale, k, v, mask))
            x = torch.add(self.cross_out(y, NEW), x, alpha=OLD)
        return x.transpose(1, 2).view(shape)

    def _normed(self, value: Tensor, parts: int) -> tuple[Tensor, ...]:
        """(B, H, N, D) each, of unit variance within a head."""
        made = split(value, self.heads, parts)
        return F.layer_norm(made, made.shape[-1:]).to(made.dtype).unbind(0)


class _Block(nn.Module):
    """Two convolutions on a residual line, modulated in between; the encoder's start by a norm.

    Ref: Karras et al. 2024, figure 21.
    """

    def __init__(
        self,
        inward: int,
        outward: int,
        kernel: Sequence[int],
        vector: int,
        norm: bool,
        attention: _Attention | None,
        dropout: float,
    ) -> None:
        super().__init__()
        self.norm = norm
        self.skip = _Conv(inward, outward, [1] * len(kernel)) if inward != outward else None
        self.first = _Conv(outward if norm else inward, outward, kernel)
        self.modulation = nn.Linear(vector, 2 * outward)
        self.drop = Dropout(dropout)
        self.second = _Conv(outward, outward, kernel)
        self.attention = attention

    def initialise(self) -> None:
        unit(self.modulation, 0.0)

    def forward(
        self, x: Tensor, vector: Tensor, tokens: Tensor | None, mask: Tensor | None
    ) -> Tensor:
        line = x if self.skip is None else self.skip(x)
        if self.norm:
            last = line.movedim(1, -1)
            line = F.layer_norm(last, last.shape[-1:]).to(line.dtype).movedim(-1, 1)
            x = line
        y = self.first(F.silu(x), SILU)
        made = self.modulation(vector)
        scale, shift = made.view(*made.shape, *(1,) * (y.ndim - 2)).chunk(2, dim=1)
        y = self.drop(F.silu(torch.addcmul(shift, y, 1 + scale)))
        y = self.second(y, SILU * NEW)
        x = torch.add(y, line, alpha=OLD)
        return x if self.attention is None else self.attention(x, tokens, mask)


@nets.add("unet", reference="Karras et al. 2024 (EDM2); Ronneberger et al. 2015", aliases=("edm2",))
class UNet(nn.Module):
    """U-Net on a grid of 1, 2 or 3 axes, magnitude-preserving, with attention where asked.

    All filters are normalised in every forward. A trainer may call `normalise_weights()` after each
    step: then the relative step stays constant instead of shrinking as the stored weights grow.

    Args:
        shape: [C, *S] of one sample; it takes other sizes S too.    width: channels at the top.
        mult: channels of each level over `width`; each level halves the grid.
        blocks: per level, on the way down and on the way up.
        attention: for each level; None = where at most 64 places are left.
        head_width: channels per attention head.
        patch: places along each axis that are folded into channels at the border.
        periodic: axes of the grid, from 0, that are closed to a ring, such as longitude: what
            leaves at one end comes in at the other.
        vector: width of the condition vector; None = 4·width.
        given: condition specs; texts are attended to at attention levels.
        two_times: embed s as well (flow maps).    out_channels: of the output; None = C.
        dropout: share of the entries between a block's convolutions that are dropped in training.
    """

    grid = True  # it reads axes beside channels, so no space may take them away

    def __init__(
        self,
        shape: Sequence[int],
        width: int = 64,
        mult: Sequence[int] = (1, 2, 2),
        blocks: int = 2,
        attention: Sequence[bool] | None = None,
        head_width: int = 64,
        patch: int = 1,
        periodic: Sequence[int] = (),
        vector: int | None = None,
        given: Given | None = None,
        two_times: bool = False,
        out_channels: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.axes = len(self.shape) - 1
        if self.axes not in (1, 2, 3):
            raise ArgumentError(
                f"shape={list(shape)} has {self.axes} axes beside channels; give 1 to 3"
            )
        if any(axis not in range(self.axes) for axis in periodic):
            raise ArgumentError(
                f"periodic={list(periodic)} names axes of a grid that has {self.axes}; give some "
                f"of {list(range(self.axes))}"
            )
        self.periodic = tuple(sorted(set(periodic)))
        self.multiple = patch * 2 ** (len(mult) - 1)
        if attention is None:
            sizes = [-(-size // self.multiple) for size in self.shape[1:]]
            places = [math.prod(n << up for n in sizes) for up in range(len(mult))]
            attention = [count <= 64 for count in reversed(places)]
        if len(attention) != len(mult):
            raise ArgumentError(
                f"attention={list(attention)} needs one value per level of mult={list(mult)}"
            )
        vector = vector or 4 * width
        self.patch = patch
        self.out_channels = out_channels or self.shape[0]
        self.options: dict[str, Any] = {
            "shape": list(self.shape),
            "width": width,
            "mult": list(mult),
            "blocks": blocks,
            "attention": [bool(use) for use in attention],
            "head_width": head_width,
            "patch": patch,
            "periodic": list(self.periodic),
            "vector": vector,
            "given": {name: dict(spec) for name, spec in (given or {}).items()},
            "two_times": two_times,
            "out_channels": out_channels,
            "dropout": dropout,
        }
        self.time = TimeEmbedding(vector, two_times)
        self.conditions = Conditions(given, vector, tokens=any(attention))
        source = vector if self.conditions.tokens else None
        kernel = [1, 3] if self.axes == 1 else [3] * self.axes  # a line is a grid of height 1
        self.halves = tuple(2 if size == 3 else 1 for size in kernel)

        def block(inward: int, outward: int, norm: bool, level: int) -> _Block:
            looks = _Attention(outward, head_width, source) if attention[level] else None
            return _Block(inward, outward, kernel, vector, norm, looks, dropout)

        folded = (self.shape[0] + 1 + self.conditions.channels) * patch**self.axes
        widths = [width * factor for factor in mult]
        levels = range(len(mult))
        self.first = _Conv(folded, widths[0], kernel)
        self.down = nn.ModuleList(
            nn.ModuleList(
                block(
                    widths[max(level - 1, 0)] if not n else widths[level],
                    widths[level],
                    True,
                    level,
                )
                for n in range(blocks)
            )
            for level in levels
        )
        self.middle = block(widths[-1], widths[-1], True, len(mult) - 1)
        self.up = nn.ModuleList(
            nn.ModuleList(
                block(
                    widths[level]
                    + (widths[min(level + 1, levels[-1])] if not n else widths[level]),
                    widths[level],
                    False,
                    level,
                )
                for n in range(blocks)
            )
            for level in reversed(levels)
        )
        self.last = nn.Linear(widths[0], self.out_channels * patch**self.axes)
        for part in self.modules():
            if isinstance(part, _Conv) and any(part.padding):
                part.rings = tuple(axis + (self.axes == 1) for axis in self.periodic)
        self.initialise()

    def initialise(self) -> None:
        """Unit filters, neutral modulation, zero output."""
        self.time.initialise()
        self.conditions.initialise()
        for part in self.modules():
            if isinstance(part, _Conv | _Block):
                part.initialise()
        unit(self.last, 0.0)

    def normalise_weights(self) -> None:
        """Scale every stored filter to norm 1; what the net computes stays the same."""
        for part in self.modules():
            if isinstance(part, _Conv):
                part.normalise_weights()

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
        about = (F.silu(self.time(t, s, batch) + given.vector), given.tokens, given.token_mask)
        x = x_t if given.channels is None else torch.cat([x_t, given.channels.to(x_t.dtype)], dim=1)
        x = fold(marked(x, self.multiple, self.periodic), self.patch)
        if self.axes == 1:
            x = x.unsqueeze(2)
        x = x.contiguous(
            memory_format=torch.channels_last_3d if self.axes == 3 else torch.channels_last
        )
        x = self.first(x)
        skips = []
        for level, blocks in enumerate(self.down):
            if level:
                x = self._halved(x)
            for block in cast(nn.ModuleList, blocks):
                x = passed(block, x, *about)
                skips.append(x)
        x = passed(self.middle, x, *about)
        for level, blocks in enumerate(self.up):
            if level:
                x = F.interpolate(x, scale_factor=self.halves, mode="nearest")
            for block in cast(nn.ModuleList, blocks):
                x = passed(block, torch.cat([x, skips.pop()], dim=1), *about)
        x = self.last(F.silu(x.movedim(1, -1))).movedim(-1, 1)
        if self.axes == 1:
            x = x.squeeze(2)
        x = unfold(x.to(x_t.dtype), self.patch)
        return cropped(x, spatial, self.multiple, self.periodic)

    def _halved(self, x: Tensor) -> Tensor:
        pool = F.avg_pool3d if self.axes == 3 else F.avg_pool2d
        return pool(x, self.halves).to(x.dtype)  # autocast pools volumes in float32
