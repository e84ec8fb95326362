"""What a net answers in: each target is one row (a, b) of y = a x + b z, decoded by a 2x2 solve.

    [x_t]   [alpha sigma] [x]
    [ y ] = [  a     b  ] [z]

So data, noise, velocity, v, score and EDM's F are one formula, and the rest of the house only ever
sees x_hat.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unfog.errors import TargetError
from unfog.maths.paths import Affine, Noised
from unfog.maths.states import expand
from unfog.registry import Registry

targets: Registry[type] = Registry("target")


@dataclass(frozen=True)
class Target:
    """Base of all targets; a member states its row."""

    def row(self, path: Affine, t: Tensor) -> tuple[Tensor, Tensor]:
        """(a, b) of y = a x + b z at t."""
        raise TypeError(f"{type(self).__name__} must define row")

    def encode(self, path: Affine, x: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """What the net should answer: y = a x + b z, (B, *D)."""
        a, b = self.row(path, t)
        return expand(a, x).to(x.dtype) * x + expand(b, x).to(x.dtype) * z

    def error(self, path: Affine, y: Tensor, x: Tensor, noised: Noised) -> Tensor:
        """Squared error of the answer y, per entry, (B, *D)."""
        return (y - self.encode(path, x, noised.z, noised.t)).square()

    def decode(self, path: Affine, y: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The data prediction that the answer y at state x_t means: x_hat = (b x_t - sigma y) /
        (alpha b - sigma a).

        Raises: TargetError where the answer does not determine the data at t.
        """
        a, b = self.row(path, t)
        alpha, sigma = path.alpha(t), path.sigma(t)
        solved = alpha * b - sigma * a
        if solved.device.type == "cpu" and not bool((solved.isfinite() & (solved != 0)).all()):
            raise TargetError(
                f"a {type(self).__name__.lower()} prediction on the {type(path).__name__} path "
                f"does not determine the data at t = {t.flatten()[0].item():g}; start the grid "
                "below 1, end it above 0, or predict data or velocity"
            )
        return (
            expand(b / solved, x_t).to(x_t.dtype) * x_t
            - expand(sigma / solved, x_t).to(x_t.dtype) * y
        )


@targets.add("data", aliases=("x", "sample", "x_start"), reference="Ho et al. 2020, sec. 3.2")
@dataclass(frozen=True)
class Data(Target):
    """y = x."""

    def row(self, path: Affine, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ones_like(t), torch.zeros_like(t)


@targets.add("noise", aliases=("epsilon", "eps"), reference="Ho et al. 2020, DDPM, eq. 14")
@dataclass(frozen=True)
class Noise(Target):
    """y = z."""

    def row(self, path: Affine, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(t), torch.ones_like(t)


@targets.add("velocity", aliases=("flow",), reference="Lipman et al. 2023, Flow Matching, eq. 9")
@dataclass(frozen=True)
class Velocity(Target):
    """y = alpha' x + sigma' z = dx_t/dt, which is z - x on the linear path."""

    def row(self, path: Affine, t: Tensor) -> tuple[Tensor, Tensor]:
        return path.alpha_rate(t), path.sigma_rate(t)


@targets.add("v", aliases=("v_prediction",), reference="Salimans & Ho 2022, app. D")
@dataclass(frozen=True)
class V(Target):
    """y = alpha z - sigma x."""

    def row(self, path: Affine, t: Tensor) -> tuple[Tensor, Tensor]:
        return -path.sigma(t), path.alpha(t)


@targets.add("score", reference="Song et al. 2021, Score SDEs, eq. 7")
@dataclass(frozen=True)
class Score(Target):
    """y = -z / sigma, the conditional score."""

    def row(self, path: Affine, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(t), -1 / path.sigma(t)


@targets.add("edm", aliases=("f",), reference="Karras et al. 2022, EDM, eq. 7 and 8, for any path")
@dataclass(frozen=True)
class Edm(Target):
    """y = (sigma x / sigma_data - alpha sigma_data z) / sqrt(alpha^2 sigma_data^2 + sigma^2): unit
    variance at every t.

    Args:
        sigma_data: standard deviation of the state's data.
    """

    sigma_data: float = 1.0

    def row(self, path: Affine, t: Tensor) -> tuple[Tensor, Tensor]:
        alpha, sigma, d = path.alpha(t), path.sigma(t), self.sigma_data
        total = (alpha.square() * d**2 + sigma.square()).sqrt()
        return sigma / (d * total), -alpha * d / total


def first_time(target: Target, path: Affine) -> float:
    """The largest t <= 1 at which `target` determines the data on `path`: where a sampling grid may
    start.
    """
    for t in (1.0, 0.999):
        at = torch.tensor(t, dtype=torch.float64)
        a, b = target.row(path, at)
        solved = path.alpha(at) * b - path.sigma(at) * a
        if solved.isfinite() and solved.abs() > 1e-9:
            return t
    raise TargetError(f"{type(target).__name__} never determines the data on {type(path).__name__}")
