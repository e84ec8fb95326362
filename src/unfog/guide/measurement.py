"""A measurement: what was seen of the data, through what, and how noisily."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError, ShapeError
from unfog.guide.operators import transposed
from unfog.guide.tilt import Edge, leaves
from unfog.maths.paths import Affine
from unfog.maths.product import Product
from unfog.maths.randomness import BatchRng
from unfog.maths.states import each

State = Any
PROBES = 16


@dataclass(frozen=True, eq=False)
class Seen:
    """A prediction and what the measurement would be of it, (B, M), with its graph to `numbers`."""

    x_t: State
    t: Tensor
    x_hat: State
    seen: Tensor
    numbers: list[Tensor]


@dataclass(frozen=True, eq=False)
class Measurement:
    """y = A(back(x)) + noise · N(0, 1).

    Args:
        y: (B, *M), or (1, *M) for all samples.
        operator: A, data -> (B, *M), differentiable; see `operators`.
        noise: standard deviation of y's error, in y's units: a number, or a tensor that broadcasts
            to y.
        back: state -> data, differentiable: `space.back` in latents. Of a padded state it must
            also take the padding out, for example `lambda x: path.project(x, mask)`.
        spread: standard deviation of the state's data, of which some methods make a guess of what
            is still uncertain.
    """

    y: Tensor
    operator: Callable[[Any], Tensor]
    noise: float | Tensor = 0.0
    back: Callable[[Any], Any] | None = None
    spread: float = 1.0

    def __post_init__(self) -> None:
        noise = torch.as_tensor(self.noise)
        if not bool(((noise >= 0) & noise.isfinite()).all()):
            raise ArgumentError(f"noise is a standard deviation, finite and >= 0; got {self.noise}")
        if not bool(self.y.isfinite().all()):
            raise ArgumentError(
                f"y has {int((~self.y.isfinite()).sum())} entries that are NaN or infinite; leave "
                "out what was not seen by a mask"
            )
        if not (self.spread > 0 and math.isfinite(self.spread)):
            raise ArgumentError(f"spread is a positive number; got {self.spread}")

    @property
    def linear(self) -> bool:
        """Whether A says so of itself; `back` is taken as linear."""
        return bool(getattr(self.operator, "linear", False))

    def see(self, x: State) -> Tensor:
        """A(back(x)), (B, M). Raises ShapeError where that is not of y's shape."""
        seen = self.operator(x if self.back is None else self.back(x))
        if seen.shape[1:] != self.y.shape[1:] or len(self.y) not in (1, len(seen)):
            raise ShapeError(
                f"the operator gives {tuple(seen.shape)}, y has shape {tuple(self.y.shape)}; a "
                "y for all samples has 1 in front"
            )
        return seen.reshape(len(seen), -1)

    def seen_through(
        self, predictor: Callable[..., Any], edge: Edge, x_t: State, t: Tensor, s: Tensor | None
    ) -> Seen:
        """Predict where the guide looks, and see the prediction, ready for gradients."""
        x_t, t, s = edge(x_t, t, s)
        with torch.enable_grad():
            state, numbers = leaves(edge.path, x_t)
            x_hat = predictor(state, t, s)
            seen = self.see(x_hat)
        return Seen(x_t, t, each(lambda value: value.detach(), x_hat), seen, numbers)

    def missing(self, seen: Tensor) -> Tensor:
        """y - seen, (B, M)."""
        return self.y.reshape(len(self.y), -1).to(seen) - seen

    def variance(self, seen: Tensor) -> Tensor:
        """noise^2, broadcasts to (B, M)."""
        noise = torch.as_tensor(self.noise).to(seen)
        if not noise.ndim:
            return noise.square().expand(1, seen.shape[1])
        return noise.expand(len(self.y), *self.y.shape[1:]).reshape(len(self.y), -1).square()

    def push(self, x: State, direction: State) -> Tensor:
        """How A(back(x)) changes along a direction of the state, (B, M)."""
        pushed: Tensor = torch.func.jvp(self.see, (x,), (direction,))[1]
        return pushed

    def log_prob(self, x: State, extra: Tensor | float = 0.0) -> Tensor:
        """log N(y; A(back(x)), noise^2 + extra), (B,) in nats."""
        seen = self.see(x)
        variance = self.variance(seen) + extra
        missing = self.missing(seen)
        terms = missing.square() / variance + (2 * math.pi * variance).log()
        return -terms.sum(1) / 2

    def row_sizes(self, x: State) -> Tensor:
        """diag A A' with A's derivative at x, (B, M): exact for up to 64 rows, else a random guess.

        Ref: Bekas et al. 2007, An Estimator for the Diagonal of a Matrix.
        """
        x = each(lambda value: value.detach(), x)
        seen, pull = transposed(self.see, x)
        rows = seen.shape[1]
        if rows <= 64:
            probes = torch.eye(rows).to(seen)
        else:
            probes = 1 - 2 * (BatchRng(0).uniform(seen.new_empty(PROBES, rows)) < 0.5).to(seen)
        total = torch.zeros_like(seen)
        for probe in probes:
            v = probe.expand_as(seen).contiguous()
            total += v * self.push(x, pull(v))
        return total.clamp_min(0) if rows <= 64 else (total / PROBES).clamp_min(0)

    def left(self, path: Any, t: Tensor) -> Tensor:
        """Var[x | x_t] if the data were white with this spread: ΠGDM's r_t^2, shape of t."""
        clock = path.clock if isinstance(path, Product) else path
        if not isinstance(clock, Affine):
            raise ArgumentError(
                f"a measurement needs a path with Gaussian noise; got {type(path).__name__}"
            )
        alpha, sigma = clock.alpha(t), clock.sigma(t)
        total = sigma.square() + (alpha * self.spread).square()
        return (sigma * self.spread).square() / total


def conjugate(
    apply: Callable[[Tensor], Tensor], b: Tensor, iterations: int, tolerance: float = 1e-6
) -> Tensor:
    """Solve apply(v) = b for every sample on its own, by conjugate gradients from 0; (B, M).

    A sample stops at the tolerance, and where apply is not positive definite along the way.

    Ref: Hestenes & Stiefel 1952.
    """
    v, r = torch.zeros_like(b), b
    p, size = r, r.square().sum(1)
    enough = tolerance**2 * size
    for _ in range(iterations):
        image = apply(p)
        curve = (p * image).sum(1)
        going = (size > enough) & (curve > 0)
        if not bool(going.any()):
            break
        step = torch.where(going, size / curve.where(going, 1.0), 0.0)[:, None]
        v, r = v + step * p, r - step * image
        now = torch.where(going, r.square().sum(1), 0.0)
        p = r + torch.where(going, now / size.where(going, 1.0), 0.0)[:, None] * p
        size = now
    return v


def krylov(
    apply: Callable[[Tensor], tuple[Tensor, State]], b: Tensor, iterations: int
) -> tuple[Tensor, list[State]]:
    """Minimise |b - M v| over v in the span of b, M b, M^2 b …, for every sample on its own.

    Unlike conjugate gradients it asks nothing of M: the derivative of a trained net is neither
    symmetric nor positive, and M v never becomes longer than b.

    Args:
        apply: v -> (M v, anything linear in v that the caller wants combined as v is).
    Returns: coefficients (B, k), and the k things to combine.
    Ref: Saad & Schultz 1986, GMRES.
    """
    basis: list[Tensor] = []
    images: list[Tensor] = []
    kept: list[State] = []
    v = b
    for _ in range(min(iterations, b.shape[1])):
        for _ in range(2):  # twice is enough for orthogonality to rounding
            for q in basis:
                v = v - (q * v).sum(1, keepdim=True) * q
        size = torch.linalg.vector_norm(v, dim=1, keepdim=True)
        basis.append(torch.where(size > 0, v / size.where(size > 0, 1.0), 0.0))
        image, thing = apply(basis[-1])
        images.append(image)
        kept.append(thing)
        v = image
    wide = torch.stack(images, -1).double()  # (B, M, k)
    gram = wide.mT @ wide
    ridge = 1e-12 * gram.diagonal(dim1=-2, dim2=-1).sum(-1) + torch.finfo(torch.float64).tiny
    gram = gram + ridge[:, None, None] * torch.eye(gram.shape[-1]).to(gram)
    right = (wide.mT @ b.double()[..., None])[..., 0]
    return torch.linalg.solve(gram, right).to(b), kept
