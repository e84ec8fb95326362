"""Conditions as vectors, tokens and channels, each with its own learned null, mixed freely."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unfog.errors import ArgumentError, ShapeError
from unfog.nets.given import Given, Spec, completed, dropout, missing, null, sample_shape, validated

__all__ = ["Conditions", "Embedded", "dropout", "null"]


@dataclass(frozen=True)
class Embedded:
    """The conditions of a batch, in the three forms that nets can take."""

    vector: Tensor  # (B, W), or (1, W) if no row is given any; zero without conditions
    tokens: Tensor | None  # (B, L, W), for cross-attention
    token_mask: Tensor | None  # (B, L) bool, True = a real token
    channels: Tensor | None  # (B, C, *spatial), to be concatenated to the state


class _Class(nn.Module):
    """One class of `size`."""

    def __init__(self, spec: Spec, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(spec["size"], width)

    def initialise(self) -> None:
        nn.init.normal_(self.table.weight)

    def forward(self, value: Tensor) -> Tensor:
        return self.table(value)


class _Numbers(nn.Module):
    """Several classes, real numbers, or a whole tensor: flattened, then a two-layer perceptron."""

    def __init__(self, spec: Spec, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(math.prod(sample_shape(spec)), width)
        self.outer = nn.Linear(width, width)

    def initialise(self) -> None:
        for layer, gain in ((self.inner, 1.0), (self.outer, 1.68)):  # 1.68 = 1 / rms(silu(normal))
            nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.in_features))
        nn.init.normal_(self.inner.bias)  # kinks away from zero, so that one number can be resolved
        nn.init.zeros_(self.outer.bias)

    def forward(self, value: Tensor) -> Tensor:
        return self.outer(F.silu(self.inner(value.flatten(1).to(self.inner.weight.dtype))))


class _Text(nn.Module):
    """Tokens with learned positions and one perceptron, so that a mean keeps some order."""

    def __init__(self, spec: Spec, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(spec["size"], width)
        self.places = nn.Parameter(torch.empty(spec["length"], width))
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)

    def initialise(self) -> None:
        for value in (self.table.weight, self.places):
            nn.init.normal_(value, std=math.sqrt(0.5))
        for layer in (self.inner, self.outer):
            nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.in_features))
            nn.init.zeros_(layer.bias)

    def forward(self, value: Tensor) -> Tensor:
        """(B, L, W) of (B, L) indices."""
        token = self.table(value) + self.places[: value.shape[1]]
        return token + self.outer(F.silu(self.inner(token)))


class _State(nn.Module):
    """Another state as channels, learned values where missing, and a channel of presence."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.null = nn.Parameter(torch.empty(spec["shape"][0]))

    def initialise(self) -> None:
        nn.init.normal_(self.null, std=0.1)

    def forward(self, value: Tensor, absent: Tensor) -> Tensor:
        """(B, C + 1, *spatial) of (B, C, *spatial) without NaN."""
        ones = (1,) * (value.ndim - 2)
        gone = absent.view(-1, 1, *ones)
        value = torch.where(gone, self.null.view(1, -1, *ones), value.to(self.null.dtype))
        presence = (~gone).to(value.dtype).expand(-1, 1, *value.shape[2:])
        return torch.cat([value, presence], dim=1)


class _Places(nn.Module):
    """Where each place of a grid, or of a crop of it, lies in the whole: a channel for each axis.

    Ref: Wang et al. 2023, Patch Diffusion, sec. 3.1 (here of unit variance over the whole).
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.axes = spec["size"] // 2

    def initialise(self) -> None:
        """Nothing is learned."""

    def forward(self, value: Tensor, spatial: Sequence[int]) -> Tensor:
        """(B, n, *spatial) in [-sqrt 3, sqrt 3], of the shares (B, 2 n) that were cut off."""
        if len(spatial) != self.axes:
            raise ShapeError(
                f"a crop of {self.axes} axes can't be a grid of {tuple(spatial)}: the condition's "
                f"size is {2 * len(spatial)} there, two for each axis"
            )
        made = []
        for axis, size in enumerate(spatial):
            before, after = value[:, 2 * axis, None], value[:, 2 * axis + 1, None]
            inside = (torch.arange(size, device=value.device) + 0.5) / size
            share = before + inside * (1 - before - after)
            wide = (-1, *(size if other == axis else 1 for other in range(self.axes)))
            made.append(((2 * share - 1) * math.sqrt(3)).view(wide).expand(-1, *spatial))
        return torch.stack(made, dim=1)


_Part = _Class | _Numbers | _Text | _State | _Places


class Conditions(nn.Module):
    """All conditions of a net. A missing one is replaced by its own learned null.

    Text goes as tokens to nets that cross-attend, and its mean over tokens (scaled to unit
    variance) joins the vector of every net. States become channels for nets that work on a grid,
    and join the vector of the others.
    It computes in float32 under autocast, as the time embedding does, and for the same reason.

    Args:
        given: {name: spec}, see `unfog.nets.given`.    width: W of vectors and tokens.
        tokens: whether the net cross-attends.    grid: whether the net concatenates channels.
    """

    origin: Tensor

    def __init__(self, given: Given | None, width: int, tokens: bool, grid: bool = True) -> None:
        super().__init__()
        self.given = validated(given)
        self.width = width
        texts = [name for name, spec in self.given.items() if spec["type"] == "text"]
        self.tokens = tokens and bool(texts)
        self.channels = 0
        self.parts = nn.ModuleDict()
        self.nulls = nn.ParameterDict()
        self.keys: dict[str, str] = {}
        for index, (name, spec) in enumerate(self.given.items()):
            key = self.keys[name] = f"{index}"  # a user's name may hold what a module's may not
            if spec["type"] == "state" and grid:
                self.parts[key] = _State(spec)
                self.channels += spec["shape"][0] + 1
                continue
            if spec["type"] == "crop" and grid:
                self.parts[key] = _Places(spec)
                self.channels += spec["size"] // 2
                continue
            make = {"class": _Class, "text": _Text}.get(spec["type"], _Numbers)
            self.parts[key] = make(spec, width)
            self.nulls[key] = nn.Parameter(torch.empty(width))
        self.register_buffer("origin", torch.zeros(width), persistent=False)
        # the sum of n unit-variance vectors is divided by sqrt(n)
        self.share = 1 / math.sqrt(max(len(self.nulls), 1))

    def initialise(self) -> None:
        """Unit-variance vectors, so that conditions of all types start with the same voice."""
        for part in self.parts.values():
            cast(_Part, part).initialise()
        for value in self.nulls.values():
            nn.init.normal_(value)

    def forward(
        self,
        cond: Mapping[str, Tensor] | None,
        batch: int,
        *,
        drop: Tensor | None = None,
        spatial: Sequence[int] | None = None,
    ) -> Embedded:
        """Embed a batch of conditions.

        Args:
            cond: {name: tensor}; None or a lacking name = missing in every sample.
            batch: B.    drop: (n_given, B) bool, True = treat as missing.
            spatial: the grid that states are resized to (nearest neighbour); None = as they are.
        Raises: UnknownName, ShapeError, ArgumentError, each with the condition's name and value.
        """
        device = self.origin.device
        if drop is not None and tuple(drop.shape) != (len(self.given), batch):
            raise ShapeError(
                f"drop has shape {tuple(drop.shape)}; give ({len(self.given)}, {batch})"
            )
        rows = batch if cond or drop is not None else 1  # what all rows share is computed once
        full = completed(cond, self.given, rows, device)
        vector = self.origin.expand(rows, -1)
        tokens: list[Tensor] = []
        masks: list[Tensor] = []
        channels: list[Tensor] = []
        with torch.autocast(device.type, enabled=False):
            for index, (name, spec) in enumerate(self.given.items()):
                value, key = full[name], self.keys[name]
                absent = missing(value, spec)
                if drop is not None:
                    absent = absent | drop[index]
                part = cast(_Part, self.parts[key])
                if isinstance(part, _Places):
                    channels.append(part(value, spatial or ()))
                    continue
                if isinstance(part, _State):
                    channels.append(self._resized(part(value.nan_to_num(), absent), spatial))
                    continue
                if isinstance(part, _Text):
                    token, real = part(value.clamp(min=0)), value >= 0
                    count = real.sum(1, keepdim=True).clamp(min=1)
                    made = (token * real[..., None]).sum(1) / count.sqrt()
                    if self.tokens:
                        first = torch.arange(value.shape[1], device=device) == 0
                        token = torch.where(absent[:, None, None], self.nulls[key], token)
                        tokens.append(token)
                        masks.append(torch.where(absent[:, None], first, real))
                else:
                    filled = value.clamp(min=0) if spec["type"] == "class" else value.nan_to_num()
                    made = part(filled)
                vector = vector + torch.where(absent[:, None], self.nulls[key], made) * self.share
        return Embedded(
            vector=vector,
            tokens=torch.cat(tokens, dim=1).expand(batch, -1, -1) if tokens else None,
            token_mask=torch.cat(masks, dim=1).expand(batch, -1) if masks else None,
            channels=self._joined(channels, batch),
        )

    def _resized(self, value: Tensor, spatial: Sequence[int] | None) -> Tensor:
        if spatial is None or tuple(value.shape[2:]) == tuple(spatial):
            return value
        if value.ndim - 2 != len(spatial):
            raise ArgumentError(
                f"a state condition has {value.ndim - 2} axes beside channels, but the net's grid "
                f"{tuple(spatial)} has {len(spatial)}; give it as type 'tensor'"
            )
        return F.interpolate(value, size=tuple(spatial), mode="nearest")

    def _joined(self, channels: list[Tensor], batch: int) -> Tensor | None:
        if not channels:
            return None
        if len({tuple(value.shape[2:]) for value in channels}) > 1:
            raise ShapeError(
                f"state conditions on different grids {[tuple(v.shape[2:]) for v in channels]} "
                "need `spatial` to be resized to"
            )
        return torch.cat(channels, dim=1).expand(batch, *(-1,) * (channels[0].ndim - 1))
