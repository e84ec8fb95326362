"""What samples have from the start: a noised state to begin with, or entries that are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unfog.maths.states import State, each


@dataclass(frozen=True)
class Begin:
    """Where sampling starts if not at pure noise: data, noised up to t.

    Attributes:
        state: (count, *D) in the space's coordinates, or a dict of fields.     t: in (0, 1].
    """

    state: State
    t: float

    def cut(self, grid: Tensor) -> Tensor:
        """The times below t, with t in front; a grid that rises again does so below t only."""
        above = (grid >= self.t).nonzero()
        rest = grid[int(above.max()) + 1 :] if len(above) else grid
        return torch.cat([torch.tensor([self.t], dtype=grid.dtype), rest])

    def part(self, start: int, stop: int) -> Begin:
        """Some of the samples."""
        return Begin(each(lambda v: v[start:stop], self.state), self.t)


@dataclass(frozen=True)
class Held:
    """Entries that all samples have from the start.

    Attributes:
        known: field -> (N, n) values, read where `keep` is 1.     keep: field -> (N, n) bool.
    """

    known: dict[str, Tensor]
    keep: dict[str, Tensor]

    def part(self, rows: Any, device: Any) -> Held:
        """These rows (a slice or their places), on a device."""
        known, keep = (
            {name: value[rows].to(device) for name, value in state.items()}
            for state in (self.known, self.keep)
        )
        return Held(known, keep)
