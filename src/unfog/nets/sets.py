"""Transformers over named fields (numbers, categories, points) and over one set of points."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import accumulate
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unfog.errors import ArgumentError, ShapeError, UnknownName
from unfog.nets.attention import Block, Modulation, checked_heads, normed, unit
from unfog.nets.conditions import Conditions
from unfog.nets.embed import TimeEmbedding
from unfog.nets.given import Given
from unfog.nets.recompute import passed
from unfog.nets.registry import nets
from unfog.registry import unknown

FIELD_KEYS = {"number": "size", "category": "sizes", "points": "size"}


class _Numbers(nn.Module):
    """n columns of numbers, one token each: the value and learned waves of it, mapped per column.

    Ref: Gorishniy et al. 2022, On Embeddings for Numerical Features, section 3.3 (periodic).
    """

    def __init__(self, size: int, width: int, waves: int = 8) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(torch.empty(size, waves))
        self.into = nn.Parameter(torch.empty(size, 1 + 2 * waves, width))
        self.names = nn.Parameter(torch.empty(size, width))
        self.out = nn.Parameter(torch.empty(size, width))
        self.bias = nn.Parameter(torch.empty(size))

    def initialise(self) -> None:
        nn.init.normal_(self.frequencies)
        nn.init.normal_(self.into, std=1 / math.sqrt(self.into.shape[1]))
        nn.init.normal_(self.names)
        nn.init.zeros_(self.out)
        nn.init.zeros_(self.bias)

    def tokens(self, value: Tensor) -> Tensor:
        """(B, n, W) of (B, n)."""
        angle = value[..., None] * self.frequencies
        waves = torch.cat([value[..., None], angle.cos(), angle.sin()], dim=-1)
        return torch.einsum("bnf,nfw->bnw", waves, self.into) + self.names

    def answer(self, token: Tensor) -> Tensor:
        """(B, n) of (B, n, W)."""
        return (token * self.out).sum(-1) + self.bias


class _Categories(nn.Module):
    """m columns of categories, one token each; the index `size` of a column is its mask."""

    starts: Tensor
    sizes: Tensor

    def __init__(self, sizes: list[int], width: int) -> None:
        super().__init__()
        self.most = max(sizes)
        ends = [*accumulate(size + 1 for size in sizes)]  # a column has its levels and a mask
        self.register_buffer("starts", torch.tensor([0, *ends[:-1]]), persistent=False)
        self.register_buffer("sizes", torch.tensor(sizes), persistent=False)
        self.table = nn.Embedding(ends[-1], width)
        self.names = nn.Parameter(torch.empty(len(sizes), width))
        self.out = nn.Parameter(torch.empty(len(sizes), self.most, width))
        self.bias = nn.Parameter(torch.empty(len(sizes), self.most))

    def initialise(self) -> None:
        nn.init.normal_(self.table.weight)
        nn.init.normal_(self.names)
        nn.init.zeros_(self.out)
        nn.init.zeros_(self.bias)

    def tokens(self, value: Tensor) -> Tensor:
        """(B, m, W) of (B, m) indices, 0 to size inclusive."""
        check_levels(value, self.sizes)
        return self.table(value + self.starts) + self.names

    def answer(self, token: Tensor) -> Tensor:
        """(B, m, most) logits of (B, m, W), -inf beyond a column's size."""
        logits = torch.einsum("bmw,mkw->bmk", token, self.out) + self.bias
        beyond = torch.arange(self.most, device=token.device) >= self.sizes[:, None]
        return logits.masked_fill(beyond, -torch.inf)


def check_levels(value: Tensor, sizes: Tensor) -> None:
    """Raise ArgumentError unless value, (B, m), holds indices of columns of these sizes, (m,)."""
    wrong = (value < 0) | (value > sizes)
    if bool(wrong.any()):
        column = int(wrong.any(0).nonzero()[0])
        raise ArgumentError(
            f"category column {column} has the index {int(value[wrong][0])}; allowed are 0 to "
            f"{int(sizes[column]) - 1}, and {int(sizes[column])} for masked"
        )


class _Points(nn.Module):
    """A set of points, one token each, without order."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.into = nn.Linear(size, width)
        self.out = nn.Linear(width, size)

    def initialise(self) -> None:
        unit(self.into)
        nn.init.normal_(self.into.bias)  # tells the tokens of one field from another's
        unit(self.out, 0.0)

    def tokens(self, value: Tensor) -> Tensor:
        """(B, N, W) of (B, N, dim)."""
        return self.into(value)

    def answer(self, token: Tensor) -> Tensor:
        """(B, N, dim) of (B, N, W)."""
        return self.out(token)


_Part = _Numbers | _Categories | _Points


def checked_fields(fields: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The specs as plain dicts. Raises UnknownName or ArgumentError with the field's name."""
    plain: dict[str, dict[str, Any]] = {}
    for name, spec in fields.items():
        kind = spec.get("type")
        if kind not in FIELD_KEYS:
            raise UnknownName(unknown(f"type of field {name!r}:", kind, FIELD_KEYS))
        key = FIELD_KEYS[kind]
        value = spec.get(key)
        if key == "sizes":
            sizes = list(value) if isinstance(value, list | tuple) else []
        else:
            sizes = [value]
        if not sizes or any(type(size) is not int or size < 1 for size in sizes):
            raise ArgumentError(f"field {name!r} of type {kind!r} has {key}={value!r}")
        if set(spec) != {"type", key}:
            raise ArgumentError(f"field {name!r} has {sorted(spec)}; give 'type' and {key!r}")
        plain[name] = {"type": kind, key: sizes if key == "sizes" else value}
    if not plain:
        raise ArgumentError("fields is empty; name at least one field")
    return plain


@nets.add("sets", reference="Gorishniy et al. 2021 (FT-Transformer); Peebles and Xie 2023")
class Sets(nn.Module):
    """Transformer over named fields; every column and every point is a token.

    Args:
        fields: {name: {"type": "number", "size": n} | {"type": "category", "sizes": [k, ...]} |
            {"type": "points", "size": dim}}.
        width: of a token.    depth: blocks.    heads: attention heads; None = width / 32.
        expand: hidden width of the perceptron over `width`.    given: condition specs.
        two_times: embed s as well (flow maps).
    """

    def __init__(
        self,
        fields: Mapping[str, Mapping[str, Any]],
        width: int = 128,
        depth: int = 4,
        heads: int | None = None,
        expand: float = 2.0,
        given: Given | None = None,
        two_times: bool = False,
    ) -> None:
        super().__init__()
        self.fields = checked_fields(fields)
        heads = checked_heads(width, heads or max(1, width // 32))
        makers = {"number": _Numbers, "category": _Categories, "points": _Points}
        self.parts = nn.ModuleList(  # by place: a field's name may hold what a module's may not
            makers[spec["type"]](spec[FIELD_KEYS[spec["type"]]], width)
            for spec in self.fields.values()
        )
        self.time = TimeEmbedding(width, two_times)
        self.conditions = Conditions(given, width, tokens=True, grid=False)
        source = width if self.conditions.tokens else None
        self.blocks = nn.ModuleList(
            Block(width, heads, width, source, expand) for _ in range(depth)
        )
        self.modulation = Modulation(width, width, 2)
        self.options: dict[str, Any] = {
            "fields": self.fields,
            "width": width,
            "depth": depth,
            "heads": heads,
            "expand": expand,
            "given": self.conditions.given,
            "two_times": two_times,
        }
        self.initialise()

    def initialise(self) -> None:
        """Unit-gain weights, closed blocks, zero output (even logits)."""
        self.time.initialise()
        self.conditions.initialise()
        for part in (*self.parts, *self.blocks, self.modulation):
            cast(_Part, part).initialise()

    def forward(
        self,
        x_t: Mapping[str, Tensor],  # number (B, n), category (B, m) long, points (B, N, dim)
        t: Tensor,  # () or (B,)
        cond: Mapping[str, Tensor] | None = None,
        s: Tensor | None = None,  # () or (B,)
        mask: Mapping[str, Tensor] | None = None,  # {field: (B, N)}, 1 = a real entry
    ) -> dict[str, Tensor]:  # number (B, n), category (B, m, most) logits, points (B, N, dim)
        if set(x_t) != set(self.fields):
            raise ShapeError(
                f"state has fields {sorted(x_t)}; this net takes {sorted(self.fields)}"
            )
        for name in mask or {}:
            if name not in self.fields:
                raise UnknownName(unknown("masked field", name, self.fields))
        batch = next(iter(x_t.values())).shape[0]
        given = self.conditions(cond, batch)
        vector = F.silu(self.time(t, s, batch) + given.vector)
        tokens = [
            cast(_Part, part).tokens(self._fitting(name, x_t[name], batch))
            for name, part in zip(self.fields, self.parts)
        ]
        counts = [token.shape[1] for token in tokens]
        real = self._real(counts, mask, batch, vector.device) if mask else None
        x = torch.cat([token.to(tokens[0].dtype) for token in tokens], dim=1)
        for block in self.blocks:
            x = passed(block, x, vector, given.tokens, given.token_mask, real)
        x = normed(x, *self.modulation(vector, axes=1))
        made = {}
        for name, part, token in zip(self.fields, self.parts, x.split(counts, dim=1)):
            like = x_t[name].dtype if x_t[name].is_floating_point() else vector.dtype
            made[name] = cast(_Part, part).answer(token).to(like)
        return made

    def _fitting(self, name: str, value: Tensor, batch: int) -> Tensor:
        spec = self.fields[name]
        size = len(spec["sizes"]) if spec["type"] == "category" else spec["size"]
        axes = 3 if spec["type"] == "points" else 2
        if value.ndim != axes or value.shape[0] != batch or value.shape[-1] != size:
            raise ShapeError(
                f"field {name!r} is {tuple(value.shape)}; it needs {axes} axes, the first {batch} "
                f"and the last {size}"
            )
        return value

    def _real(
        self, counts: list[int], mask: Mapping[str, Tensor], batch: int, device: torch.device
    ) -> Tensor:
        """(B, all tokens) bool, True = a real entry."""
        parts = []
        for name, count in zip(self.fields, counts):
            part = mask.get(name, torch.ones(batch, count, device=device))
            if tuple(part.shape) != (batch, count):
                raise ShapeError(
                    f"mask of {name!r} is {tuple(part.shape)}; it needs ({batch}, {count})"
                )
            parts.append(part > 0)
        return torch.cat(parts, dim=1)


@nets.add("points", reference="Lee et al. 2019 (Set Transformer); Peebles and Xie 2023")
class Points(nn.Module):
    """Transformer over one set of points (B, N, dim); reordering the points reorders the answer.

    Args:
        shape: [N, dim] of one sample; it takes other N too.    width, depth, heads, expand, given,
        two_times: as in `sets`.
    """

    def __init__(
        self,
        shape: list[int],
        width: int = 128,
        depth: int = 4,
        heads: int | None = None,
        expand: float = 2.0,
        given: Given | None = None,
        two_times: bool = False,
    ) -> None:
        super().__init__()
        if len(shape) != 2:
            raise ShapeError(f"shape={list(shape)} is not that of a set of points; give [N, dim]")
        fields = {"points": {"type": "points", "size": shape[1]}}
        self.sets = Sets(fields, width, depth, heads, expand, given, two_times)
        self.options: dict[str, Any] = {"shape": list(shape), **self.sets.options}
        del self.options["fields"]

    @property
    def conditions(self) -> Conditions:
        """What the net is conditioned on."""
        return self.sets.conditions

    def initialise(self) -> None:
        """As in `sets`."""
        self.sets.initialise()

    def forward(
        self,
        x_t: Tensor,  # (B, N, dim)
        t: Tensor,  # () or (B,)
        cond: Mapping[str, Tensor] | None = None,
        s: Tensor | None = None,  # () or (B,)
        mask: Tensor | None = None,  # (B, N), 1 = a real point
    ) -> Tensor:  # (B, N, dim)
        masks = None if mask is None else {"points": mask}
        return self.sets({"points": x_t}, t, cond, s, masks)["points"]
