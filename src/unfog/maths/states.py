"""A state is a tensor, or a dict of named tensors; these few verbs let the rest not care which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

State = Tensor | dict[str, Tensor]


def each(function: Callable[..., Any], first: Any, *others: Any) -> Any:
    """Apply `function` to a tensor, or field by field to dicts of tensors.

    Among `others`, None stands for None in every field.
    """
    if not isinstance(first, dict):
        return function(first, *others)
    return {
        name: function(value, *(None if o is None else o[name] for o in others))
        for name, value in first.items()
    }


def lead(state: State) -> Tensor:
    """Any one tensor of the state: all of them share batch size and device."""
    return next(iter(state.values())) if isinstance(state, dict) else state


def expand(t: Tensor, x: Tensor) -> Tensor:
    """Shape t, () or (B,) or (B, N), so that it multiplies x (B, *D) from the left."""
    return t.reshape(t.shape + (1,) * (x.ndim - t.ndim)) if t.ndim else t


def entries_mean(error: Any, mask: Any = None, keep: Any = None) -> Tensor:
    """Mean over all but the batch axis, (B, *D) -> (B,), over real (mask) and unknown (not keep)
    entries; for a dict of fields the sum of the fields' means.
    """
    if isinstance(error, dict):
        return torch.stack(list(each(entries_mean, error, mask, keep).values())).sum(0)
    error = error.flatten(1) if error.ndim > 1 else error[:, None]
    if mask is None and keep is None:
        return error.mean(1)
    counted = error.new_ones(error.shape)
    if mask is not None:
        counted = counted * widen(mask, error)
    if keep is not None:
        counted = counted * (1 - widen(keep, error))
    return (error * counted).sum(1) / counted.sum(1).clamp_min(1)


def widen(mask: Tensor, flat: Tensor) -> Tensor:
    """A mask (B, *D') repeated over trailing axes to match a flattened error (B, D)."""
    mask = mask.flatten(1).to(flat.dtype)
    return mask.repeat_interleave(flat.shape[1] // mask.shape[1], 1)
