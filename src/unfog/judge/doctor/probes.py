"""What a condition says of the data: learnt from training items, judged on held-out ones."""

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


NOISE = (0.25, 0.5, 1.0, 2.0)
"""Noise levels of the denoisers, in units of the data's overall deviation."""
NEAR = (0.1, 0.2, 0.4)
"""Widths of the data's kernel, likewise."""
ALIKE = 0.3
"""Width of the condition's kernel, in units of its overall deviation."""
MANY = 2000


def told(given: Tensor, data: Tensor, held_given: Tensor, held: Tensor) -> float:
    """Share by which a condition lowers the error of a kernel denoiser, at the noise level where it
    does most; two standard errors of the paired difference are taken off.

        x_hat = sum_i w_i x_i / sum_i w_i,
        w_i = exp(-|x_t - x_i|^2 / 2 (sigma^2 + h^2) - |c - c_i|^2 / 2 g^2),   x_t = x + sigma z

    Unlike a linear fit it hears of a class that tells the spread or the shape and not the mean.

    Args:
        given, held_given: (N, k), (M, k).     data, held: (N, D), (M, D).
    """
    x, y = data[:MANY].double(), held[:MANY].double()
    whole = x.var(0).mean().sqrt().clamp_min(1e-12)
    x, y = x / whole, y / whole
    spread = given.double().var(0).sum().sqrt().clamp_min(1e-12)
    apart = torch.cdist(held_given[:MANY].double() / spread, given[:MANY].double() / spread)
    alike = -apart.square() / (2 * ALIKE**2)
    noise = torch.Generator().manual_seed(5)
    most = 0.0
    for sigma in NOISE:
        x_t = y + sigma * torch.randn(y.shape, generator=noise, dtype=y.dtype)
        far = torch.cdist(x_t, x).square()
        scores = [-far / (2 * (sigma**2 + near**2)) for near in NEAR]
        plain, knowing = (
            min(
                (((score + extra).softmax(1) @ x - y).square().mean(1) for score in scores),
                key=lambda errors: float(errors.mean()),
            )
            for extra in (torch.zeros_like(alike), alike)
        )
        drop = plain - knowing
        sure = drop.mean() - 2 * drop.std() / len(drop) ** 0.5
        most = max(most, float(sure / plain.mean().clamp_min(1e-30)))
    return most
