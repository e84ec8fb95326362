"""Fit a solver's times and weights to reference trajectories of the predictor itself.

For one number of calls: least squares step by step, each step's weights bringing the states that
were really reached nearest to the reference's at the next time; then Gauss-Newton on all numbers
together (times, told times, weights) for the distance at the end. Derivatives are differences of
whole runs, so any predictor will do, and only the steps behind a change are run again. No data is
needed; other trajectories than those that were fitted say which candidate is best.

Ref: Shaul et al. 2024, Bespoke Non-Stationary Solvers (the family and the objective); Levenberg
1944 and Marquardt 1963 (damping).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from unfog.maths.affine import Affine
from unfog.maths.product import Product
from unfog.maths.states import State, each
from unfog.sample.solvers.angles import angle_at, radius_at, time_at
from unfog.sample.solvers.tuned import Row, Tuned

Predictor = Callable[..., Any]
MEMORY = 5
"""Predictions that a step may weigh."""
LEAST_GAIN, CHORDS = 0.003, 4


@dataclass(frozen=True)
class Reference:
    """Trajectories of a predictor, on a fine grid.

    Attributes:
        predict: (x_t, t, s) -> x_hat.     path: affine, or a Product of affine paths.
        times: (n,) falling, the last 0.     states: n of (M, *D) or dicts, the first the noise.
    """

    predict: Predictor
    path: Any
    times: Tensor
    states: tuple[State, ...]

    @property
    def end(self) -> State:
        """(M, *D) where they arrive."""
        return self.states[-1]

    def at(self, t: float) -> State:
        """(M, *D) states at t, by a cubic through the four nearest times, in the clock's angle."""
        if t <= 0:
            return self.end
        clock = _clock(self.path)
        angles = [angle_at(clock, float(v)) for v in self.times]
        u = angle_at(clock, t)
        above = max(1, min(len(angles) - 3, sum(a > u for a in angles) - 1))
        near = range(above - 1, above + 3)
        shares = [
            math.prod((u - angles[j]) / (angles[i] - angles[j]) for j in near if j != i)
            for i in near
        ]
        return each(
            lambda *known: sum(share * value for share, value in zip(shares, known)),
            *(self.states[i] for i in near),
        )


def _clock(path: Any) -> Affine:
    found: Affine = path.clock if isinstance(path, Product) else path
    return found


def _members(path: Any, state: State) -> list[tuple[Affine, Tensor]]:
    """(path, tensor) of every field."""
    if isinstance(path, Product):
        return [(path.fields[name], value) for name, value in state.items()]  # type: ignore[union-attr, misc]
    return [(path, state)]  # type: ignore[list-item]


def flat(state: State) -> Tensor:
    """(M, n) float64: all of a state's entries."""
    fields = state.values() if isinstance(state, dict) else [state]
    return torch.cat([value.flatten(1).double() for value in fields], 1)


def distances(x: State, y: State) -> Tensor:
    """(M,) root mean square difference of every item."""
    return (flat(x) - flat(y)).square().mean(1).sqrt()


def missed(solver: Tuned, reference: Reference) -> float:
    """Mean distance from the reference's ends of where the solver takes its noise, else inf."""
    found = float(distances(_Run(reference).to_end(solver), reference.end).mean())
    return found if math.isfinite(found) else math.inf


class _Run:
    """States and memories before every step of one run, so that a change in step i runs only what
    comes behind it.
    """

    def __init__(self, reference: Reference):
        self.predict, self.path = reference.predict, reference.path
        self.states: list[State] = [reference.states[0]]
        self.memories: list[Any] = [None]
        self.seconds = 0.0
        """What a call takes."""

    def to_end(self, solver: Tuned, since: int = 0, keep: bool = False) -> State:
        begun, times = time.monotonic(), solver.times
        state, memory = self.states[since], self.memories[since]
        for i in range(since, len(solver.rows)):
            t, s = times[i], times[i + 1]
            x_hat, memory = solver.step(self.predict, self.path, state, t, s, memory)
            state = self.path.move(state, x_hat, t, s)
            if keep:
                self.states[i + 1 :] = [state]
                self.memories[i + 1 :] = [memory]
        self.seconds = (time.monotonic() - begun) / (len(solver.rows) - since)
        return state


def stepwise(reference: Reference, times: Sequence[float], *, ridge: float = 1e-4) -> Tuned:
    """Weights for these times (falling, without the 0), each step's by least squares.

    Args:
        ridge: pull towards the plain prediction, as a share of the mean diagonal.
    """
    rows: list[Row] = []
    predict, path, state = reference.predict, reference.path, reference.states[0]
    made: list[State] = []
    for t, s in zip(times, [*times[1:], 0.0]):
        at, to = (torch.tensor(v, dtype=torch.float64) for v in (t, s))
        made = [predict(state, at, to), *made][:MEMORY]
        aim = reference.at(s)
        left, miss = [], []
        for place, (member, now) in enumerate(_members(path, state)):
            ratio = float(member.sigma(to) / member.sigma(at))
            pull = float(member.alpha(to)) - ratio * float(member.alpha(at))
            known = [_members(path, past)[place][1] for past in made]
            known.append(now / radius_at(member, t))
            left.append(torch.stack([v.flatten().double() for v in known], 1))
            wanted = (_members(path, aim)[place][1] - ratio * now) / pull  # lands there
            miss.append((wanted - known[0]).flatten().double())
        system = torch.cat(left)
        products = system.T @ system
        damp = ridge * products.diagonal().mean() * torch.eye(len(products), dtype=torch.float64)
        by = torch.linalg.solve(products + damp, system.T @ torch.cat(miss)).tolist()
        rows.append(Row(t, t, (1.0 + by[0], *by[1:-1]), by[-1]))
        solver = Tuned(tuple(rows))
        memory = tuple(made[1:]) or None
        x_hat, _ = solver.step(lambda *_, here=made[0]: here, path, state, at, to, memory)
        state = path.move(state, x_hat, at, to)
    return Tuned(tuple(rows))


@dataclass(frozen=True)
class Number:
    """One number of a solver: of step i, what it is, and by how much it is changed to see."""

    i: int
    name: str
    place: int
    step: float

    @property
    def since(self) -> int:
        """The first step that it changes."""
        return self.i - 1 if self.name == "t" else self.i


def numbers(path: Any, solver: Tuned) -> list[Number]:
    """All that may be changed; times as angles, relative to the gaps beside them."""
    clock = _clock(path)
    angles = [*(angle_at(clock, row.t) for row in solver.rows), 0.0]
    found = []
    for i, row in enumerate(solver.rows):
        gap = angles[i] - angles[i + 1]
        if i:
            found.append(Number(i, "t", 0, 0.02 * min(gap, angles[i - 1] - angles[i])))
        found.append(Number(i, "look", 0, -0.02 * gap))
        found += [Number(i, "weights", j, 0.02) for j in range(len(row.weights))]
        found.append(Number(i, "state", 0, 0.02))
    return found


def changed(path: Any, solver: Tuned, changes: Sequence[tuple[Number, float]]) -> Tuned | None:
    """The solver with these numbers moved; None where times would no longer fall."""
    rows, clock = list(solver.rows), _clock(path)
    top = angle_at(clock, rows[0].t)
    for number, by in changes:
        row = rows[number.i]
        if number.name == "weights":
            moved = list(row.weights)
            moved[number.place] += by
            rows[number.i] = replace(row, weights=tuple(moved))
        elif number.name == "state":
            rows[number.i] = replace(row, state=row.state + by)
        else:
            angle = angle_at(clock, getattr(row, number.name)) + by
            if not angle > 0:
                return None
            time_then = rows[0].t if angle >= top else time_at(clock, angle)
            moved_row = {"t": row.t, "look": row.look, number.name: time_then}
            rows[number.i] = replace(row, t=moved_row["t"], look=moved_row["look"])
    falling = [row.t for row in rows]
    if any(not a > b for a, b in zip(falling, [*falling[1:], 0.0])):
        return None
    return Tuned(tuple(rows))


def refine(
    solver: Tuned,
    fitted: Reference,
    *,
    rounds: int = 8,
    until: float = math.inf,
    damping: float = 1e-2,
) -> Tuned:
    """Gauss-Newton on all numbers for the mean distance from the reference's ends: squared ones
    over their last size, so that the few trajectories that part near a border don't count for all.

    Args:
        until: on the monotonic clock; a round that would end later is left out.
        damping: Marquardt's, of the mean square of a column; it follows what is gained.
    """
    path, now = fitted.path, _arrived(solver, fitted)
    for _ in range(rounds):
        free = numbers(path, solver)
        calls = sum(len(solver.rows) - number.since for number in free)
        if time.monotonic() + calls * now.run.seconds > until:
            break
        slopes, scale = _slopes(path, solver, free, now)
        before = now.away
        for turn in range(CHORDS):  # old slopes do for a few steps, at a fraction of the calls
            found = _step(solver, fitted, now, free, slopes, scale, damping, 6 if not turn else 1)
            if found is None:
                break
            gained = 1 - found[1].away / now.away
            solver, now, damping = found
            if gained < LEAST_GAIN:
                break
        if now.away > (1 - LEAST_GAIN) * before:
            break
    return solver


def _step(
    solver: Tuned,
    fitted: Reference,
    now: _Arrived,
    free: Sequence[Number],
    slopes: Tensor,
    scale: Tensor,
    damping: float,
    tries: int,
) -> tuple[Tuned, _Arrived, float] | None:
    """A better solver by these slopes, its run and the next damping; None if none is found."""
    weight = 1 / now.apart.clamp_min(float(now.apart.median()) / 2)
    weighed = slopes * (weight / weight.mean()).repeat_interleave(now.end.shape[1])[:, None]
    miss = weighed.T @ (flat(fitted.end) - now.end).flatten()
    products = weighed.T @ slopes
    for _ in range(tries):
        damp = damping * len(slopes) * torch.eye(len(free), dtype=torch.float64)
        by = torch.linalg.solve(products + damp, miss) / scale
        other = changed(fitted.path, solver, list(zip(free, by.tolist())))
        if other is not None:
            there = _arrived(other, fitted)
            if there.away < now.away:
                return other, there, max(damping / 4, 1e-7)
        damping *= 4
    return None


@dataclass(frozen=True)
class _Arrived:
    """A run of a solver from the reference's noise, where it ended (M, n), how far off (M,) and in
    the mean.
    """

    run: _Run
    end: Tensor
    apart: Tensor
    away: float


def _arrived(solver: Tuned, fitted: Reference) -> _Arrived:
    run = _Run(fitted)
    end = run.to_end(solver, keep=True)
    apart = distances(end, fitted.end)
    return _Arrived(run, flat(end), apart, float(apart.mean()))


def _slopes(
    path: Any, solver: Tuned, free: Sequence[Number], now: _Arrived
) -> tuple[Tensor, Tensor]:
    """(M n, P) how the ends move with every number, each column of mean square 1; (P,) scales."""
    slopes = []
    for number in free:
        other = changed(path, solver, [(number, number.step)])
        ahead = now.end if other is None else flat(now.run.to_end(other, number.since))
        slopes.append(((ahead - now.end) / number.step).flatten())
    columns = torch.stack(slopes, 1)
    scale = columns.square().mean(0).sqrt().clamp_min(1e-9)
    return columns / scale, scale


def tune(
    fitted: Reference,
    held: Reference,
    starts: Sequence[Sequence[float]],
    *,
    until: float = math.inf,
) -> tuple[Tuned, float]:
    """The best solver of as many steps as the starts have times, and its held-out distance.

    Args:
        fitted, held: trajectories to fit to, and others to choose by.
        starts: times to begin from, each (steps,) falling from the first time, without the 0.
        until: on the monotonic clock, when to stop.
    """
    begun = [stepwise(fitted, times) for times in starts]
    found = sorted(((missed(solver, held), solver) for solver in begun), key=lambda pair: pair[0])
    for _, solver in found[:2]:
        better = refine(solver, fitted, until=until)
        found.append((missed(better, held), better))
    best, chosen = min(found, key=lambda pair: pair[0])
    return chosen, best
