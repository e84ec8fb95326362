"""What a condition says of the data, by a linear fit on training items, judged on held-out ones."""

from __future__ import annotations

import torch
from torch import Tensor

MOST = 256
"""Columns of a condition that the probe looks at."""


def features(values: Tensor, size: int | None = None) -> Tensor:
    """(N, k) float64 columns of a condition: one-hot classes, or numbers with their squares.

    Args:
        values: (N,) classes, -1 where missing; or (N, …) numbers, NaN where missing.
        size: how many classes; None for numbers.
    """
    if size is not None:
        flat = values.reshape(len(values), -1)
        hot = torch.zeros(len(values), min(size, 4096), dtype=torch.float64)
        for column in flat.T:
            known = (column >= 0) & (column < hot.shape[1])
            hot[known.nonzero()[:, 0], column[known].long()] = 1
        return hot
    flat = values.reshape(len(values), -1).double().nan_to_num()[:, :MOST]
    return torch.cat([flat, flat.square()], 1)


def explained(
    given: Tensor, data: Tensor, held_given: Tensor, held: Tensor
) -> tuple[float, float, int]:
    """Shares of held-out variance that a ridge regression predicts: of all entries together, of the
    best entry, and which that is. Entries of hardly any variance don't count as best.

    Args:
        given, held_given: (N, k), (M, k).     data, held: (N, D), (M, D).
    """
    mean = given.mean(0)
    x, y = given - mean, data.double() - data.double().mean(0)
    gram = x.T @ x
    ridge = 1e-6 * gram.diagonal().mean().clamp_min(1e-9) + 1e-3
    slope = torch.linalg.solve(gram + ridge * torch.eye(len(gram), dtype=gram.dtype), x.T @ y)
    real = held.double() - data.double().mean(0)
    left = (real - (held_given - mean) @ slope).square().mean(0)
    whole = real.square().mean(0)
    share = 1 - left / whole.clamp_min(1e-30)
    share = torch.where(whole > 1e-3 * whole.mean(), share, -torch.inf)
    best = int(share.argmax())
    return float(1 - left.sum() / whole.sum().clamp_min(1e-30)), float(share[best]), best
