"""Loss weights: weight(path, t) multiplies the squared error of the target, per sample, on a line
of its own.

Weights that a paper states for one target are meant for that target; the docstring says which.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unfog.maths.paths import Affine
from unfog.registry import Registry

weights: Registry[type] = Registry("weight")


@weights.add("unit", aliases=("simple",), reference="Ho et al. 2020, DDPM, eq. 14")
@dataclass(frozen=True)
class Unit:
    """1 at every t."""

    def __call__(self, path: Affine, t: Tensor) -> Tensor:
        return torch.ones_like(t)


@weights.add("min_snr", reference="Hang et al. 2023, Min-SNR, eq. 6, for the noise target")
@dataclass(frozen=True)
class MinSnr:
    """min(snr, gamma) / snr with snr = (alpha / sigma)^2: low-noise errors count less. For the
    noise target.

    Args:
        gamma: the clip of the signal-to-noise ratio.
    """

    gamma: float = 5.0

    def __call__(self, path: Affine, t: Tensor) -> Tensor:
        snr = (path.alpha(t) / path.sigma(t)).square()
        return torch.where(snr > self.gamma, self.gamma / snr, torch.ones_like(snr))


@weights.add(
    "sigmoid", reference="Kingma & Gao 2023; Hoogeboom et al. 2024, SiD2, for the noise target"
)
@dataclass(frozen=True)
class SigmoidWeight:
    """sigmoid(bias - log snr): a soft min-snr. For the noise target.

    Args:
        bias: the log (alpha/sigma)^2 at which the weight is one half.
    """

    bias: float = 0.0

    def __call__(self, path: Affine, t: Tensor) -> Tensor:
        return torch.sigmoid(self.bias - 2 * path.log_snr(t))


@weights.add(
    "likelihood",
    reference="Song et al. 2021, Maximum Likelihood Training, eq. 7, for the score target",
)
@dataclass(frozen=True)
class Likelihood:
    """g(t)^2 = 2 sigma^2 d/dt log(sigma / alpha): bounds the likelihood. For the score target."""

    def __call__(self, path: Affine, t: Tensor) -> Tensor:
        sigma = path.sigma(t)
        return 2 * sigma * (path.sigma_rate(t) - sigma * path.alpha_rate(t) / path.alpha(t))
