"""Times from which a solver lands where the flow does, for one number of steps.

That every step adds about the same error is a good rule and not the best one: errors of early steps
shrink or grow on the way. Here the distance at the end is itself made small, over the times alone:
a search without derivatives over a few numbers, each the logarithm of how far apart times lie.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unfog.sample.loop import sample
from unfog.sample.schedule import clock_of
from unfog.sample.solvers.angles import angle_at, time_at
from unfog.sample.tuning import Reference, distances, flat

NUMBERS, TRIES = 7, 150
"""Numbers that gaps follow, and candidates that are tried, at most."""
FIRST = 0.4
"""How far the first candidates are from the start, in logarithms of gaps."""


@dataclass(frozen=True)
class Landing:
    """What was found.

    Attributes:
        times: (N + 1,) falling to 0.     error: distance at the end, of the trajectories that times
            were fitted to.     start: index of the times that the search began from.
        tried: candidates.
    """

    times: Tensor
    error: float
    start: int
    tried: int


def apart(reference: Reference, solver: Any, times: Tensor, *, rng: Any) -> float:
    """Mean distance of where the solver lands from where the flow does, over the spread of the
    latter; infinite where it lands nowhere.
    """
    x = reference.states[0]
    for step in sample(reference.predict, reference.path, solver, x, times, rng=rng):
        x = step.x
    spread = flat(reference.end).std(0).square().mean().sqrt().clamp_min(1e-12)
    error = float(distances(x, reference.end).mean() / spread)
    return error if math.isfinite(error) else math.inf


def landing(
    reference: Reference,
    solver: Any,
    starts: Sequence[Tensor],
    *,
    rng: Any,
    until: float = math.inf,
    tries: int = TRIES,
    tell: Callable[[int], None] = lambda tried: None,
) -> Landing:
    """The times, as many as each of `starts` has, from which `apart` is least.

    Args:
        starts: times to begin from, the best of which is taken.     until: `time.monotonic()` at
            which the search ends with the best so far.     tell: hears of every candidate.
    Ref: Nelder and Mead 1965 (the search).
    """
    from scipy.optimize import minimize

    errors = [apart(reference, solver, cut, rng=rng) for cut in starts]
    first = min(range(len(starts)), key=errors.__getitem__)
    best, tried = Landing(starts[first], errors[first], first, 0), 0
    clock, steps = clock_of(reference.path), len(starts[first]) - 1
    angles = [angle_at(clock, float(t)) for t in starts[first]]

    def times(gaps: np.ndarray) -> Tensor:
        widths = np.exp(np.interp(np.linspace(0, 1, steps), np.linspace(0, 1, len(gaps)), gaps))
        inner = angles[0] * (1 - np.cumsum(widths)[:-1] / widths.sum())
        between = [time_at(clock, float(u)) for u in inner]
        return torch.tensor([float(starts[first][0]), *between, 0.0], dtype=torch.float64)

    def missed(gaps: np.ndarray) -> float:
        nonlocal best, tried
        if time.monotonic() >= until:
            raise _Over
        cut = times(gaps)
        error = apart(reference, solver, cut, rng=rng) if bool((cut.diff() < 0).all()) else math.inf
        tried += 1
        tell(tried)
        if error < best.error:
            best = Landing(cut, error, first, tried)
        return math.log(max(error, 1e-12)) if math.isfinite(error) else 1e3

    count = min(NUMBERS, steps)
    logs = np.log([max(a - b, 1e-6 * angles[0]) for a, b in pairwise(angles)])
    begin = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, steps), logs - logs.mean())
    corners = np.stack([begin, *(begin + FIRST * row for row in np.eye(count))])
    with contextlib.suppress(_Over):
        minimize(missed, begin, method="Nelder-Mead",
                 options={"maxfev": tries, "initial_simplex": corners})  # fmt: skip
    return replace(best, tried=tried)


class _Over(Exception):
    """The time for the search is over."""
