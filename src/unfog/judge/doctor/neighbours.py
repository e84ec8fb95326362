"""Held-out items that nearly repeat a training item, whatever the number of directions."""

from __future__ import annotations

import torch
from torch import Tensor

from unfog.judge.doctor.facts import Copies
from unfog.judge.source import directions

NEAR = 0.05
"""Of the distance to the fifth neighbour; copies are nearer than this."""
RANK = 5


def copies(train: Tensor, held: Tensor, *, most: int = 500, among: int = 10_000) -> Copies | None:
    """The share of held-out items (M, D) whose nearest training item (N, D) is far nearer than the
    fifth nearest; None for too few items.

    In smooth data of d directions the first is nearer than a share r of the fifth with chance
    1 - (1 - r^d)^4.
    """
    if len(train) < 2 * RANK or not len(held):
        return None
    picked = torch.Generator().manual_seed(0)
    x = held[torch.randperm(len(held), generator=picked)[:most]].float()
    y = train[torch.randperm(len(train), generator=picked)[:among]].float()
    distance = torch.cdist(x, y).topk(RANK, largest=False).values
    near = distance[:, 0] < NEAR * distance[:, -1]
    size = directions(y.numpy())
    return Copies(float(near.float().mean()), 1 - (1 - NEAR**size) ** 4, len(x))
