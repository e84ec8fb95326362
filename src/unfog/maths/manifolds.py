"""Angles and rotations: data becomes uniform noise along the geodesic.

    x_t = exp_x(t log_x(z)),     z uniform on the manifold

The mean of points on a circle is ill-defined, so what is predicted here, and what `move` trusts
as x_hat, is the tangent at x_t that points to the data. It is -t times the velocity, and so is its
mean.
Ref: Chen & Lipman 2024, Flow Matching on General Geometries, sec. 3; Bose et al. 2024, FoldFlow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError, ShapeError
from unfog.maths.paths import Noised, as_time, ordered
from unfog.maths.randomness import Rng
from unfog.maths.states import expand


@dataclass(frozen=True)
class Manifold:
    """Base of geodesic paths; a member states `log`, `exp` and `noise`."""

    @property
    def affine(self) -> bool:
        return False

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """The tangent at x of the shortest way to y."""
        raise TypeError(f"{type(self).__name__} must define log")

    def exp(self, x: Tensor, tangent: Tensor) -> Tensor:
        """Where the geodesic from x along `tangent` ends."""
        raise TypeError(f"{type(self).__name__} must define exp")

    def noise(self, like: Tensor, *, rng: Rng) -> Tensor:
        """A uniform draw of `like`'s shape."""
        raise TypeError(f"{type(self).__name__} must define noise")

    def padded(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """A checked state, with padding set to 0."""
        raise TypeError(f"{type(self).__name__} must define padded")

    def prior(
        self, like: Tensor, *, rng: Rng, mask: Tensor | None = None, cond: Any = None
    ) -> Tensor:
        """A state at t = 1: uniform, of `like`'s shape; padding 0."""
        return _zero_padding(self.noise(like, rng=rng), mask)

    def corrupt(
        self,
        x: Tensor,
        t: float | Tensor,
        *,
        rng: Rng,
        z: Tensor | None = None,
        mask: Tensor | None = None,
        keep: Tensor | None = None,
    ) -> Noised:
        """Go from x towards z by the share t of the geodesic; the arguments are those of `Path`."""
        t = as_time(t)
        x = self.padded(x, mask)
        z = _zero_padding(self.noise(x, rng=rng), mask) if z is None else self.padded(z, mask)
        way = self.log(x, z)
        x_t = _zero_padding(self.exp(x, expand(t, way).to(way.dtype) * way), mask)
        if keep is not None:
            x_t = torch.where(expand(keep, x).bool(), x, x_t)
        return Noised(x_t, z, t)

    def target(self, x: Tensor, z: Tensor, t: float | Tensor) -> Tensor:
        """The conditional velocity dx_t/dt = log_x(z) as a tangent at x_t: what a net regresses.

        It is the same at every t, because a geodesic carries its own direction along.
        """
        return self.log(x, z)

    def tangent(self, x_t: Tensor, velocity: Tensor, t: float | Tensor) -> Tensor:
        """The x_hat of `move` from a velocity at x_t: -t velocity."""
        t = as_time(t)
        return -expand(t, velocity).to(velocity.dtype) * velocity

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
        """Follow the trusted tangent: x_s = exp at x_t of (1 - s / t) x_hat.

        Args:
            x_hat: the tangent at x_t that points to the data.     t, s: () or (B,), s <= t.
            eta: 0, the only value.
        """
        t, s = ordered(t, s)
        if eta != 0:
            raise ArgumentError(
                f"a {type(self).__name__} path moves with eta = 0 only; got {eta}: the uniform "
                "noise of a geodesic has no posterior that a share of fresh noise could keep"
            )
        x_t = self.padded(x_t, mask)
        share = torch.where(s == t, torch.zeros_like(t), 1 - s / t)
        step = expand(share, x_hat).to(x_hat.dtype) * x_hat
        x_s = _zero_padding(self.exp(x_t, step), mask)
        return torch.where(expand(share == 0, x_t), x_t, x_s)

    def renoise(
        self,
        x_s: Tensor,
        s: float | Tensor,
        t: float | Tensor,
        *,
        rng: Rng,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Refused: uniform noise of width t is not that of width s plus something independent."""
        raise ArgumentError(
            f"a {type(self).__name__} path can't go up from s = {s} to t = {t}: no fresh noise "
            "makes its marginal at t from that at s; use a solver without churn or restarts"
        )


@dataclass(frozen=True)
class Torus(Manifold):
    """Angles: states (B, *D), each entry on its own circle; results lie in [-period/2, period/2).

    Args:
        period: of every entry, or one number per entry of the last axis.
    """

    period: float | tuple[float, ...] = 2 * math.pi

    def __post_init__(self) -> None:
        if isinstance(self.period, list):
            object.__setattr__(self, "period", tuple(self.period))
        if not all(math.isfinite(p) and p > 0 for p in _tuple(self.period)):
            raise ArgumentError(f"a period is a positive number; got {self.period}")

    def periods(self, like: Tensor) -> Tensor:
        """() or (D,) in `like`'s type."""
        return torch.as_tensor(self.period, dtype=like.dtype, device=like.device)

    def wrap(self, x: Tensor) -> Tensor:
        """The same angle in [-period/2, period/2)."""
        half = self.periods(x) / 2
        return torch.remainder(x + half, 2 * half).clamp_max(2 * half * _below_one(x)) - half

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        return self.wrap(y - x)

    def exp(self, x: Tensor, tangent: Tensor) -> Tensor:
        return self.wrap(x + tangent)

    def noise(self, like: Tensor, *, rng: Rng) -> Tensor:
        return (rng.uniform(like) - 0.5) * self.periods(like)

    def padded(self, x: Tensor, mask: Tensor | None) -> Tensor:
        periods = _tuple(self.period)
        if not x.is_floating_point() or (len(periods) > 1 and x.shape[-1] != len(periods)):
            last = f"…, {len(periods)}" if len(periods) > 1 else "*D"
            raise ShapeError(
                f"a state of angles is floats (B, {last}); got {x.dtype} {tuple(x.shape)}"
            )
        return _zero_padding(x, mask)


@dataclass(frozen=True)
class Rotations(Manifold):
    """Rotations: states (B, 3, 3) or (B, N, 3, 3), tangents (B, 3) or (B, N, 3).

    A tangent is axis times angle in the body's frame: exp_x(w) = x exp(w). Padding is zeros.
    """

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        return rotation_vector(x.mT @ y)

    def exp(self, x: Tensor, tangent: Tensor) -> Tensor:
        moved = x @ rotation(tangent)
        # one Newton step to the nearest orthogonal matrix: hundreds of moves don't drift off
        return 1.5 * moved - 0.5 * moved @ (moved.mT @ moved)

    def noise(self, like: Tensor, *, rng: Rng) -> Tensor:
        """Uniform (Haar) rotations: normal quaternions, normalised. Ref: Shoemake 1992."""
        return _from_quaternion(rng.normal(like.new_empty(*like.shape[:-2], 4)))

    def padded(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if x.ndim not in (3, 4) or x.shape[-2:] != (3, 3) or not x.is_floating_point():
            raise ShapeError(
                f"a state of rotations is floats (B, 3, 3) or (B, N, 3, 3); got {x.dtype} "
                f"{tuple(x.shape)}"
            )
        real = torch.eye(3, dtype=x.dtype, device=x.device)
        checked = x if mask is None else torch.where(expand(mask, x).bool(), x, real)
        off = (checked.mT @ checked - real).abs().amax()
        if not bool(off < 1e-3) or not bool((torch.linalg.det(checked) > 0).all()):
            raise ArgumentError(
                f"not all matrices are rotations: x^T x is up to {off:.3g} from the identity, or "
                "a determinant is negative; orthogonalise them first"
            )
        return _zero_padding(x, mask)


def rotation(vector: Tensor) -> Tensor:
    """exp: axis times angle (…, 3) to a rotation matrix (…, 3, 3). Ref: Rodrigues 1840."""
    angle = torch.linalg.vector_norm(vector, dim=-1, keepdim=True)
    # sinc(v) = sin(pi v) / (pi v), smooth at 0
    half = torch.sinc(angle / (2 * math.pi)) / 2 * vector
    return _from_quaternion(torch.cat([torch.cos(angle / 2), half], -1))


def rotation_vector(matrix: Tensor) -> Tensor:
    """log: a rotation matrix (…, 3, 3) to axis times angle (…, 3), angle in [0, pi].

    By the quaternion's largest part, so that it is exact to rounding at 0 and at pi alike; at pi
    either of the two opposite vectors. Ref: Shepperd 1978.
    """
    m = matrix.flatten(-2)
    xx, xy, xz, yx, yy, yz, zx, zy, zz = m.unbind(-1)
    a, b, c = zy - yz, xz - zx, yx - xy
    # rows: 4 q q_i for i = w, x, y, z; each row is parallel to q
    rows = torch.stack(
        [
            torch.stack([1 + xx + yy + zz, a, b, c], -1),
            torch.stack([a, 1 + xx - yy - zz, xy + yx, xz + zx], -1),
            torch.stack([b, xy + yx, 1 - xx + yy - zz, yz + zy], -1),
            torch.stack([c, xz + zx, yz + zy, 1 - xx - yy + zz], -1),
        ],
        -2,
    )
    best = rows.diagonal(dim1=-2, dim2=-1).argmax(-1)
    q = rows.gather(-2, best[..., None, None].expand(*best.shape, 1, 4)).squeeze(-2)
    q = torch.where(q[..., :1] < 0, -q, q)
    q = q / torch.linalg.vector_norm(q, dim=-1, keepdim=True)
    size = torch.linalg.vector_norm(q[..., 1:], dim=-1, keepdim=True)
    tiny = size < 1e-12  # there angle / sin(angle / 2) is 2; the division would be 0 / 0
    safe = torch.where(tiny, torch.ones_like(size), size)
    return q[..., 1:] * torch.where(tiny, 2.0, 2 * torch.atan2(size, q[..., :1]) / safe)


def _from_quaternion(q: Tensor) -> Tensor:
    """A quaternion (…, 4), real part first, of any length, to a rotation matrix (…, 3, 3)."""
    w, x, y, z = (q / torch.linalg.vector_norm(q, dim=-1, keepdim=True)).unbind(-1)
    entries = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(entries, -1).unflatten(-1, (3, 3))


def _zero_padding(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else torch.where(expand(mask, x).bool(), x, 0.0)


def _tuple(period: float | tuple[float, ...]) -> tuple[float, ...]:
    return period if isinstance(period, tuple) else (period,)


def _below_one(x: Tensor) -> float:
    return 1 - torch.finfo(x.dtype).eps
