"""From a time budget to a number of steps: by measuring, on a copy, what one step costs here."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

from unfog.model.ema import Ema
from unfog.model.model import Model
from unfog.train.batches import Batches
from unfog.train.loop import Objective, train
from unfog.train.optim import adamw
from unfog.train.schedule import Horizon, Schedule


@dataclass(frozen=True)
class Cost:
    """Measured seconds per update, at a precision and a number of threads."""

    precision: str
    threads: int
    seconds: float


def measure(
    model: Model,
    batches: Batches,
    objective: Objective,
    schedule: Schedule,
    *,
    precision: str,
    threads: int,
    budget: float,
) -> Cost:
    """Time real updates of a copy for about `budget` seconds; the first two don't count.

    Warm-up apart, at least three are timed. The median is what a shared machine gives.
    """
    trial = copy.deepcopy(model)
    trial.precision = precision
    optimiser = adamw(trial, lr=1e-6)
    ema = Ema(trial)
    taken: list[float] = []
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    endless = Horizon(10**9)
    begun = last = time.perf_counter()
    try:
        for progress in train(
            trial, batches, optimiser, objective, schedule, horizon=endless, seed=0, ema=ema
        ):
            now = time.perf_counter()
            if progress.step > 2:
                taken.append(now - last)
            last = now
            if len(taken) >= 3 and now - begun > budget:
                break
    finally:
        torch.set_num_threads(before)
    return Cost(precision, threads, median(taken))


def cheapest(
    trial: Callable[[str, int], Cost], device: torch.device, wanted: str, threads: int
) -> Cost:
    """The best way to compute here, by trial.

    At precision "auto" bfloat16 has to be 10 % faster than float32 to be taken; on a CPU all
    threads have to be 20 % faster than one, since small nets only wait for each other.
    """
    if wanted != "auto":
        best = trial(wanted, threads)
    else:
        best = trial("float32", threads)
        if device.type != "mps":
            half = trial("bfloat16", threads)
            best = half if half.seconds < 0.9 * best.seconds else best
    if device.type == "cpu" and threads > 1:
        alone = trial(best.precision, 1)
        best = alone if alone.seconds < 1.2 * best.seconds else best
    return best


@dataclass
class Pace:
    """Keeps a run within its time: moves the horizon when the measured speed says so.

    Args:
        seconds: the time there is, counted from `begun`.     tolerance: smaller misses are left
            alone, so that on a quiet machine nothing moves.
    """

    horizon: Horizon
    seconds: float
    begun: float
    start: int
    tolerance: float = 0.05
    checked: float = 0.0

    def check(self, step: int, now: float) -> bool:
        """Look at the clock now and then; True if the horizon was moved."""
        share = (now - self.begun) / self.seconds
        if step - self.start < 5 or share < self.checked + 0.04 or step >= self.horizon.steps:
            return False
        self.checked = share
        each = (now - self.begun) / (step - self.start)
        fitting = step + max(1, int((self.begun + self.seconds - now) / each))
        if abs(fitting - self.horizon.steps) <= self.tolerance * (self.horizon.steps - self.start):
            return False
        self.horizon.steps = fitting
        return True
