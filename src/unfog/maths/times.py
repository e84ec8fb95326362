"""How t is drawn in training. A member maps uniform numbers to times, so any of them can be
stratified.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.maths.grids import between, falling_knots
from unfog.maths.paths import Affine
from unfog.maths.randomness import Rng
from unfog.registry import Registry

times: Registry[type] = Registry("times")


@dataclass(frozen=True)
class Times:
    """Base of all training-time laws.

    Args:
        low, high: no time outside is ever drawn; the ends keep targets finite.
        stratified: one draw in each of B equal shares of the law, in random order; less variance,
            same law.
    """

    low: float = 1e-4
    high: float = 1.0
    stratified: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 1:
            raise ArgumentError(f"times need 0 <= low < high <= 1; got {self.low}, {self.high}")

    def quantile(self, path: Affine, u: Tensor) -> Tensor:
        """The t below which a share u of the draws lies, before the limits."""
        raise TypeError(f"{type(self).__name__} must define quantile")

    def draw(
        self, path: Affine, batch: int, *, rng: Rng, device: torch.device | str = "cpu"
    ) -> Tensor:
        """(batch,) float32 times in [low, high]."""
        # on the CPU in float64, which not every device has; B numbers are nothing to send
        u = rng.uniform(torch.empty(batch))
        if self.stratified:
            order = rng.uniform(torch.empty(batch)).argsort()
            u = (order + u) / batch
        t = self.quantile(path, u).to(torch.float32).clamp(self.low, self.high)
        return t.to(device, non_blocking=True)


@times.add("uniform", reference="Lipman et al. 2023; Ho et al. 2020")
@dataclass(frozen=True)
class Uniform(Times):
    """t uniform in [low, high]."""

    def quantile(self, path: Affine, u: Tensor) -> Tensor:
        return self.low + (self.high - self.low) * u


@times.add(
    "logit_normal", aliases=("sd3",), reference="Esser et al. 2024, Stable Diffusion 3, eq. 19"
)
@dataclass(frozen=True)
class LogitNormal(Times):
    """logit(t) ~ N(mean, std^2): more work in the middle."""

    mean: float = 0.0
    std: float = 1.0

    def quantile(self, path: Affine, u: Tensor) -> Tensor:
        return torch.sigmoid(self.mean + self.std * torch.special.ndtri(u.double()))


@times.add("log_normal", aliases=("edm",), reference="Karras et al. 2022, EDM, table 1")
@dataclass(frozen=True)
class LogNormal(Times):
    """log(sigma / alpha) ~ N(mean, std^2), whatever the path."""

    mean: float = -1.2
    std: float = 1.2

    def quantile(self, path: Affine, u: Tensor) -> Tensor:
        return path.time_at(self.mean + self.std * torch.special.ndtri(u.double()))


@times.add(
    "log_uniform", reference="Song et al. 2021, Score SDEs, the ve path's geometric noise levels"
)
@dataclass(frozen=True)
class LogUniform(Times):
    """log(sigma / alpha) uniform between its limits, whatever the path.

    Args:
        sigma_min, sigma_max: limits of sigma / alpha.
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.sigma_min < self.sigma_max:
            raise ArgumentError(
                "log_uniform needs 0 < sigma_min < sigma_max; got "
                f"{self.sigma_min}, {self.sigma_max}"
            )

    def quantile(self, path: Affine, u: Tensor) -> Tensor:
        low, high = math.log(self.sigma_min), math.log(self.sigma_max)
        return path.time_at(low + (high - low) * u.double())


@times.add("angle", reference="uniform in atan2(sigma, alpha); equals uniform on the cosine path")
@dataclass(frozen=True)
class Angle(Times):
    """atan2(sigma, alpha) uniform in [0, pi/2]."""

    def quantile(self, path: Affine, u: Tensor) -> Tensor:
        return path.time_at_angle(u.double() * (torch.pi / 2))


@times.add(
    "loss_aware",
    aliases=("importance",),
    reference="Nichol & Dhariwal 2021, Improved DDPM, eq. 18",
)
@dataclass(frozen=True)
class LossAware(Times):
    """Times where the loss is large are drawn more, p ~ sqrt(E[loss^2]), and weigh less, 1 / p.

    Uniform until every bin of [low, high] has its history; what the training loop remembers is in
    `unfog.train.importance`.

    Args:
        bins: equal shares of [low, high].     history: updates that a bin remembers, 10 in the
            paper.     floor: share of the draws that stays uniform.
    """

    bins: int = 32
    history: int = 10
    floor: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bins < 2 or self.history < 1 or not 0 < self.floor <= 1:
            raise ArgumentError(
                f"loss_aware needs bins >= 2, history >= 1, 0 < floor <= 1; got {self.bins}, "
                f"{self.history}, {self.floor}"
            )

    def quantile(self, path: Affine, u: Tensor) -> Tensor:
        return self.low + (self.high - self.low) * u


@times.add(
    "fitted",
    reference="Dieleman et al. 2022, Continuous Diffusion for Categorical Data, sec. 3.3, with the "
    "change of the prediction in place of the loss",
)
@dataclass(frozen=True)
class FittedTimes(Times):
    """As much work wherever the prediction changes as much, measured on the data; uniform in the
    angle where nothing was.

    Args:
        knots: falling times from noise to 0, with equal shares of the change between them.
    """

    knots: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "knots", falling_knots(self.knots))

    def quantile(self, path: Affine, u: Tensor) -> Tensor:
        if not self.knots:
            return path.time_at_angle(u.double() * (torch.pi / 2))
        return between(self.knots, 1 - u.double())


@dataclass(frozen=True)
class Histogram(Times):
    """A density of t that is constant in each of equal bins of [low, high].

    Args:
        chances: of the bins, positive, with the sum 1.
    """

    chances: tuple[float, ...] = (1.0,)

    def quantile(self, path: Affine, u: Tensor) -> Tensor:
        chances = torch.tensor(self.chances, dtype=torch.float64)
        above = chances.cumsum(0)
        u = u.double()
        place = torch.bucketize(u, above[:-1], right=True)
        inside = (u - (above - chances)[place]) / chances[place]
        share = (place + inside.clamp(0, 1)) / len(chances)
        return self.low + (self.high - self.low) * share

    def bin(self, t: Tensor) -> Tensor:
        """Which bin each t lies in, (B,) long."""
        share = (t - self.low) / (self.high - self.low)
        return (share * len(self.chances)).long().clamp(0, len(self.chances) - 1)

    def weight(self, path: Affine | None, t: Tensor) -> Tensor:
        """Uniform density over this one, (B,): makes means under this law means under uniform t."""
        chances = torch.tensor(self.chances, dtype=torch.float64) * len(self.chances)
        return (1 / chances).to(t.device, t.dtype)[self.bin(t)]
