"""The registered affine paths: linear, cosine, vp, ve, sigmoid."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unfog.maths.affine import Affine, Noised, Path, as_time, ordered
from unfog.registry import Registry

__all__ = [
    "Affine",
    "Cosine",
    "Linear",
    "Noised",
    "Path",
    "Sigmoid",
    "VarianceExploding",
    "VariancePreserving",
    "as_time",
    "ordered",
    "paths",
]

paths: Registry[type] = Registry("path")


@paths.add(
    "linear",
    aliases=("flow", "rectified_flow", "conditional_ot"),
    reference="Lipman et al. 2023, Flow Matching for Generative Modeling; Liu et al. 2023, Flow "
    "Straight and Fast",
)
@dataclass(frozen=True)
class Linear(Affine):
    """x_t = (1 - t) x + t z: straight lines from data to noise."""

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    def sigma(self, t: Tensor) -> Tensor:
        return t

    def alpha_rate(self, t: Tensor) -> Tensor:
        return -torch.ones_like(t)

    def sigma_rate(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)


@paths.add("cosine", reference="Nichol & Dhariwal 2021, Improved DDPM, eq. 17 (offset 0)")
@dataclass(frozen=True)
class Cosine(Affine):
    """x_t = cos(pi t / 2) x + sin(pi t / 2) z: the variance of unit data never changes."""

    def alpha(self, t: Tensor) -> Tensor:
        # cos(pi/2) is not exactly 0 in floating point; the sine of the complement is.
        return torch.sin((1 - t) * (math.pi / 2))

    def sigma(self, t: Tensor) -> Tensor:
        return torch.sin(t * (math.pi / 2))

    def alpha_rate(self, t: Tensor) -> Tensor:
        return -math.pi / 2 * self.sigma(t)

    def sigma_rate(self, t: Tensor) -> Tensor:
        return math.pi / 2 * self.alpha(t)


@paths.add(
    "vp",
    aliases=("ddpm", "variance_preserving"),
    reference="Ho et al. 2020, DDPM; Song et al. 2021, Score SDEs, eq. 33",
)
@dataclass(frozen=True)
class VariancePreserving(Affine):
    """alpha = exp(-int beta / 2) with DDPM's linear betas, sigma^2 = 1 - alpha^2.

    Args:
        beta_min, beta_max: noise rates at t = 0 and 1, per unit time; DDPM's 1e-4 and 0.02 times
            1000 steps.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def _log_alpha(self, t: Tensor) -> Tensor:
        return -t.square() * (self.beta_max - self.beta_min) / 4 - t * self.beta_min / 2

    def _beta(self, t: Tensor) -> Tensor:
        return self.beta_min + t * (self.beta_max - self.beta_min)

    def alpha(self, t: Tensor) -> Tensor:
        return self._log_alpha(t).exp()

    def sigma(self, t: Tensor) -> Tensor:
        return (-torch.expm1(2 * self._log_alpha(t))).sqrt()

    def alpha_rate(self, t: Tensor) -> Tensor:
        return -self._beta(t) * self.alpha(t) / 2

    def sigma_rate(self, t: Tensor) -> Tensor:
        return self._beta(t) * self.alpha(t).square() / (2 * self.sigma(t))


@paths.add(
    "ve",
    aliases=("edm", "variance_exploding"),
    reference="Song et al. 2021, Score SDEs; Karras et al. 2022, EDM, eq. 5 (sigma^(1/rho) is the "
    "clock)",
)
@dataclass(frozen=True)
class VarianceExploding(Affine):
    """x_t = x + sigma_max t^rho z: data stays, noise grows.

    Args:
        sigma_max: noise at t = 1, in units of the state.
        rho: bends the clock; with 7 a uniform grid in t is EDM's grid of noise levels.
    """

    sigma_max: float = 80.0
    rho: float = 7.0

    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        return self.sigma_max * t.pow(self.rho)

    def alpha_rate(self, t: Tensor) -> Tensor:
        return torch.zeros_like(t)

    def sigma_rate(self, t: Tensor) -> Tensor:
        return self.sigma_max * self.rho * t.pow(self.rho - 1)


@paths.add("sigmoid", reference="Jabri et al. 2023, Scalable Adaptive Computation, app. B")
@dataclass(frozen=True)
class Sigmoid(Affine):
    """alpha^2 falls like a logistic curve, cut and stretched to run from 1 to 0; sigma^2 = 1 -
    alpha^2.

    Args:
        start, end: the part of the logistic curve used.     tau: its temperature.
    """

    start: float = -3.0
    end: float = 3.0
    tau: float = 0.9

    def _logistic(self, t: Tensor) -> Tensor:
        return torch.sigmoid((t * (self.end - self.start) + self.start) / self.tau)

    def _gamma(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(alpha^2, sigma^2, d alpha^2 / dt), the first two each accurate near its own zero."""
        here, first, last = (
            self._logistic(v) for v in (t, torch.zeros_like(t), torch.ones_like(t))
        )
        span = last - first
        slope = here * (1 - here) * (self.end - self.start) / self.tau
        return (last - here) / span, (here - first) / span, -slope / span

    def alpha(self, t: Tensor) -> Tensor:
        return self._gamma(t)[0].clamp(0, 1).sqrt()

    def sigma(self, t: Tensor) -> Tensor:
        return self._gamma(t)[1].clamp(0, 1).sqrt()

    def alpha_rate(self, t: Tensor) -> Tensor:
        return self._gamma(t)[2] / (2 * self.alpha(t))

    def sigma_rate(self, t: Tensor) -> Tensor:
        return -self._gamma(t)[2] / (2 * self.sigma(t))
