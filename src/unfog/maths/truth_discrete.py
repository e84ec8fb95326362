"""The exact predictor of a known joint table of categories, for the masking path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from unfog.errors import ArgumentError
from unfog.maths.discrete import Masking
from unfog.maths.randomness import Rng


@dataclass(frozen=True, eq=False)
class DiscreteTable:
    """A joint distribution of N categories.

    Args:
        probabilities: (K_1, …, K_N), not negative, sum 1.
    """

    probabilities: Tensor

    def __post_init__(self) -> None:
        p = self.probabilities
        if not bool((p >= 0).all()) or abs(float(p.sum()) - 1) > 1e-5:
            raise ArgumentError(f"a table needs probabilities that sum to 1; got sum {p.sum():g}")

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(self.probabilities.shape)

    @property
    def cells(self) -> Tensor:
        """All combinations of categories, long (cells, N), in the order of the flat table."""
        axes = [torch.arange(size, device=self.probabilities.device) for size in self.sizes]
        return torch.cartesian_prod(*axes).reshape(-1, len(self.sizes))

    def draw(self, count: int, *, rng: Rng) -> Tensor:
        """(count, N) samples."""
        below = self.probabilities.flatten().double().cumsum(0)
        u = rng.uniform(torch.empty(count, dtype=torch.float64, device=below.device))
        return self.cells[torch.bucketize(u, below[:-1] / below[-1], right=True)]

    def predictor(self, path: Masking) -> Callable[..., Tensor]:
        """E[one-hot x | revealed entries] (B, N, width), the same at every t.

        Where the revealed entries can't occur together it answers the whole table's marginals.
        """
        if path.sizes != self.sizes:
            raise ArgumentError(f"the table has sizes {self.sizes}, the path {path.sizes}")
        cells, weights = self.cells, self.probabilities.flatten()
        onehot = F.one_hot(cells, path.width).to(weights.dtype).flatten(1)

        def predict(x_t: Tensor, t: float | Tensor, s: float | Tensor | None = None) -> Tensor:
            hidden = x_t == path.mask_token(x_t)
            agrees = ((x_t[:, None] == cells) | hidden[:, None]).all(-1)
            joint = agrees * weights
            possible = joint.sum(1, keepdim=True) > 0
            joint = torch.where(possible, joint, weights)
            share = joint / joint.sum(1, keepdim=True)
            return (share @ onehot).unflatten(1, (len(self.sizes), path.width))

        return predict
