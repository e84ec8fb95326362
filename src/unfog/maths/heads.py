"""Targets beyond affine paths: categories, tangents, and several fields at once.

They share `error` and `decode` with the affine targets, so that the objective and the sampling loop
are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.maths.discrete import Masking
from unfog.maths.manifolds import Rotations, Torus
from unfog.maths.paths import Noised
from unfog.maths.product import Product


@dataclass(frozen=True)
class Categories:
    """Logits of the data's categories, for the masking path.

    Args:
        floor: the cross-entropy's weight m'(t)/m(t) counts t as at least this; it bounds the
            weight.
    """

    floor: float = 0.01

    def error(self, path: Masking, y: Tensor, x: Tensor, noised: Noised) -> Tensor:
        """Weighted cross-entropy of the masked entries, 0 elsewhere: logits (B, N, K) -> (B, N)."""
        logits = torch.log(path.answer(y).clamp_min(torch.finfo(y.dtype).tiny))
        lost = -logits.gather(-1, x.clamp(max=y.shape[-1] - 1).unsqueeze(-1)).squeeze(-1)
        weight = path.weight(noised.t.clamp_min(self.floor))
        return weight.reshape(-1, 1).to(y.dtype) * lost * noised.z

    def error_towards(self, path: Masking, y: Tensor, wanted: Tensor, noised: Noised) -> Tensor:
        """The same against probabilities (B, N, K) in the place of data, (B, N)."""
        logits = torch.log(path.answer(y).clamp_min(torch.finfo(y.dtype).tiny))
        weight = path.weight(noised.t.clamp_min(self.floor))
        return weight.reshape(-1, 1).to(y.dtype) * -(wanted * logits).sum(-1) * noised.z

    def decode(self, path: Masking, y: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """x_hat: probabilities (B, N, K)."""
        return path.answer(y)


@dataclass(frozen=True)
class Tangent:
    """The velocity at x_t, for paths on manifolds, where a mean of end points means nothing."""

    def error(self, path: Torus | Rotations, y: Tensor, x: Tensor, noised: Noised) -> Tensor:
        """Squared error of the velocity, per entry."""
        return (y - path.target(x, noised.z, noised.t)).square()

    def decode(self, path: Torus | Rotations, y: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """x_hat: the tangent at x_t that points to the data."""
        return path.tangent(x_t, y, t)


@dataclass(frozen=True)
class Joint:
    """One target per field of a Product.

    Args:
        fields: name -> target.
    """

    fields: Mapping[str, Any]

    def _check(self, path: Product) -> None:
        if set(self.fields) != set(path.fields):
            raise ArgumentError(
                f"targets are given for {sorted(self.fields)}, the path has "
                f"{sorted(path.fields)}; name each once"
            )

    def error(self, path: Product, y: Any, x: Any, noised: Noised) -> dict[str, Tensor]:
        """Every field's error."""
        self._check(path)
        return {
            name: target.error(
                path.fields[name],
                y[name],
                x[name],
                Noised(noised.x_t[name], noised.z[name], noised.t),
            )
            for name, target in self.fields.items()
        }

    def decode(self, path: Product, y: Any, x_t: Any, t: Tensor) -> dict[str, Tensor]:
        """Every field's x_hat."""
        self._check(path)
        return {
            name: target.decode(path.fields[name], y[name], x_t[name], t)
            for name, target in self.fields.items()
        }
