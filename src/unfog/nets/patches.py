"""Grids of any size: pad to a whole number of patches, fold patches into channels, and back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def marked(x: Tensor, multiple: int) -> Tensor:
    """Add a channel of ones and pad the end of every axis with zeros to a multiple.

    The extra channel tells the net what is real and where the border is.

    Args:
        x: (B, C, *S).
    Returns: (B, C + 1, *S'), each S' the next multiple.
    """
    x = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
    pads = [amount for size in reversed(x.shape[2:]) for amount in (0, -size % multiple)]
    return F.pad(x, pads) if any(pads) else x


def cropped(x: Tensor, spatial: Sequence[int]) -> Tensor:
    """(B, C, *S') cut back to (B, C, *spatial)."""
    for axis, size in enumerate(spatial, start=2):
        x = x.narrow(axis, 0, size)
    return x


def fold(x: Tensor, patch: int) -> Tensor:
    """Patches into channels: (B, C, *S) → (B, C·patch^n, *S/patch) with n axes."""
    if patch == 1:
        return x
    axes = x.ndim - 2
    x = x.reshape(*x.shape[:2], *(n for size in x.shape[2:] for n in (size // patch, patch)))
    places, inside = range(2, 2 + 2 * axes, 2), range(3, 3 + 2 * axes, 2)
    return x.permute(0, 1, *inside, *places).flatten(1, 1 + axes)


def unfold(x: Tensor, patch: int) -> Tensor:
    """The inverse of `fold`: (B, C·patch^n, *S) → (B, C, *S·patch)."""
    if patch == 1:
        return x
    axes = x.ndim - 2
    x = x.unflatten(1, (-1, *(patch,) * axes))
    order = [n for axis in range(axes) for n in (2 + axes + axis, 2 + axis)]
    x = x.permute(0, 1, *order)
    for axis in range(axes):
        x = x.flatten(2 + axis, 3 + axis)
    return x
