"""Times fitted to a model: every step adds about the same error.

A few trajectories are followed on a fine grid once, with their predictions. What a step of any
solver from t to s would add, had it come along the trajectory, is then known without the net: the
solver sees the predictions that were stored, moves, and lands beside the trajectory. Gaps are
widened where little is added and narrowed where much is, until all steps add the same.

Ref: the principle is de Boor 1973, equidistribution; for diffusion Sabour et al. 2024, Align Your
Steps, minimise a bound on the same sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unfog.maths.affine import Affine
from unfog.maths.product import Product, fieldwise
from unfog.maths.randomness import Rng
from unfog.maths.states import State, each
from unfog.sample.loop import sample
from unfog.sample.solvers.angles import angle_at, radius_at, time_at

ROUNDS = 60


@dataclass
class Course:
    """Trajectories on a fine grid with their predictions.

    Attributes:
        times: (n,) falling to 0.     states: n states, from noise to data.
        hats: n - 1 predictions, made at every time but the last.
    """

    path: Any
    times: Tensor
    states: list[State]
    hats: list[State]
    angles: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.angles = [angle_at(clock_of(self.path), float(t)) for t in self.times]

    def _place(self, t: float, last: int) -> tuple[int, int, float]:
        """The times around t, at most the one numbered `last`, and how far from one to the other,
        in the angle.
        """
        u = angle_at(clock_of(self.path), t)
        right = next((i for i, a in enumerate(self.angles) if a <= u), len(self.angles) - 1)
        left, right = max(min(right, last) - 1, 0), min(right, last)
        if left == right:
            return left, right, 0.0
        return (
            left,
            right,
            min(1.0, (self.angles[left] - u) / (self.angles[left] - self.angles[right])),
        )

    def state(self, t: float) -> State:
        """(M, *D) on the trajectories at t: straight lines in the angle, at unit scale; categories
        as at the time before.
        """
        left, right, share = self._place(t, len(self.states) - 1)
        ends = [float(self.times[i]) for i in (left, right)]

        def mixed(member: Any, a: Any, b: Any) -> Any:
            if not isinstance(member, Affine):
                return a
            first, last = (radius_at(member, end) for end in ends)
            return radius_at(member, t) * torch.lerp(a / first, b / last, share)

        found: State = fieldwise(self.path, mixed, self.states[left], self.states[right])
        return found

    def hat(self, t: float) -> State:
        """(M, *D) what was predicted there."""
        left, right, share = self._place(t, len(self.hats) - 1)
        return each(
            lambda a, b: torch.lerp(a, b, share) if a.is_floating_point() else a,
            self.hats[left], self.hats[right],
        )  # fmt: skip


def clock_of(path: Any) -> Affine:
    """The affine path that times go by."""
    found: Affine = path.clock if isinstance(path, Product) else path
    return found


def followed(
    predict: Callable[..., Any], path: Any, solver: Any, z: State, cut: Tensor, *, rng: Rng
) -> Course:
    """The trajectories from noise z on the fine grid `cut`."""
    hats: list[State] = []

    def watched(x_t: Any, t: Tensor, s: Tensor | None = None) -> Any:
        hats.append(predict(x_t, t, s))
        return hats[-1]

    states = [z, *(step.x for step in sample(watched, path, solver, z, cut, rng=rng))]
    return Course(path, cut, states, hats)


def step_errors(course: Course, solver: Any, cut: Tensor) -> dict[str, Tensor]:
    """What each step of this grid adds, (N,) per affine field: root mean square distance at unit
    scale between where the solver lands from the trajectory, and the trajectory.
    """
    found: dict[str, list[float]] = {}
    memory = None
    for t, s in pairwise(cut):
        here, there = course.state(float(t)), course.state(float(s))

        def predict(x_t: Any, at: Tensor, _: Any = None) -> Any:
            return course.hat(float(at))

        x_hat, memory = solver.step(predict, course.path, here, t, s, memory)

        def away(member: Any, now: Any, wanted: Any, trusted: Any, t: Any = t, s: Any = s) -> Any:
            if not isinstance(member, Affine):
                return None
            landed = member.move(now, trusted, t, s)
            gap = (landed - wanted).double().square().mean().sqrt()
            return float(gap) / radius_at(member, float(s))

        apart = fieldwise(course.path, away, here, there, x_hat)
        parts = apart if isinstance(apart, dict) else {"": apart}
        for name, value in parts.items():
            if value is not None:
                found.setdefault(name, []).append(value)
    return {name: torch.tensor(v, dtype=torch.float64) for name, v in found.items()}


def evened(
    course: Course,
    solver: Any,
    steps: int,
    *,
    start: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """A grid whose steps all add the same, (steps + 1,), and what each adds, (steps,).

    Where the state has several affine fields, their mean.
    """
    clock = clock_of(course.path)
    first = angle_at(clock, start)
    angles = np.linspace(first, 0.0, steps + 1)
    best: tuple[float, Tensor, Tensor] | None = None
    for turn in range(ROUNDS):
        times = [start, *(time_at(clock, float(u)) for u in angles[1:-1]), 0.0]
        cut = torch.tensor(times, dtype=torch.float64)
        parts = step_errors(course, solver, cut)
        added = torch.stack(list(parts.values())).mean(0)
        worst = float(added.max() / added.mean())
        if best is None or worst < best[0]:
            best = (worst, cut, added)
        ratio = np.log((added / added.mean()).clamp(0.02, 50).numpy())
        if turn < ROUNDS // 2:  # a step of several predictions also feels the gaps before it
            ratio = np.convolve(np.pad(ratio, 1, mode="edge"), (0.25, 0.5, 0.25), "valid")
        gaps = -np.diff(angles) * np.exp(-(0.3 if turn < ROUNDS // 2 else 0.1) * ratio)
        angles = first * (1 - np.concatenate([[0.0], np.cumsum(gaps) / gaps.sum()]))
    assert best is not None
    return best[1], best[2]
