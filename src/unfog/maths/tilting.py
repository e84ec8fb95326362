"""Exponential tilting: the least change of weights that moves means to where they are wanted."""

from __future__ import annotations

import torch
from torch import Tensor

from unfog.errors import ShapeError


def tilt(log_weight: Tensor, features: Tensor, *, iterations: int = 200) -> tuple[Tensor, bool]:
    """The vector l for which sum_i w_i exp(l . f_i) f_i = 0, and whether there is one.

    Of all distributions with these means, the tilted one is nearest to w in Kullback-Leibler
    divergence; it is also what rows are distributed as, given that the mean of very many of them is
    0. It minimises the convex log sum_i w_i exp(l . f_i), by damped Newton steps.

    Args:
        log_weight: (M,), not normalised.     features: (M, k).
    Returns: (k,) float64; False where 0 lies outside of what weighted means can reach: l then
        goes as far as float64 lets weights tell apart.
    Ref: Csiszar 1975, I-divergence geometry of probability distributions; Gibbs conditioning:
        Csiszar 1984, Sanov property, generalized I-projection.
    """
    if features.ndim != 2 or len(features) != len(log_weight):
        raise ShapeError(
            f"features are ({len(log_weight)}, k), a row per weight; got {tuple(features.shape)}"
        )
    f, w = features.double(), log_weight.double()
    there = w > -torch.inf
    scale = f[there].abs().amax(0).clamp_min(torch.finfo(torch.float64).tiny)
    f = f / scale
    at = f.new_zeros(f.shape[1])

    def height(place: Tensor) -> Tensor:
        return torch.logsumexp(w + f @ place, 0)

    for _ in range(iterations):
        share = torch.softmax(w + f @ at, 0)
        mean = share @ f
        if bool((mean.abs() < 1e-10).all()):
            return at / scale, True
        spread = (share[:, None] * (f - mean)).mT @ (f - mean)
        ridge = 1e-12 * (1 + spread.diagonal().sum()) * torch.eye(len(at)).to(f)
        step = -torch.linalg.solve(spread + ridge, mean)
        step = step * (50 / step.norm().clamp_min(50))
        size, now = 1.0, height(at)
        while size > 1e-6 and bool(height(at + size * step) > now + 1e-4 * size * (mean @ step)):
            size /= 2
        if bool((at + size * step).norm() > 1e6):
            break
        at = at + size * step
    share = torch.softmax(w + f @ at, 0)
    return at / scale, bool(((share @ f).abs() < 1e-6).all())
