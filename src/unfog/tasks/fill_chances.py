"""Chances of a hole's levels: what the net gave them where the hole was revealed, over all draws.

A hole is drawn from these chances, so their mean over draws is the chance of every level under the
model, as counts of the draws are, with far less noise (Rao-Blackwell): twenty draws say 0.03 where
counts say 0 or 0.05.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from unfog.kinds.table.codec import TableCodec
from unfog.maths.discrete import Masking

Named = dict[str, tuple[np.ndarray, np.ndarray]]


class Tally:
    """Sums over draws, for every row with holes.

    Args:
        path: of the model, with its fields.     rows: H, how many rows have holes.
    """

    def __init__(self, path: Any, rows: int):
        self.paths = {n: p for n, p in path.fields.items() if isinstance(p, Masking)}
        self.sums = {n: torch.zeros(rows, len(p.sizes), p.width) for n, p in self.paths.items()}
        self.seen: dict[str, Tensor] = {}

    def step(self, before: dict[str, Tensor], x: dict[str, Tensor], x_hat: Any) -> None:
        """A batch's state before and after a step, and the prediction that it followed."""
        for name, path in self.paths.items():
            token = path.mask_token(x[name])
            shown = (before[name] == token) & (x[name] != token)
            last = self.seen.get(name)
            last = torch.zeros_like(x_hat[name]) if last is None else last
            self.seen[name] = torch.where(shown[..., None], x_hat[name], last)

    def end(self, rows: Tensor) -> None:
        """The batch is done; `rows` (B,) are the rows that it drew."""
        for name, last in self.seen.items():
            self.sums[name].index_add_(0, rows.cpu(), last.cpu().float())
        self.seen = {}

    def named(self, codec: TableCodec, holes: dict[str, np.ndarray], draws: int) -> Named:
        """Column -> its levels (K,), and the chances (holes, K) of every hole in it."""
        found: Named = {}
        for name, hole in holes.items():
            column = codec.columns[name]
            for field, part, size in column.parts:
                if part == "level" and column.levels is not None:
                    place = codec.places[name][part]
                    chances = self.sums[field][hole, place, :size].numpy() / draws
                    found[name] = column.levels.spread(chances)
        return found
