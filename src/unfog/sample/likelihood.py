"""log p(x): by the probability flow exactly, and by a bound from denoising errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unfog.maths.paths import Affine
from unfog.maths.randomness import Rng
from unfog.maths.states import expand
from unfog.sample.flow import Flow, Trace, exact_trace, probed_trace

ENTRIES = 64
"""Numbers an item up to which the trace is exact unless something else is asked for."""


@dataclass(frozen=True)
class LogProb:
    """What the probability flow says of states.

    Attributes:
        nats: (B,) float64 log densities.     noise: (B, *D) the noise that the states come from.
        error: (B,) standard error over probes; 0 where the trace is exact, nan for one probe.
    """

    nats: Tensor
    noise: Tensor
    error: Tensor

    @property
    def bits_per_dim(self) -> Tensor:
        """(B,) -log2 p per number of the state."""
        return -self.nats / self.noise[0].numel() / math.log(2)


def log_prob(
    predict: Callable[..., Any],
    path: Affine,
    x: Tensor,
    *,
    steps: int = 50,
    probes: int | None = None,
    rng: Rng | None = None,
) -> LogProb:
    """log p(x) in nats, following the probability flow from data to noise.

        log p(x) = log N(w; 0, sin^2 u_end) + int div (dw/du) du

    Args:
        x: (B, *D) states.     steps: of a Runge-Kutta method of order 4, four calls each.
        probes: how many Hutchinson probes estimate the trace, drawn from `rng`; 0 = exact, one
            backward pass per number. None: exact up to 64 numbers an item, else one probe.
    Raises: ArgumentError for a path that is not affine.
    Ref: Song et al. 2021, Score SDEs, eq. 39 and 40.
    """
    flow = Flow(predict, path)
    if probes is None:
        probes = 0 if x[0].numel() <= ENTRIES else 1
    traces: list[Trace] = [exact_trace]
    if probes > 0:
        if rng is None:
            raise TypeError("probes need an rng")
        draws = [rng.at(number).uniform(x) for number in range(probes)]
        traces = [probed_trace(torch.where(u < 0.5, -1.0, 1.0).to(x.dtype)) for u in draws]
    ends = [flow.towards_noise(x, steps, trace) for trace in traces]
    found = torch.stack([_at_noise(end.state, flow.furthest) + end.grown for end in ends])
    error = torch.zeros(len(x), dtype=torch.float64)
    if probes > 0:
        error = found.std(0) / math.sqrt(probes)  # nan for one: nothing is known of its error
    noise = ends[0].state / math.sin(flow.furthest)
    return LogProb(found.mean(0), noise, error)


def _at_noise(w: Tensor, furthest: float) -> Tensor:
    """(B,) log density of the prior at unit scale, N(0, sin^2)."""
    flat, scale = w.flatten(1).double().cpu(), math.sin(furthest)
    constant = math.log(2 * math.pi) / 2 + math.log(scale)
    return -(flat / scale).square().sum(1) / 2 - constant * flat.shape[1]


@dataclass(frozen=True)
class Elbo:
    """What denoising errors say of states.

    Attributes:
        nats: (B,) float64 lower bounds of log p(x), in the mean over noise.
        angles: (L,) the noise levels, atan2(sigma, alpha), at which errors were measured.
        parts: (L, B) what each level adds to `nats` beside the constant.
        gaps: (L, B) how far each level's part lies below what the predictor promises itself; 0 in
            the mean for an exact one. None where they were not asked for.
    """

    nats: Tensor
    angles: Tensor
    parts: Tensor
    gaps: Tensor | None = None


def elbo(
    predict: Callable[..., Any],
    path: Affine,
    x: Tensor,
    *,
    levels: int = 200,
    gaps: bool = False,
    rng: Rng,
    nearest: float = 1e-3,
    furthest: float = 1e3,
) -> Elbo:
    """A lower bound of log p(x) from squared denoising errors, tight for the best predictor.

        log p(x) >= -D/2 log(2 pi e) + 1/2 int (D / (1 + snr) - E ||x - x_hat||^2) d snr

    The integral runs over log snr, a stratified draw per level and item. For D stands ||noise||^2
    of that draw, whose mean it is: near data, where x - x_hat is the noise itself, both then agree.

    Args:
        x: (B, *D) states.     levels: calls of the predictor.
        gaps: also compare each level's error with the posterior variance that the predictor's own
            slope means, tr Cov(x | x_t) = sigma^2 / alpha div x_hat, by one probe a level.
        nearest, furthest: limits of sigma / alpha; outside, errors are taken as a Gaussian's.
    Ref: Kingma et al. 2021, Variational Diffusion Models, eq. 15; Kong et al. 2023,
        Information-Theoretic Diffusion, eq. 8 (equality for the best predictor); Efron 2011,
        Tweedie's Formula, sec. 2 (the posterior's variance).
    """
    flat = x[0].numel()
    low, high = -2 * math.log(furthest), -2 * math.log(nearest)  # log snr
    width = (high - low) / levels
    rows, missing, angles = [], [], []
    for level in range(levels):
        fresh = rng.at(level)
        shift = fresh.uniform(x.new_empty(len(x))).double()
        log_snr = low + width * (level + shift)
        t = path.time_at(-log_snr / 2).to(x.device)
        alpha, sigma = path.alpha(t), path.sigma(t)
        noise = fresh.normal(x)
        x_t = expand(alpha, x).to(x.dtype) * x + expand(sigma, x).to(x.dtype) * noise
        if gaps:
            signs = torch.where(fresh.uniform(x) < 0.5, -1.0, 1.0)
            found, spread = probed_trace(signs)(lambda w: predict(w, t), x_t)  # noqa: B023
            promised = spread * (sigma.square() / alpha).double().cpu()
        else:
            found = predict(x_t, t)
        snr = (alpha / sigma).square().double().cpu()
        error = (x - found).flatten(1).double().square().sum(1).cpu()
        size = noise.flatten(1).double().square().sum(1).cpu()
        rows.append(width / 2 * snr * (size / (1 + snr) - error))
        if gaps:
            missing.append(width / 2 * snr * (error - promised))
        angles.append(math.atan(math.exp(-(low + width * (level + 0.5)) / 2)))
    parts = torch.stack(rows)
    constant = -flat / 2 * math.log(2 * math.pi * math.e)
    at = torch.tensor(angles, dtype=torch.float64)
    return Elbo(constant + parts.sum(0), at, parts, torch.stack(missing) if gaps else None)
