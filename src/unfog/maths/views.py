"""Three views of one estimate: from x_t and x_hat to noise, score, velocity and posterior, and
nothing is learnt twice.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unfog.maths.paths import Affine, as_time, ordered
from unfog.maths.states import expand


def _shaped(x: Tensor, *values: Tensor) -> list[Tensor]:
    return [expand(value, x).to(x.dtype) for value in values]


def noise(path: Affine, x_t: Tensor, x_hat: Tensor, t: float | Tensor) -> Tensor:
    """z_hat = (x_t - alpha x_hat) / sigma, (B, *D); t > 0."""
    t = as_time(t)
    alpha, sigma = _shaped(x_t, path.alpha(t), path.sigma(t))
    return (x_t - alpha * x_hat) / sigma


def score(path: Affine, x_t: Tensor, x_hat: Tensor, t: float | Tensor) -> Tensor:
    """grad log p_t(x_t) = (alpha x_hat - x_t) / sigma^2, (B, *D); exact when x_hat = E[x | x_t].

    Ref: Robbins 1956; Efron 2011, Tweedie's Formula and Selection Bias, eq. 1.4.
    """
    t = as_time(t)
    alpha, sigma = _shaped(x_t, path.alpha(t), path.sigma(t))
    return (alpha * x_hat - x_t) / sigma.square()


def velocity(path: Affine, x_t: Tensor, x_hat: Tensor, t: float | Tensor) -> Tensor:
    """dx_t/dt = alpha' x_hat + sigma' z_hat, (B, *D), towards noise; minus this is most libraries'
    velocity.

    Ref: Song et al. 2021, Score SDEs, eq. 13; Lipman et al. 2023, eq. 9.
    """
    t = as_time(t)
    alpha_rate, sigma_rate = _shaped(x_t, path.alpha_rate(t), path.sigma_rate(t))
    return alpha_rate * x_hat + sigma_rate * noise(path, x_t, x_hat, t)


def posterior(
    path: Affine, x_t: Tensor, x_hat: Tensor, t: float | Tensor, s: float | Tensor
) -> tuple[Tensor, Tensor]:
    """Mean (B, *D) and variance () or (B,) of q(x_s | x_t, x = x_hat), s < t.

        variance = sigma_s^2 (1 - q^2),   q = alpha_t sigma_s / (alpha_s sigma_t)
        mean     = alpha_s x_hat + sigma_s q z_hat

    Ref: Ho et al. 2020, DDPM, eq. 6 and 7.
    """
    t, s = ordered(t, s)
    q = path.alpha(t) * path.sigma(s) / (path.alpha(s) * path.sigma(t))
    alpha_s, kept = _shaped(x_t, path.alpha(s), path.sigma(s) * q)
    variance = path.sigma(s).square() * (1 - q.square())
    return alpha_s * x_hat + kept * noise(path, x_t, x_hat, t), torch.as_tensor(variance)
