"""Calibrated marginals: what each entry of a state is known to be like at every time of a grid.

A table's numbers are normal scores, so at time t each is N(0, alpha^2 + sigma^2) exactly; and what
is answered of a masked category, averaged over the rows where it is masked, is the frequency of
each level. A net that is still learning misses both a little. How it misses them is measured once,
step by step, and taken back in every draw: numbers by a monotone map of each score, answers by a
factor for each level. Later steps see the corrected state, so what belongs together stays so.
Where it is asked for, the correlations of the numbers are taken back too, by a linear map.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor

from unfog.errors import RunError
from unfog.maths.affine import Affine
from unfog.maths.discrete import Masking
from unfog.maths.product import Product
from unfog.maths.randomness import Rng
from unfog.sample.correlations import goal_at, mixing, uncorrelated
from unfog.sample.loop import sample

ROWS = 50
"""Measured rows to each knot of a map."""
KNOTS = 200
FEWEST = 200
"""Rows in which a category must be masked to be measured."""
CHANCE = 1 / 6
"""Mean squared distance of n draws' distribution from their own, times n."""
ROUNDS, MOST = 20, 3.0
"""Of the fixed point that factors are found by; the largest logarithm of one."""


@dataclass
class Marginals:
    """Corrections at the times of one grid; a corrector of `sample.loop`, and more.

    Attributes:
        scores: time -> {field of numbers: (n, K) quantiles, in units of their spread, of what is
            drawn, which become the quantiles of N(0, 1)}.
        factors: time -> {field of categories: (m, width) logarithms by which answers are
            multiplied}.
        mixes: time -> {field of numbers: (n, n) matrix that numbers are multiplied by, before
            `scores`}.
    """

    scores: dict[float, dict[str, Tensor]] = field(default_factory=dict)
    factors: dict[float, dict[str, Tensor]] = field(default_factory=dict)
    mixes: dict[float, dict[str, Tensor]] = field(default_factory=dict)
    calls = 0

    def __call__(
        self,
        predict: Callable[..., Any],
        path: Any,
        x_t: Any,
        t: Tensor,
        *,
        rng: Rng,
        mask: Any = None,
    ) -> Any:
        """The state at t with its numbers distributed as they must be; see `Corrector`."""
        return self.moved(path, x_t, t)

    def moved(self, path: Product, x_t: Any, t: Tensor) -> Any:
        """The same, for the state after the last step too."""
        maps = self.scores.get(_at(t), {})
        x_t = self.mixed(x_t, t)
        there = {n: _mapped(x_t[n], knots, spread(path, n, t)) for n, knots in maps.items()}
        return {**x_t, **there}

    def mixed(self, x_t: Any, t: Tensor) -> Any:
        """The state at t with its numbers correlated as they must be."""
        found = self.mixes.get(_at(t), {})
        return {**x_t, **{n: x_t[n] @ by.to(x_t[n]).T for n, by in found.items()}}

    def tilted(self, predict: Callable[..., Any]) -> Callable[..., Any]:
        """The predictor whose answers are right on average."""

        def tilt(x_t: Any, t: Tensor, s: Tensor | None = None) -> Any:
            x_hat = predict(x_t, t, s)
            return self.corrected(x_hat, t)

        return tilt

    def corrected(self, x_hat: Any, t: Tensor) -> Any:
        """Predictions at t, the probabilities (B, m, width) of categories multiplied."""
        found = self.factors.get(_at(t), {})
        return {**x_hat, **{n: _multiplied(x_hat[n], by) for n, by in found.items()}}

    def tensors(self) -> dict[str, Tensor]:
        """Name -> tensor, for a file: "scores|0.25|num"."""
        return {
            f"{kind}|{t!r}|{name}": value
            for kind, held in (
                ("scores", self.scores),
                ("factors", self.factors),
                ("mixes", self.mixes),
            )
            for t, fields in held.items()
            for name, value in fields.items()
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], path: Product) -> Marginals:
        """The inverse of `tensors`. Raises: RunError for what does not fit the path."""
        made = cls()
        for key, value in tensors.items():
            kind, time, name = (*key.split("|"), "", "")[:3]
            try:
                place = {"scores": made.scores, "factors": made.factors, "mixes": made.mixes}[kind]
                at = float(time)
                member = path.fields[name]
            except (KeyError, ValueError) as error:
                raise RunError(f"calibrated marginals have {key!r}, which fits nothing") from error
            shaped = (
                value.shape == (len(member.sizes), member.width)
                if isinstance(member, Masking)
                else value.ndim == 2 and value.shape[1] > 1
            )
            if kind == "mixes":
                shaped = value.ndim == 2 and value.shape[0] == value.shape[1]
            if (kind == "factors") != isinstance(member, Masking) or not shaped:
                raise RunError(f"calibrated marginals have {key!r} of shape {tuple(value.shape)}")
            if not torch.isfinite(value).all():
                raise RunError(f"calibrated marginals have numbers in {key!r} that are not finite")
            place.setdefault(at, {})[name] = value
        return made


@dataclass
class Measuring(Marginals):
    """Marginals that are being measured on the states that pass by.

    Args:
        frequencies: field of categories -> for each column the (size,) shares of its levels.
        known: field of numbers -> (n, n) correlations of its columns, where they are to be kept.
    """

    frequencies: Mapping[str, Sequence[Tensor]] = field(default_factory=dict)
    known: Mapping[str, Tensor] = field(default_factory=dict)

    def moved(self, path: Product, x_t: Any, t: Tensor) -> Any:
        """Measured at t where that is not done yet; at pure noise there is nothing to measure."""
        if _at(t) not in self.scores and bool(path.alpha(t) > 0):
            self.mixes[_at(t)] = {
                name: mixing(x_t[name], goal_at(cast(Affine, path.fields[name]), known, t))
                for name, known in self.known.items()
            }
            mixed = self.mixed(x_t, t)
            self.scores[_at(t)] = {
                name: _quantiles(mixed[name] / spread(path, name, t))
                for name, member in path.fields.items()
                if isinstance(member, Affine)
            }
        return super().moved(path, x_t, t)

    def tilted(self, predict: Callable[..., Any]) -> Callable[..., Any]:
        """Measured at each time that is asked for where that is not done yet."""

        def tilt(x_t: Any, t: Tensor, s: Tensor | None = None) -> Any:
            x_hat = predict(x_t, t, s)
            if _at(t) not in self.factors:
                self.factors[_at(t)] = {
                    name: _factors(x_hat[name], x_t[name], shares)
                    for name, shares in self.frequencies.items()
                }
            return self.corrected(x_hat, t)

        return tilt


def measured(
    predict: Callable[..., Any],
    path: Any,
    solver: Any,
    x_t: Any,
    grid: Tensor,
    *,
    frequencies: Mapping[str, Sequence[Tensor]],
    known: Mapping[str, Tensor] | None = None,
    eta: float = 0.0,
    rng: Rng,
    tell: Callable[[int], None] = lambda step: None,
) -> Marginals:
    """What draws by this solver on this grid need, measured step by step on draws that are
    corrected already in the steps before.

    Args:
        x_t: states from the prior, 2000 or more.     frequencies, known: see `Measuring`.
        predict, path, solver, grid, eta, rng: as for `sample.loop.sample`.
        tell: hears of every step.
    """
    found = Measuring(frequencies=frequencies, known=known or {})
    # then what is missed is the net's, and less is chance
    x_t = _evened(path, {**x_t, **{n: uncorrelated(x_t[n]) for n in found.known}}, grid[0])
    told = found.tilted(predict)
    steps = sample(told, path, solver, x_t, grid, eta=eta, rng=rng, corrector=found)
    for number, step in enumerate(steps, 1):
        x_t = step.x
        tell(number)
    found.moved(path, x_t, grid[-1])
    return Marginals(found.scores, found.factors, found.mixes)


def spread(path: Product, name: str, t: Tensor) -> Tensor:
    """Standard deviation at t of a standard normal entry."""
    member = path.fields[name]
    assert isinstance(member, Affine)
    return (member.alpha(t) ** 2 + member.sigma(t) ** 2).sqrt()


def _at(t: Tensor) -> float:
    """A time as a key, the same where machines differ in its last digit."""
    return round(float(t.reshape(-1)[0]), 6)


def _normal(count: int, like: Tensor) -> Tensor:
    """(K,) quantiles of N(0, 1) in the middles of K equal shares."""
    shares = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return torch.special.ndtri(shares).to(like)


def _evened(path: Product, x_t: Any, t: Tensor) -> Any:
    """Pure noise of which each column of numbers has exactly the quantiles of its normal law."""
    there = {}
    for name, member in path.fields.items():
        if isinstance(member, Affine):
            ranks = x_t[name].argsort(0).argsort(0)
            even = _normal(len(ranks), x_t[name])
            there[name] = even[ranks] * spread(path, name, t).to(even)
    return {**x_t, **there}


def _quantiles(x: Tensor) -> Tensor:
    """(B, n) -> (n, K): the columns' quantiles in the middles of K equal shares, nearer to those of
    N(0, 1) by as much as chance alone would have put them away.
    """
    rows = len(x)
    count = max(2, min(KNOTS, rows // ROWS))
    ordered = x.double().sort(0)[0].t()
    share = (torch.arange(count, dtype=torch.float64, device=x.device) + 0.5) / count
    place = share * rows - 0.5
    low = place.floor().long()
    after = (low + 1).clamp_max(rows - 1)
    found = ordered[:, low] * (low + 1 - place) + ordered[:, after] * (place - low)
    missed = (torch.special.ndtr(found) - share).square().mean(1, keepdim=True)
    sure = (1 - CHANCE / rows / missed.clamp_min(1e-12)).clamp_min(0)  # Cramer-von Mises
    goal = _normal(count, found)
    return (goal + sure * (found - goal)).to(x.dtype)


def _mapped(x: Tensor, knots: Tensor, spread: Tensor) -> Tensor:
    """(B, n) numbers with their quantiles moved: lines between knots, shifted beyond the outer."""
    unit = spread.to(x)
    z = (x / unit).t().contiguous()
    goal = _normal(knots.shape[1], knots)
    right = torch.searchsorted(knots, z).clamp(1, knots.shape[1] - 1)
    low, high = knots.gather(1, right - 1), knots.gather(1, right)
    tiny = torch.finfo(x.dtype).tiny
    share = ((z - low) / (high - low).clamp_min(tiny)).clamp(0, 1)
    inside = goal[right - 1] + share * (goal[right] - goal[right - 1])
    beyond = torch.minimum(z - knots[:, :1], torch.zeros((), dtype=x.dtype, device=x.device))
    beyond = beyond + (z - knots[:, -1:]).clamp_min(0)
    return ((inside + beyond) * unit).t().contiguous()


def _factors(x_hat: Tensor, x_t: Tensor, shares: Sequence[Tensor]) -> Tensor:
    """(m, width) logarithms b for which the mean over rows of x_hat e^b, made whole again, is the
    share of each level, less what chance explains; 0 where too few rows are masked to say.
    """
    found = torch.zeros(x_hat.shape[1:], device=x_hat.device)
    for column, goal in enumerate(shares):
        masked = x_t[:, column] == len(goal)
        if int(masked.sum()) >= FEWEST:
            answers = x_hat[masked, column, : len(goal)].double()
            found[column, : len(goal)] = _factor(answers, goal.to(answers)).to(found)
    return found


def _factor(answers: Tensor, goal: Tensor) -> Tensor:
    """(K,) logarithms for one column, of answers (B, K) and shares (K,)."""
    by = torch.zeros_like(goal)
    tilted = answers
    for _ in range(ROUNDS):
        mean = tilted.mean(0)
        step = torch.where(mean > 0, goal.log() - mean.log(), torch.zeros_like(mean))
        by = (by + step).clamp(-MOST, MOST)
        tilted = answers * by.exp()
        tilted = tilted / tilted.sum(1, keepdim=True)
    error = tilted.std(0) / tilted.mean(0).clamp_min(1e-12) / math.sqrt(len(answers))
    return by * (1 - (error / by).square().nan_to_num(nan=1.0)).clamp_min(0)


def _multiplied(x_hat: Tensor, by: Tensor) -> Tensor:
    tilted = x_hat * by.exp().to(x_hat)
    return tilted.div_(tilted.sum(-1, keepdim=True))
