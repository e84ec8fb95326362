"""The affine Gaussian path: how data becomes noise, and how to move when a prediction is trusted.

    x_t = alpha(t) x + sigma(t) z,     t = 0 is data, t = 1 is noise

One formula serves every such path; a member (`unfog.maths.paths`) only states alpha, sigma, rates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import torch
from torch import Tensor

from unfog.errors import ArgumentError, ShapeError, TimeError
from unfog.maths.randomness import Rng
from unfog.maths.states import State, expand


@dataclass(frozen=True)
class Noised:
    """A corrupted batch: the state x_t, the noise z that made it, and the time t."""

    x_t: Any
    z: Any
    t: Tensor


class Path(Protocol):
    """A corruption and the way back; continuous, discrete, on a manifold, or a Product of these."""

    affine: bool

    def prior(
        self, like: State, *, rng: Rng, mask: Any = None, cond: dict[str, Tensor] | None = None
    ) -> Any: ...

    def corrupt(
        self, x: Any, t: Tensor, *, rng: Rng, z: Any = None, mask: Any = None, keep: Any = None
    ) -> Noised: ...

    def move(
        self,
        x_t: Any,
        x_hat: Any,
        t: float | Tensor,
        s: float | Tensor,
        *,
        eta: float = 0.0,
        rng: Rng | None = None,
        mask: Any = None,
    ) -> Any: ...

    def renoise(
        self, x_s: Any, s: float | Tensor, t: float | Tensor, *, rng: Rng, mask: Any = None
    ) -> Any: ...


def as_time(t: float | Tensor) -> Tensor:
    """A float becomes a 0-d float64 tensor; a tensor stays. Raises TimeError outside [0, 1]."""
    t = t if isinstance(t, Tensor) else torch.tensor(t, dtype=torch.float64)
    if t.device.type == "cpu" and not (0 <= float(t) <= 1 if t.ndim == 0 else _within(t)):
        raise TimeError(f"times must lie in [0, 1], 0 = data and 1 = noise; got {t}")
    return t


def _within(t: Tensor) -> bool:
    return bool(((t >= 0) & (t <= 1)).all())


def ordered(t: float | Tensor, s: float | Tensor) -> tuple[Tensor, Tensor]:
    """Both times as tensors. Raises TimeError where s > t: sampling goes towards the data."""
    t, s = as_time(t), as_time(s)
    if s.device.type == "cpu" and bool((s > t).any()):
        raise TimeError(f"a move goes from t to s <= t; got t = {t}, s = {s}; use renoise to go up")
    return t, s


@dataclass(frozen=True)
class Affine:
    """Base of all paths x_t = alpha(t) x + sigma(t) z with Gaussian z.

    Args:
        centred: keep every draw at zero centre of mass over axis 1 (sets of points, molecules).
    """

    centred: bool = False

    @property
    def affine(self) -> bool:
        return True

    def alpha(self, t: Tensor) -> Tensor:
        """Share of data at t."""
        raise TypeError(f"{type(self).__name__} must define alpha")

    def sigma(self, t: Tensor) -> Tensor:
        """Standard deviation of the noise at t."""
        raise TypeError(f"{type(self).__name__} must define sigma")

    def alpha_rate(self, t: Tensor) -> Tensor:
        """d alpha / dt."""
        raise TypeError(f"{type(self).__name__} must define alpha_rate")

    def sigma_rate(self, t: Tensor) -> Tensor:
        """d sigma / dt."""
        raise TypeError(f"{type(self).__name__} must define sigma_rate")

    def log_snr(self, t: Tensor) -> Tensor:
        """log(alpha / sigma), +inf at pure data, -inf at pure noise."""
        return self.alpha(t).log() - self.sigma(t).log()

    def angle(self, t: Tensor) -> Tensor:
        """atan2(sigma, alpha) in [0, pi/2]: a clock that is finite at both ends of every path."""
        return torch.atan2(self.sigma(t), self.alpha(t))

    def time_at_angle(self, angle: Tensor) -> Tensor:
        """The inverse of `angle`, by bisection in float64: (…) in [0, pi/2] -> (…) in [0, 1]."""
        wanted = angle.to(torch.float64)
        low, high = torch.zeros_like(wanted), torch.ones_like(wanted)
        for _ in range(60):
            middle = (low + high) / 2
            above = self.angle(middle) > wanted
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        return ((low + high) / 2).clamp(0, 1)

    def time_at(self, log_ratio: Tensor) -> Tensor:
        """The t at which log(sigma / alpha) has this value; the path's end where it never has."""
        return self.time_at_angle(torch.atan(log_ratio.to(torch.float64).exp()))

    def project(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Padding to zero, and the masked centre of mass removed where the path is centred."""
        if mask is not None:
            mask = expand(mask, x).to(x.dtype)
            x = x * mask
        if not self.centred:
            return x
        if x.ndim < 3:
            raise ShapeError(
                "a centred path needs a set of points (B, N, D); got a state of shape "
                f"{tuple(x.shape)}"
            )
        if mask is None:
            return x - x.mean(1, keepdim=True)
        count = mask.sum(1, keepdim=True).clamp_min(1)
        return (x - x.sum(1, keepdim=True) / count) * mask

    def noise(self, like: Tensor, *, rng: Rng, mask: Tensor | None = None) -> Tensor:
        """z ~ N(0, 1) of `like`'s shape, projected."""
        return self.project(rng.normal(like), mask)

    def prior(
        self,
        like: Tensor,
        *,
        rng: Rng,
        mask: Tensor | None = None,
        cond: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """A state at t = 1: sigma(1) z, of `like`'s shape (B, *D)."""
        one = torch.ones((), dtype=torch.float64)
        return self.sigma(one).to(like.dtype) * self.noise(like, rng=rng, mask=mask)

    def corrupt(
        self,
        x: Tensor,
        t: Tensor,
        *,
        rng: Rng,
        z: Tensor | None = None,
        mask: Tensor | None = None,
        keep: Tensor | None = None,
    ) -> Noised:
        """Mix data and noise: x_t = alpha_t x + sigma_t z.

        Args:
            x: (B, *D) data.     t: (), (B,) or (B, N) times.
            rng: where z is drawn from when it is not given.
            mask: 1 = a real entry; padding becomes 0.     keep: 1 = a known entry; stays bit-equal
                to x.
        """
        t = as_time(t)
        x = self.project(x, mask) if self.centred or mask is not None else x
        z = self.noise(x, rng=rng, mask=mask) if z is None else self.project(z, mask)
        x_t = expand(self.alpha(t), x).to(x.dtype) * x + expand(self.sigma(t), x).to(x.dtype) * z
        if keep is not None:
            x_t = torch.where(expand(keep, x).bool(), x, x_t)
        return Noised(x_t, z, t)

    def move(
        self,
        x_t: Tensor,
        x_hat: Tensor,
        t: float | Tensor,
        s: float | Tensor,
        *,
        eta: float = 0.0,
        rng: Rng | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Move x_t from time t to s <= t, trusting x_hat as the clean data.

            z   = (x_t - alpha_t x_hat) / sigma_t
            x_s = alpha_s x_hat + sigma_s (sqrt(1 - tau) z + sqrt(tau) e),  tau = eta (1 - q^2)
            q   = (alpha_t sigma_s) / (alpha_s sigma_t)

        Args:
            x_t: (B, *D) state at t.      x_hat: (B, *D) predicted data.
            t, s: () or (B,) times, s <= t.
            eta: 0 deterministic (DDIM), 1 ancestral (DDPM).
            rng: generator; needed when eta > 0.
        Returns: (B, *D) state at s.
        Raises: TimeError if any s > t.
        Ref: Song et al. 2021, Denoising Diffusion Implicit Models, eq. 12 and 16.
        """
        t, s = ordered(t, s)
        if eta == 0 and _plain(t) and _plain(s):  # one time for the whole batch, known on the host
            stayed, drawn = _scales(self, t.item(), s.item())
            moved = torch.add(x_t * stayed, x_hat, alpha=drawn)
            return self.project(moved, mask) if self.centred or mask is not None else moved
        stay, share = self._shares(t, s, eta)
        ratio = stay * (1 - share).sqrt()
        pull = self.alpha(s) - ratio * self.alpha(t)
        moved = expand(ratio, x_t).to(x_t.dtype) * x_t + expand(pull, x_t).to(x_t.dtype) * x_hat
        if eta > 0:
            if rng is None:
                raise ArgumentError(
                    f"eta = {eta} adds fresh noise and needs an rng; or use eta = 0"
                )
            fresh = self.sigma(s) * share.sqrt()
            moved = moved + expand(fresh, x_t).to(x_t.dtype) * self.noise(x_t, rng=rng, mask=mask)
        return self.project(moved, mask) if self.centred or mask is not None else moved

    def _shares(self, t: Tensor, s: Tensor, eta: float) -> tuple[Tensor, Tensor]:
        """(sigma_s / sigma_t, tau); (1, 0) where s = t, also at sigma = 0."""
        if not 0 <= eta <= 1:
            raise ArgumentError(f"eta must lie in [0, 1], 0 = deterministic; got {eta}")
        same = s == t
        one = torch.ones_like(self.sigma(t))
        stay = torch.where(same, one, self.sigma(s) / torch.where(same, one, self.sigma(t)))
        q = torch.where(same, one, self.alpha(t) / torch.where(same, one, self.alpha(s))) * stay
        return stay, (eta * (1 - q.square())).clamp(0, 1)

    def renoise(
        self,
        x_s: Tensor,
        s: float | Tensor,
        t: float | Tensor,
        *,
        rng: Rng,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Go up from s to t >= s by fresh noise: x_t = (alpha_t / alpha_s) x_s + noise."""
        t, s = ordered(t, s)
        ratio = self.alpha(t) / self.alpha(s)
        spread = (self.sigma(t).square() - (ratio * self.sigma(s)).square()).clamp_min(0).sqrt()
        noise = self.noise(x_s, rng=rng, mask=mask)
        x_t = expand(ratio, x_s).to(x_s.dtype) * x_s + expand(spread, x_s).to(x_s.dtype) * noise
        risen = torch.where(expand(t == s, x_s), x_s, x_t)
        return self.project(risen, mask) if self.centred or mask is not None else risen


def _plain(t: Tensor) -> bool:
    """Whether t is one number that nothing waits for and nothing differentiates."""
    return t.ndim == 0 and t.device.type == "cpu" and not t.requires_grad


@lru_cache(maxsize=4096)
def _scales(path: Affine, t: float, s: float) -> tuple[float, float]:
    """What a step without fresh noise makes of the state and of the data, as numbers."""
    start, end = (torch.tensor(v, dtype=torch.float64) for v in (t, s))
    stay, _ = path._shares(start, end, 0.0)
    return stay.item(), (path.alpha(end) - stay * path.alpha(start)).item()
