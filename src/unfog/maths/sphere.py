"""Ways along a sphere: between two noises, which lie near one."""

from __future__ import annotations

import torch
from torch import Tensor


def slerp(a: Tensor, b: Tensor, share: Tensor | float) -> Tensor:
    """Between (B, *D) noises along the great circle, lengths in proportion; a at 0, b at 1.

    Ref: Shoemake 1985, Animating Rotation with Quaternion Curves.
    """
    u, v = a.flatten(1).double(), b.flatten(1).double()
    long, wide = u.norm(dim=1, keepdim=True), v.norm(dim=1, keepdim=True)
    cosine = ((u * v).sum(1, keepdim=True) / (long * wide).clamp_min(1e-30)).clamp(-1, 1)
    angle = torch.acos(cosine)
    straight = angle.sin() < 1e-6
    sine = torch.where(straight, 1.0, angle.sin())
    w = torch.as_tensor(share, dtype=torch.float64)
    first = torch.where(straight, 1 - w, ((1 - w) * angle).sin() / sine)
    second = torch.where(straight, w, (w * angle).sin() / sine)
    length = (1 - w) * long + w * wide
    way = first * u / long.clamp_min(1e-30) + second * v / wide.clamp_min(1e-30)
    return (way * length).reshape(a.shape).to(a)
