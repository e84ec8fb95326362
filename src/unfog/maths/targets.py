"""What a net answers in: each target is one row (a, b) of y = a x + b z, decoded by a 2x2 solve.

    [x_t]   [alpha sigma] [x]
    [ y ] = [  a     b  ] [z]

So data, noise, velocity, v, score and EDM's F are one formula, and the rest of the house only ever
sees x_hat.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from unfog.errors import TargetError
from unfog.maths.paths import Affine, Noised
from unfog.maths.randomness import Rng
from unfog.maths.states import expand
from unfog.registry import Registry

targets: Registry[type] = Registry("target")


@dataclass(frozen=True)
class Target:
    """Base of all targets; a member states its row."""

    @property
    def parts(self) -> int:
        """Numbers that the net answers for each entry of the state."""
        return 1

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


@targets.add(
    "learned_variance",
    aliases=("learned_sigma",),
    reference="Nichol & Dhariwal 2021, Improved DDPM, eq. 14 to 16",
)
@dataclass(frozen=True)
class LearnedVariance(Target):
    """y = (z, v): noise, and how wide an ancestral move from t to s is, per entry.

        variance = exp(v log b_t + (1 - v) log b_s) = (1 - q^2) sigma_t^(2 v) sigma_s^(2 - 2 v)
        b_s = (1 - q^2) sigma_s^2, the posterior's variance given x;   b_t = (1 - q^2) sigma_t^2
        q = alpha_t sigma_s / (alpha_s sigma_t),   v = softplus(second part) / log 4 > 0

    The loss is the noise's squared error plus share * steps * KL(posterior given x || move), whose
    gradient stops at the noise. A move that trusts a draw of the data, of the spread that makes up
    for variance - b_s, has just this variance: that is `draw`.

    Args:
        steps: of the sampler; in the KL, s is one of its steps below t, or t / 2 near data.
        share: the weight of the KL summed over the steps, lambda in the paper.
    """

    steps: int = 100
    share: float = 1e-3

    @property
    def parts(self) -> int:
        return 2

    def row(self, path: Affine, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(t), torch.ones_like(t)

    def encode(self, path: Affine, x: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """The noise, and zeros in place of v, which one pair (x, z) does not determine."""
        both = torch.stack([z, torch.zeros_like(z)], 1)
        return both.flatten(1, 2) if z.ndim > 1 else both

    def error(self, path: Affine, y: Tensor, x: Tensor, noised: Noised) -> Tensor:
        """Squared error of the noise plus the weighted KL in nats, per entry, (B, *D)."""
        t = noised.t
        s = t - (t / 2).clamp(max=1 / self.steps)
        z_hat, v = self.halves(y, x)
        missed = (z_hat - noised.z).square()
        kept, widen = (expand(value, x).to(x.dtype) for value in _step(path, t, s))
        wider = 2 * v * widen
        total = 1 + (1 - kept) / kept * missed.detach()
        divergence = (wider + (-wider).exp() * total - 1) / 2
        return missed + self.share * self.steps * divergence

    def decode(self, path: Affine, y: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        return super().decode(path, self.halves(y, x_t)[0], x_t, t)

    def draw(
        self, path: Affine, y: Tensor, x_t: Tensor, t: Tensor, s: Tensor, *, rng: Rng
    ) -> Tensor:
        """x_hat plus noise, such that `path.move` with eta 1 has the learned variance.

        At s = 0, the end, it is x_hat itself, as in the paper.
        """
        x_hat = self.decode(path, y, x_t, t)
        inside = s > 0
        s = torch.where(inside, s, t / 2)
        kept, widen = (expand(value, x_t).to(x_t.dtype) for value in _step(path, t, s))
        added = torch.expm1(2 * self.halves(y, x_t)[1] * widen) / (1 - kept)
        scale = expand(path.sigma(s) / path.alpha(s) * inside, x_t).to(x_t.dtype)
        return x_hat + scale * added.sqrt() * path.noise(x_t, rng=rng)

    def halves(self, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """(z_hat, v), each of x's shape (B, C, *D), from (B, 2 C, *D)."""
        wanted = (len(x), 2 * math.prod(x.shape[1:2]), *x.shape[2:])
        if y.shape != wanted:
            raise TargetError(
                f"a learned variance needs an answer of shape {wanted} for states "
                f"{tuple(x.shape)}; got {tuple(y.shape)}: give the net out_channels, twice the "
                "state's channels"
            )
        z_hat, raw = y.reshape(len(x), 2, *x.shape[1:]).unbind(1)
        return z_hat, F.softplus(raw) / math.log(4)


def _step(path: Affine, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """(q^2, log(sigma_t / sigma_s)) of a move from t to s, 0 < s < t."""
    up = path.sigma(t) / path.sigma(s)
    return (path.alpha(t) / path.alpha(s) / up).square(), up.log()


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
