"""The memorisation clock: what one look at a model's samples says about copying, and the rule that
many looks are judged by.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unfog.judge import bootstrap
from unfog.judge.copies import Control
from unfog.judge.finders import Near

PERCENT = 5.0
"""Of real items count as suspiciously near; the control of `copies`."""
ALARM = 0.05
"""The most that a run which copies nothing is stopped with, all looks together."""
LEAST = 0.05
"""The excess over its control below which nothing is called copying."""
CAUTIOUS = 0.025
"""The same where the control is too small to tell five points."""
CERTAIN = 100
"""Independent items from which a control's 95 % interval ends within five points."""


@dataclass(frozen=True)
class Reading:
    """One measure at one look.

    Attributes:
        name: "copies" (samples nearer than 95 % of real items come) or "nearer" (samples nearer to
            a training item than to a held-out one, counted as if there were equally many of both).
        rate, low, high: the share of samples, and its 95 % interval.
        control, control_low, control_high: what it is without copying.
        p: the chance of such a share, or a greater one, without copying.
        p_run: the chance that one look or more of the whole run shows it.
        n: samples.      note: what the control rests on.
        half: of "copies", the share of samples that are nearer than half of real items come.
        cautious: the control is taken at its estimate, and each look for itself; see `copies`.
    """

    name: str
    rate: float
    low: float
    high: float
    control: float
    control_low: float
    control_high: float
    p: float
    p_run: float
    n: int
    note: str
    half: float | None = None
    cautious: bool = False

    @property
    def excess(self) -> float:
        return self.rate - self.control

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "excess": self.excess}

    def said(self) -> str:
        """In words, such as "copies 31 % vs control 5 %"."""
        return f"{self.name} {100 * self.rate:.0f} % vs control {100 * self.control:.0f} %"


def copies(near: Near, control: Control, looks: int = 1) -> Reading:
    """The share of samples that are nearer to a training item than 95 % of real items are.

    Of m real items k are as near as the threshold. Then a further one is with chance Beta(k, m + 1
    - k), and of n samples that copy nothing as many as a beta-binomial says: p is its exact tail.
    All looks share that chance q, so the chance that any of them shows as much is at most

        p_run = E_q min(1, looks P(Binomial(n, q) >= hits))

    A control of a few dozen items tells so little of q that samples would have to be copies by a
    third before that is small. Whoever learns so few items will copy them, sooner or later, so
    there the control is taken at its estimate, q = k / (m + 1), and every look for itself: the
    error is on the side of stopping.
    """
    from scipy.special import betaincinv

    limit, k = control.threshold(PERCENT)
    n, m = len(near), len(control.value)
    hits = int((near.value <= limit).sum())
    worth = control.worth / m
    a, b = k * worth, (m + 1 - k) * worth
    tail = (1 - bootstrap.LEVEL) / 2
    low, high = bootstrap.share(hits, n)
    floor_low, floor_high = (float(betaincinv(a, b, q)) for q in (tail, 1 - tail))
    q, cautious = k / (m + 1), control.worth < CERTAIN
    p = _binomial(hits, n, q) if cautious else _at_least(hits, n, a, b)
    p_run = p if cautious else _any_look(hits, n, a, b, looks)
    half = float((near.value <= control.value.median()).float().mean())
    return Reading(
        "copies",
        hits / n,
        low,
        high,
        q,
        floor_low,
        floor_high,
        p,
        p_run,
        n,
        control.note,
        half,
        cautious,
    )


def _binomial(hits: int, n: int, q: float) -> float:
    """P(Binomial(n, q) >= hits)."""
    from scipy.special import betainc

    return 1.0 if hits == 0 else float(betainc(hits, n - hits + 1, q))


def _at_least(hits: int, n: int, a: float, b: float) -> float:
    """The chance of that many or more of n where the share is Beta(a, b): a beta-binomial's tail.

    P(j) = C(n, j) B(j + a, n - j + b) / B(a, b)
    """
    j = torch.arange(hits, n + 1, dtype=torch.float64)
    log = torch.lgamma
    pair, whole = torch.tensor([a, b], dtype=torch.float64), torch.tensor(n + a + b)
    choose = log(torch.tensor(n + 1.0, dtype=torch.float64)) - log(j + 1) - log(n - j + 1)
    up = log(j + a) + log(n - j + b) - log(whole.double())
    down = log(pair).sum() - log(pair.sum())
    return min(1.0, float((choose + up - down).exp().sum()))


def _any_look(hits: int, n: int, a: float, b: float, looks: int) -> float:
    """E_q min(1, looks P(Binomial(n, q) >= hits)) for q of Beta(a, b), over 500 quantiles."""
    from scipy.special import betainc

    if hits == 0:
        return 1.0
    tail = betainc(hits, n - hits + 1, _quantiles(a, b))
    return float(np.minimum(1, looks * tail).mean())


@lru_cache(maxsize=16)
def _quantiles(a: float, b: float) -> np.ndarray:
    from scipy.special import betaincinv

    return np.asarray(betaincinv(a, b, (np.arange(500) + 0.5) / 500))


def nearer(side: Tensor, index: Tensor, train: int, held: int, looks: int = 1) -> Reading:
    """The share of samples that are nearer to a training item than to a held-out one.

    Without copying it does not matter which items were learnt from, so held-out ones are nearest
    as often as `held` items drawn from all are. That number's mean and variance are exact, its law
    is taken as normal; it can't be negative, so p errs upwards.

    Args:
        side: (N,) in [0, 1], how much of the nearest item is a training item; ties are shared.
        index: (N,) the nearest of all items, training ones first.
    """
    n, total = len(side), train + held
    share = held / total
    counts = torch.bincount(index, minlength=total).double()
    spread = float(counts.square().sum()) - n**2 / total
    deviation = math.sqrt(max(share * (1 - share) * spread * total / (total - 1), 1e-12))
    of_held = float((1 - side.double()).sum())
    z = (of_held - n * share) / deviation
    p = 0.5 * math.erfc(-z / math.sqrt(2))

    def balanced(near: float) -> float:
        near = min(1.0, max(0.0, near))
        mine, theirs = near / train, (1 - near) / held
        return mine / (mine + theirs)

    near = 1 - of_held / n
    low, high = bootstrap.share(round(near * n), n)
    band = bootstrap.Z * deviation / n
    return Reading(
        "nearer",
        balanced(near),
        balanced(min(low, near)),
        balanced(max(high, near)),
        0.5,
        balanced(1 - share - band),
        balanced(1 - share + band),
        p,
        min(1.0, looks * p),
        n,
        f"{train} training and {held} held-out items",
    )


@dataclass(frozen=True)
class Rule:
    """When copying has begun.

    A reading says so if its p-value over the whole run is at most `alarm`, shared equally among the
    measures, and its excess at least `least`. So a run that copies nothing is stopped with a chance
    of at most `alarm`, however its looks and measures depend on each other. That is not so of
    cautious readings: `docs/clock.md` says how often these stop what copies nothing.

    Args:
        measures: readings at each look.
    """

    measures: int = 1
    alarm: float = ALARM
    least: float = LEAST

    def alarms(self, reading: Reading) -> bool:
        """Whether this reading ends the run."""
        least = min(self.least, CAUTIOUS) if reading.cautious else self.least
        return reading.p_run <= self.alarm / self.measures and reading.excess >= least

    def quiet(self, reading: Reading) -> bool:
        """Whether there is no sign at all: weights of such a look are worth keeping."""
        slight = reading.name != "copies" or reading.excess <= CAUTIOUS
        return slight and reading.p > self.alarm
