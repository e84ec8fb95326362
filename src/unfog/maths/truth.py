"""Exact predictors of known distributions: what every solver, guide and net is measured against.

Each truth draws data, and gives E[x | x_t] on any affine path in closed form.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from unfog.errors import ShapeError
from unfog.maths.paths import Affine, as_time
from unfog.maths.randomness import Rng
from unfog.maths.states import expand

Predictor = Callable[..., Tensor]


@dataclass(frozen=True)
class Gaussian:
    """N(mean, cov).

    Args:
        mean: (D,).     cov: (D, D), positive definite.
    """

    mean: Tensor
    cov: Tensor

    def __post_init__(self) -> None:
        if self.cov.shape != (len(self.mean), len(self.mean)):
            raise ShapeError(f"cov must be {(len(self.mean),) * 2}; got {tuple(self.cov.shape)}")

    def draw(self, count: int, *, rng: Rng) -> Tensor:
        """(count, D) samples."""
        noise = rng.normal(self.mean.new_empty(count, len(self.mean)))
        return self.mean + noise @ torch.linalg.cholesky(self.cov).mT

    def predictor(self, path: Affine) -> Predictor:
        """E[x | x_t] = mean + alpha cov (alpha^2 cov + sigma^2)^-1 (x_t - alpha mean)."""
        values, vectors = torch.linalg.eigh(self.cov)

        def predict(x_t: Tensor, t: float | Tensor, s: float | Tensor | None = None) -> Tensor:
            t = as_time(t)
            alpha, sigma = path.alpha(t)[..., None].to(values), path.sigma(t)[..., None].to(values)
            gain = alpha * values / (alpha.square() * values + sigma.square())
            return self.mean + ((x_t - alpha * self.mean) @ vectors * gain) @ vectors.mT

        return predict


@dataclass(frozen=True)
class Mixture:
    """sum_k weight_k N(mean_k, std_k^2).

    Args:
        means: (K, D).     stds: (K,) one per component; 0 is a point mass.     weights: (K,), sum
            1.
    """

    means: Tensor
    stds: Tensor
    weights: Tensor

    def draw(self, count: int, *, rng: Rng) -> Tensor:
        """(count, D) samples."""
        u = rng.uniform(self.means.new_empty(count))
        which = torch.bucketize(u, self.weights.cumsum(0)[:-1])
        noise = rng.normal(self.means.new_empty(count, self.means.shape[1]))
        return self.means[which] + self.stds[which, None] * noise

    def predictor(self, path: Affine) -> Predictor:
        """E[x | x_t]: each component's answer, weighted by how well it explains x_t."""

        def predict(x_t: Tensor, t: float | Tensor, s: float | Tensor | None = None) -> Tensor:
            share, mean, _ = self._posterior(path, x_t, as_time(t))
            return (share * mean).sum(1)

        return predict

    def variance(self, path: Affine, x_t: Tensor, t: float | Tensor) -> Tensor:
        """Var[x | x_t] of every entry, (B, D): within components, and between them."""
        share, mean, variance = self._posterior(path, x_t, as_time(t))
        centre = (share * mean).sum(1, keepdim=True)
        return (share * (variance + (mean - centre).square())).sum(1)

    def _posterior(self, path: Affine, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Given x_t: each component's probability (B, K, 1), mean (B, K, D), variance (B, K, 1)."""
        alpha, sigma = expand(path.alpha(t), x_t).to(x_t), expand(path.sigma(t), x_t).to(x_t)
        total = alpha.square() * self.stds.square() + sigma.square()  # (1 or B, K)
        away = x_t[:, None] - alpha[..., None] * self.means  # (B, K, D)
        share = torch.softmax(self._log_joint(away, total), 1)
        gain = alpha * self.stds.square() / total
        left = (self.stds.square() * sigma.square() / total).expand(share.shape)
        return share[..., None], self.means + gain[..., None] * away, left[..., None]

    def _log_joint(self, away: Tensor, variance: Tensor) -> Tensor:
        size = away.shape[-1]
        return (
            self.weights.log()
            - away.square().sum(-1) / (2 * variance)
            - size / 2 * (2 * math.pi * variance).log()
        )

    def log_prob(self, x: Tensor, path: Affine | None = None, t: float = 0.0) -> Tensor:
        """log density (B,) in nats of x, (B, D); with a path, of the noised distribution at t."""
        alpha, sigma = 1.0, 0.0
        if path is not None:
            at = as_time(t)
            alpha, sigma = path.alpha(at).item(), path.sigma(at).item()
        variance = (alpha**2 * self.stds.square() + sigma**2)[None]
        return torch.logsumexp(self._log_joint(x[:, None] - alpha * self.means, variance), 1)


def empirical(data: Tensor) -> Mixture:
    """The data set itself, (N, D), as a distribution: what a net that memorised everything
    predicts.
    """
    count = len(data)
    return Mixture(data, data.new_zeros(count), data.new_full((count,), 1 / count))
