"""Grids of any size: pad to a whole number of patches, fold patches into channels, and back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def marked(x: Tensor, multiple: int, periodic: Sequence[int] = ()) -> Tensor:
    """Add a channel of ones and pad the end of every axis with zeros to a multiple.

    The extra channel tells the net what is real and where the border is. A ring has no border: its
    axis stays as it is where the multiple divides it, else it is continued on both sides.

    Args:
        x: (B, C, *S).    periodic: axes of S, from 0, that are closed to a ring.
    Returns: (B, C + 1, *S'), each S' a multiple.
    """
    x = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
    for axis in periodic:
        before, after = overlap(x.shape[2 + axis], multiple)
        if after:
            places = torch.arange(-before, x.shape[2 + axis] + after, device=x.device)
            x = x.index_select(2 + axis, places % x.shape[2 + axis])
    pads = [amount for size in reversed(x.shape[2:]) for amount in (0, -size % multiple)]
    return F.pad(x, pads) if any(pads) else x


def overlap(size: int, multiple: int) -> tuple[int, int]:
    """How far a ring of `size` places is continued before and after, to a multiple of places.

    Two cells on either side, so that what stands at the cut hardly reaches what is kept.
    """
    rest = -size % multiple
    return (2 * multiple, 2 * multiple + rest) if rest else (0, 0)


def cropped(
    x: Tensor, spatial: Sequence[int], multiple: int = 1, periodic: Sequence[int] = ()
) -> Tensor:
    """(B, C, *S') of `marked` cut back to (B, C, *spatial)."""
    for axis, size in enumerate(spatial):
        start = overlap(size, multiple)[0] if axis in periodic else 0
        x = x.narrow(axis + 2, start, size)
    return x


def ringed(x: Tensor, padding: Sequence[int], rings: Sequence[int]) -> tuple[Tensor, list[int]]:
    """Continue the rings of (B, C, *S) by `padding` places at both ends, for a convolution.

    Returns: the wider grid, and the zero padding that is left for the convolution to do.
    """
    ahead = [amount if axis in rings else 0 for axis, amount in enumerate(padding)]
    wide = F.pad(x, [n for amount in reversed(ahead) for n in (amount, amount)], mode="circular")
    return wide, [amount - done for amount, done in zip(padding, ahead)]


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
