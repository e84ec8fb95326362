"""What the judge accepts: finite arrays of items, and reproducible subsets of them."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import DataError, ShapeError


def states(x: Any, name: str = "x") -> Tensor:
    """`x` as a float32 tensor (N, *D) on the CPU.

    Raises: ShapeError without an item axis and at least one axis after it; DataError for no items
        or values that are not finite.
    """
    x = torch.as_tensor(x).detach().to("cpu", torch.float32)
    if x.ndim < 2:
        raise ShapeError(f"{name} has shape {tuple(x.shape)}; the judge needs (N, *D): add an axis")
    if x.numel() == 0:
        raise DataError(f"{name} is empty, shape {tuple(x.shape)}; give at least one item")
    broken = int((~torch.isfinite(x.flatten(1))).any(1).sum())
    if broken:
        raise DataError(
            f"{broken} of {len(x)} items of {name} hold NaN or infinity; the judge needs finite "
            "values: mend or remove them first"
        )
    return x


def rows(x: Any, name: str = "x") -> Tensor:
    """`x` as float32 (N, D), every item one row. Raises as `states`."""
    return states(x, name).flatten(1)


def alike(x: Tensor, y: Tensor) -> None:
    """Raises ShapeError unless the items of x and y have the same shape."""
    if x.shape[1:] != y.shape[1:]:
        raise ShapeError(
            f"items of shape {tuple(x.shape[1:])} against {tuple(y.shape[1:])}; both sides need "
            "the same item shape"
        )


def labelled(labels: Any, x: Tensor, name: str = "labels") -> Tensor:
    """`labels` as int64 (N,), one per item of x. Raises ShapeError or DataError."""
    labels = torch.as_tensor(labels).detach().cpu()
    if labels.shape != (len(x),):
        raise ShapeError(f"{name} has shape {tuple(labels.shape)}; {len(x)} items need ({len(x)},)")
    if labels.is_floating_point() or labels.is_complex():
        raise DataError(f"{name} is {labels.dtype}; the judge needs integer classes")
    return labels.long()


def rng(seed: int, *names: str) -> torch.Generator:
    """A generator derived from the seed and a name, so that metrics never share a stream."""
    digest = hashlib.sha256(repr((int(seed), names)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def np_rng(seed: int, *names: str) -> np.random.Generator:
    """As `rng`, for numpy."""
    return np.random.default_rng(rng(seed, *names).initial_seed())


def subset(count: int, most: int, generator: torch.Generator) -> Tensor:
    """Indices of at most `most` of `count` items, drawn without replacement, ascending."""
    if count <= most:
        return torch.arange(count)
    return torch.randperm(count, generator=generator)[:most].sort().values
