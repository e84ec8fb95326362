"""Denoising error across noise levels: what the model can't explain of a row, in nats."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.judge.strange.case import Case, Rows, detectors
from unfog.maths.discrete import Masking
from unfog.maths.product import Product, fieldwise
from unfog.maths.randomness import BatchRng, mix
from unfog.maths.states import State, each


@dataclass(frozen=True)
class Level:
    """One noise level of the sum.     width: of its cell in log SNR.     span: of its cell in t."""

    t: Tensor
    snr: float
    width: float
    span: float

    def lost(self, path: Any, x: Tensor, x_hat: Tensor, z: Tensor) -> Tensor:
        """(N, D) of nats that this level adds, where this noise was drawn."""
        x_hat = x_hat.float().cpu()
        if not isinstance(path, Masking):
            return 0.5 * self.snr * self.width * (x - x_hat).square()
        chance = x_hat.gather(-1, x.unsqueeze(-1)).squeeze(-1).clamp_min(1e-9)
        return -chance.log() * z.cpu() * (float(path.weight(self.t)) * self.span)


@detectors.add(
    "denoising_error",
    reference="Kong et al. 2023, Information-theoretic diffusion, eq. 9; Sahoo et al. 2024, MDLM",
)
@dataclass(frozen=True)
class DenoisingError:
    """Weighted denoising error across noise levels: an estimate of -log p up to a constant.

        numbers     1/2 Σ_l snr_l |x - x_hat|^2 Δ(log snr)      categories   Σ_l m'/m CE Δt

    Averaged over noise that is the same for every row (pairs z, -z; masks stratified over draws),
    so that rows can be compared and a row's score does not depend on its place.

    Args:
        levels: noise levels, evenly spaced in log-SNR.
        low, high: their range of log(sigma/alpha).
    """

    levels: int = 8
    low: float = -2.0
    high: float = 1.5

    def __post_init__(self) -> None:
        if self.levels < 2 or not self.low < self.high:
            raise ArgumentError(
                f"levels={self.levels} from {self.low} to {self.high}; at least 2, rising"
            )

    @torch.no_grad()
    def __call__(self, case: Case, rows: Rows) -> Tensor:
        """(N, C) nats."""
        if case.draws < 1:
            raise ArgumentError(f"draws={case.draws}; at least 1")
        starts = range(0, len(rows), case.batch)
        found = [self._parts(case, rows.take(slice(at, at + case.batch))) for at in starts]
        # what no state stands for adds the tail of a unit normal
        return torch.cat(found) + rows.beyond.square() / 2

    def _parts(self, case: Case, rows: Rows) -> Tensor:
        x = each(lambda v: v.to(case.device), case.into(rows.state))
        odd = each(lambda owner: rows.odd[:, owner].to(case.device), case.owners.state)
        total = torch.zeros(len(rows), len(case.owners.names))
        for number, level in enumerate(self._levels(case.path)):
            for z in _noises(case, x, number, level.t):
                # the noise is given: nothing is drawn from this rng
                x_t = case.path.corrupt(x, level.t, rng=BatchRng(0), z=z).x_t
                x_t = fieldwise(case.path, _hidden, x_t, odd)
                hat = case.back(case.predict(x_t, level.t.float().to(case.device)))
                lost = fieldwise(case.path, level.lost, rows.state, hat, z)
                for values, owner in _fields(lost, case.owners.state):
                    total += case.owners.sums(values, owner) / case.draws
        return total

    def _levels(self, path: Any) -> list[Level]:
        """The levels, lowest noise first; cells of t reach to 0 and 1."""
        clock = path.clock if isinstance(path, Product) else path
        step = (self.high - self.low) / (self.levels - 1)
        ratios = torch.linspace(self.low, self.high, self.levels, dtype=torch.float64)
        times = clock.time_at(ratios)
        inner = clock.time_at(ratios[:-1] + step / 2)
        edges = torch.cat([inner.new_zeros(1), inner, inner.new_ones(1)])
        spans = edges.diff().tolist()
        return [
            Level(t, math.exp(-2 * ratio), 2 * step, span)
            for t, ratio, span in zip(times, ratios.tolist(), spans)
        ]


def _hidden(path: Any, x_t: Tensor, odd: Tensor) -> Tensor:
    """Categories without a code are masked at every level."""
    return torch.where(odd, path.mask_token(x_t), x_t) if isinstance(path, Masking) else x_t


def _fields(values: Any, owners: Any) -> list[tuple[Tensor, Tensor]]:
    if isinstance(values, dict):
        return [(values[name], owners[name]) for name in values]
    return [(values, owners)]


def _noises(case: Case, x: State, number: int, t: Tensor) -> list[Any]:
    """The noise of every draw at this level, the same for all rows: Gaussian in pairs of opposite
    sign; masks u < m(t) with the u of a column evenly spread over the draws.
    """
    rng, count = BatchRng(mix(case.seed, 61), number), case.draws

    def field(path: Any, v: Tensor) -> list[Tensor]:
        if isinstance(path, Masking):
            first = rng.uniform(torch.empty(1, *v.shape[1:]))
            hits = [(first + i / count) % 1 < path.masked_share(t) for i in range(count)]
            return [hit.expand(v.shape).to(v.device) for hit in hits]
        half = rng.normal(torch.empty(-(-count // 2), *v.shape[1:]))
        both = torch.stack([half, -half], 1).flatten(0, 1)[:count]
        return [z.expand(v.shape).to(v) for z in both]

    drawn = fieldwise(case.path, field, x)
    if isinstance(drawn, dict):
        return [{name: values[i] for name, values in drawn.items()} for i in range(count)]
    return list(drawn)
