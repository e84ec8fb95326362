"""Steps that choose their own length: Dormand and Prince's pair, with error control per sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError, ResourceError
from unfog.maths.paths import Affine
from unfog.maths.product import fieldwise
from unfog.maths.randomness import Rng
from unfog.maths.states import each, entries_mean, expand, lead
from unfog.sample.loop import Step
from unfog.sample.solvers.dormand_prince import ERROR, PAIR
from unfog.sample.solvers.history import weighted
from unfog.sample.solvers.stages import CLOSING, clock, slope_at, slopes, stepped

SAFETY, SHRINK, GROW, ORDER = 0.9, 0.2, 4.0, 5


@dataclass(frozen=True)
class Attempt(Step):
    """A step of every sample, each to its own time; a rejected one stays where it was.

    Attributes:
        t: (B,) times reached.     calls: (B,) network calls that each sample has needed so far; the
            batch is asked together until the last sample is there.
        accepted: (B,) bool.
    """

    calls: Tensor
    accepted: Tensor


def adapt(
    predict: Callable[..., Any],
    path: Any,
    x_t: Any,
    *,
    tol: float,
    start: float = 1.0,
    last: float = 0.02,
    first: float = 0.1,
    most: int = 2000,
    rng: Rng,
    mask: Any = None,
) -> Iterator[Attempt]:
    """Follow the flow from `start` to data, with steps as long as the tolerance allows.

    A step is taken where the root mean square of the difference between its fifth and fourth order
    results, over a sample's entries of unit scale, is at most `tol`. Every sample has its own
    time and step, so it does not depend on its batch. Fields without an affine path keep the plain
    prediction and follow the clock.

    Args:
        predict: (x_t, t, s) -> x_hat; t may be (B,).     x_t: (B, *D) state at `start`.
        tol: error of one step.     last: the angle from which one step of third order goes to 0.
        first: the first step tried, an angle.     most: attempts before ResourceError.
    Ref: Dormand & Prince 1980; Hairer, Norsett & Wanner 1993, sec. II.4 (step size).
    """
    ruler = clock(path)
    if not isinstance(ruler, Affine) or not 0 < tol < 1:
        raise ArgumentError(
            f"tol must lie in (0, 1) and needs a field on an affine path; got {tol} on {path!r}; "
            "without one, take steps instead"
        )
    head = lead(x_t)
    full = torch.full((len(head),), start, dtype=torch.float64, device=head.device)
    u, h = ruler.angle(full), torch.full_like(full, first)
    t, x_hat = full, predict(x_t, full)
    calls = torch.ones_like(full, dtype=torch.long)
    for number in count(1):
        under_way = u > last
        if not bool(under_way.any()):
            break
        if number > most:
            raise ResourceError(
                f"tol = {tol} is not reached after {most} attempts: {int(under_way.sum())} of "
                f"{len(u)} samples are under way; take a larger tol (float32 holds about 1e-5)"
            )
        aim = (u - h).clamp_min(last)
        s = torch.where(under_way, ruler.time_at_angle(aim), t)
        _, found = slopes(predict, path, x_t, t, s, PAIR, x_hat)
        trusted = stepped(path, x_t, x_hat, t, s, PAIR, found)
        draw = rng.at(number)
        ahead = path.move(x_t, trusted, t, s, rng=draw, mask=mask)
        x_ahead = predict(ahead, s)
        found.append(fieldwise(path, slope_at(ruler, s, PAIR), ahead, x_ahead))
        away = _error(path, found, aim - u, mask) / tol
        good = (away <= 1) & under_way
        x_t, x_hat = _taken(good, ahead, x_t), _taken(good, x_ahead, x_hat)
        t, u = torch.where(good, s, t), torch.where(good, aim, u)
        factor = SAFETY * away.clamp_min(1e-12).pow(-1 / ORDER)
        h = h * torch.where(good, factor.clamp(SHRINK, GROW), factor.clamp(SHRINK, 1.0))
        calls = calls + len(PAIR.nodes) * under_way
        yield Attempt(x_t, x_hat, t, calls, good)
    end = torch.zeros_like(t)
    _, found = slopes(predict, path, x_t, t, end, CLOSING, x_hat)
    trusted = stepped(path, x_t, x_hat, t, end, CLOSING, found)
    x_t = path.move(x_t, trusted, t, end, rng=rng.at(number), mask=mask)
    done = torch.ones_like(t, dtype=torch.bool)
    yield Attempt(x_t, trusted, end, calls + len(CLOSING.nodes) - 1, done)


def _error(path: Any, found: list[Any], span: Tensor, mask: Any) -> Tensor:
    """Root mean square difference of the pair's results over a sample's affine entries, (B,)."""

    def squared(member: Any, *parts: Any) -> Any:
        if not isinstance(member, Affine):
            return None
        return (expand(span, parts[0]).to(parts[0]) * weighted(ERROR, parts)).square()

    away = fieldwise(path, squared, *found)
    if not isinstance(away, dict):
        return entries_mean(away, mask).sqrt().to(span)
    real = {name: None if mask is None else mask.get(name) for name in away}
    means = [entries_mean(v, real[n]) for n, v in away.items() if v is not None]
    return torch.stack(means).amax(0).sqrt().to(span)


def _taken(good: Tensor, new: Any, old: Any) -> Any:
    """The new rows where `good`, the old ones elsewhere."""
    return each(lambda one, other: torch.where(expand(good, one), one, other), new, old)
