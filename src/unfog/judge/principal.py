"""Principal components: the few directions that carry most of the variance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

EXACT = 1200  # above this size of the smaller side, a randomised range finder takes over


@dataclass(frozen=True)
class Components:
    """mean (D,) and orthonormal directions (D, r), by falling variance."""

    mean: Tensor
    directions: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Coordinates (N, r) of rows x (N, D)."""
        return (x - self.mean) @ self.directions


def principal(x: Tensor, rank: int, *, generator: torch.Generator) -> Components:
    """Fit at most `rank` principal components to rows x (N, D).

    Ref: Halko, Martinsson and Tropp 2011, Finding structure with randomness, algorithm 4.4.
    """
    mean = x.mean(0)
    centred = x - mean
    n, dims = centred.shape
    rank = min(rank, n, dims)
    if dims <= EXACT:
        _, vectors = torch.linalg.eigh(centred.T @ centred)
        return Components(mean, vectors[:, -rank:].flip(1).contiguous())
    basis = torch.randn(dims, min(rank + 16, n, dims), generator=generator)
    for _ in range(4):
        basis, _ = torch.linalg.qr(centred.T @ (centred @ basis))
    _, _, rotation = torch.linalg.svd(centred @ basis, full_matrices=False)
    return Components(mean, (basis @ rotation.T)[:, :rank].contiguous())
