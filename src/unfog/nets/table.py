"""Residual perceptron over named columns: numbers and categories in, numbers and logits out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import reduce
from itertools import accumulate
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unfog.errors import ArgumentError, ShapeError
from unfog.nets.attention import Modulation, normed, unit
from unfog.nets.conditions import Conditions
from unfog.nets.embed import TimeEmbedding
from unfog.nets.given import Given
from unfog.nets.mlp import Gated
from unfog.nets.recompute import passed
from unfog.nets.registry import nets
from unfog.nets.sets import check_levels, checked_fields


@nets.add(
    "table",
    reference="Gorishniy et al. 2022 (periodic features); Peebles and Xie 2023 (adaLN-zero)",
)
class TableNet(nn.Module):
    """Perceptron over all columns at once: faster than one token a column, for tables and rows.

    A number enters as itself and as learned waves of itself, a category as a learned vector; all of
    them are summed into the residual line, so the cost hardly grows with the number of columns.

    Args:
        fields: {name: {"type": "number", "size": n} | {"type": "category", "sizes": [k, ...]}}.
        width: of the residual line.    depth: blocks.    expand: hidden width over `width`.
        waves: learned frequencies per number.    vector: width of the condition vector.
        given: condition specs.    two_times: embed s as well (flow maps).
        known: whether the net can be told which entries are known, by `keep`; told of none, it is
            the net without.
        dropout: share of the hidden units that are dropped in training.
    """

    starts: Tensor
    places: Tensor
    tokens: Tensor

    def __init__(
        self,
        fields: Mapping[str, Mapping[str, Any]],
        width: int = 512,
        depth: int = 4,
        expand: float = 1.0,
        waves: int = 8,
        vector: int = 128,
        given: Given | None = None,
        two_times: bool = False,
        known: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.fields = checked_fields(fields)
        for name, spec in self.fields.items():
            if spec["type"] == "points":
                raise ArgumentError(f"field {name!r} is a set of points; take the net 'sets'")
        self.size = sum(spec.get("size", 0) for spec in self.fields.values())
        sizes = [k for spec in self.fields.values() for k in spec.get("sizes", [])]
        hidden = max(8, round(width * expand / 8) * 8)
        self.time = TimeEmbedding(vector, two_times)
        self.conditions = Conditions(given, vector, tokens=False, grid=False)
        if self.size:
            self.frequencies = nn.Parameter(torch.empty(self.size, waves))
            self.first = nn.Linear(self.size * (1 + 2 * waves), width)
        if sizes:
            ends = [*accumulate(k + 1 for k in sizes)]  # a column has its levels and a mask
            self.register_buffer("starts", torch.tensor([0, *ends[:-1]]), persistent=False)
            self.register_buffer("tokens", torch.tensor(sizes), persistent=False)
            self.register_buffer("places", _places(sizes, max(sizes)), persistent=False)
            self.table = nn.EmbeddingBag(ends[-1], width, mode="sum")
        if known:
            told = self.size * (2 + 2 * waves) + len(sizes)
            self.known = nn.Linear(told, width, bias=False)
        self.blocks = nn.ModuleList(Gated(width, hidden, vector, dropout) for _ in range(depth))
        self.modulation = Modulation(vector, width, 2)
        self.last = nn.Linear(width, self.size + sum(sizes))
        self.options: dict[str, Any] = {
            "fields": self.fields,
            "width": width,
            "depth": depth,
            "expand": expand,
            "waves": waves,
            "vector": vector,
            "given": self.conditions.given,
            "two_times": two_times,
            "known": known,
            "dropout": dropout,
        }
        self.initialise()

    def initialise(self) -> None:
        """Unit-gain weights, closed blocks, zero output (even logits)."""
        self.time.initialise()
        self.conditions.initialise()
        columns = self.size + (len(self.tokens) if hasattr(self, "tokens") else 0)
        if self.size:
            nn.init.normal_(self.frequencies)
            unit(self.first, math.sqrt(self.size / columns))
        if hasattr(self, "table"):
            nn.init.normal_(self.table.weight, std=1 / math.sqrt(columns))
        for block in self.blocks:
            cast(Gated, block).initialise()
        self.modulation.initialise()
        unit(self.last, 0.0)
        if hasattr(self, "known"):
            nn.init.zeros_(self.known.weight)

    def forward(
        self,
        x_t: Mapping[str, Tensor],  # number (B, n), category (B, m) long
        t: Tensor,  # () or (B,)
        cond: Mapping[str, Tensor] | None = None,
        s: Tensor | None = None,  # () or (B,)
        keep: Mapping[str, Tensor] | None = None,  # number (B, n), category (B, m): 1 = known
    ) -> dict[str, Tensor]:  # number (B, n), category (B, m, most) logits
        batch = self._checked(x_t)
        vector = F.silu(self.time(t, s, batch) + self.conditions(cond, batch).vector)
        x = self._into(x_t, keep)
        for block in self.blocks:
            x = passed(block, x, vector)
        return self._out(self.last(normed(x, *self.modulation(vector))).to(vector.dtype), x_t)

    def _into(self, x_t: Mapping[str, Tensor], keep: Mapping[str, Tensor] | None) -> Tensor:
        numbers, categories = self._of("number", x_t), self._of("category", x_t)
        told: list[Tensor] = []
        parts: list[Tensor] = []
        if numbers:
            value = torch.cat(numbers, 1)
            angle = value[..., None] * self.frequencies
            waves = torch.cat([value[..., None], angle.cos(), angle.sin()], -1)
            parts.append(self.first(waves.flatten(1)))
            if keep is not None:
                which = torch.cat(self._of("number", keep), 1)[..., None].to(waves.dtype)
                told.append((torch.cat([torch.ones_like(which), waves], -1) * which).flatten(1))
        if categories:
            index = torch.cat(categories, 1)
            check_levels(index, self.tokens)
            parts.append(self.table(index + self.starts))
            if keep is not None:
                told.append(torch.cat(self._of("category", keep), 1).to(torch.float32))
        if told:
            parts.append(self.known(torch.cat(told, 1)))
        first, *others = parts
        return reduce(torch.add, others, first)

    def _of(self, kind: str, state: Mapping[str, Tensor]) -> list[Tensor]:
        return [state[name] for name, spec in self.fields.items() if spec["type"] == kind]

    def _out(self, y: Tensor, x_t: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The answer per field; logits are -inf beyond a column's size."""
        made, done, column = {}, 0, 0
        if hasattr(self, "places"):
            # whole rows of the transpose are picked, and lie as what makes probabilities wants them
            never = y.new_full((1, len(y)), -torch.inf)
            rows = torch.cat([y[:, self.size :].t(), never])
            picked = rows.index_select(0, self.places.t().flatten())
            logits = picked.view(*self.places.t().shape, -1).permute(2, 1, 0)
        for name, spec in self.fields.items():
            if spec["type"] == "number":
                made[name] = y[:, done : done + spec["size"]].to(x_t[name].dtype)
                done += spec["size"]
            else:
                count = len(spec["sizes"])
                made[name] = logits[:, column : column + count, : max(spec["sizes"])]
                column += count
        return made

    def _checked(self, x_t: Mapping[str, Tensor]) -> int:
        if set(x_t) != set(self.fields):
            raise ShapeError(
                f"state has fields {sorted(x_t)}; this net takes {sorted(self.fields)}"
            )
        batch = len(next(iter(x_t.values())))
        for name, spec in self.fields.items():
            wide = spec["size"] if spec["type"] == "number" else len(spec["sizes"])
            if tuple(x_t[name].shape) != (batch, wide):
                raise ShapeError(
                    f"field {name!r} is {tuple(x_t[name].shape)}; it needs ({batch}, {wide})"
                )
        return batch


def _places(sizes: list[int], most: int) -> Tensor:
    """(m, most): where each column's logits lie in a row of all; beyond its size, one past the
    end.
    """
    end = sum(sizes)
    rows, start = [], 0
    for size in sizes:
        rows.append([*range(start, start + size), *([end] * (most - size))])
        start += size
    return torch.tensor(rows)
