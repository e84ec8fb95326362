"""From a time budget to a number of steps: by measuring, on a copy, what one step costs here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch

from unfog.maths.randomness import BatchRng
from unfog.model.ema import Ema
from unfog.model.model import Model
from unfog.nets.recompute import recompute, spanning
from unfog.train.batches import Batches, to_device
from unfog.train.loop import Objective, train
from unfog.train.memory import COPIES, SAVING, Watch, kept, resident, weights
from unfog.train.optim import adamw
from unfog.train.schedule import Constant, Horizon

PATIENCE = 8
"""A first update that takes so many trial budgets is believed, and the trial is over."""


@dataclass(frozen=True)
class Cost:
    """Measured at a precision and a number of threads.

    Attributes:
        seconds: per update.     peak: bytes, the most that was held; on cuda the tensors there.
        held: bytes that were held between updates.
        compiled: "no", or a way of `model.compiled`.     compiling: seconds that took in the trial.
            A process keeps what it has compiled, so that a run does not wait again.
        failed: why it did not work, if it was tried and did not.
        computing: share of the threads' time in which they did; less where others use the machine.
    """

    precision: str
    threads: int
    seconds: float
    peak: int = 0
    held: int = 0
    compiled: str = "no"
    compiling: float = 0.0
    failed: str | None = None
    computing: float = 1.0


def measure(
    model: Model,
    batches: Batches,
    objective: Objective,
    *,
    precision: str,
    threads: int,
    budget: float,
    micro: int | None = None,
    recomputed: bool = False,
    compiled: str = "no",
) -> Cost:
    """Time real updates of `model`, which is used up, for about `budget` seconds.

    The first two don't count, and at least three are timed; of a slow net one, and of a very slow
    one the first. The median is what a shared machine gives. Of a compiled net the time begins when
    the first update is over.
    """
    model.precision = precision
    recompute(model.net, recomputed)
    optimiser = adamw(model, lr=1e-3)  # with a tiny one, gradients underflow and slow it down
    device = next(model.parameters()).device
    taken: list[float] = []
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    endless = Horizon(10**9)
    held, first, failed = 0, 0.0, None
    wall, worked = time.monotonic(), time.process_time()
    try:
        with Watch(device) as watch, model.compiling(compiled) as quick:
            ema = Ema(model)
            begun = last = time.perf_counter()
            for progress in train(
                model,
                batches,
                optimiser,
                objective,
                Constant(warmup=0.0),
                horizon=endless,
                seed=0,
                ema=ema,
                micro=micro,
            ):
                float(progress.loss)  # waits for the device
                now = time.perf_counter()
                if quick is not None and progress.step == 1:
                    first, failed = now - begun, quick.failed
                    begun = last = now
                    if failed is not None:
                        taken.append(first)
                        break
                    continue
                spent = now - begun
                if progress.step > 2 or spent > PATIENCE * budget:
                    taken.append(now - last)
                if (len(taken) >= 3 and spent > budget) or (taken and spent > 3 * budget):
                    held = resident() if device.type == "cpu" else 0
                    break
                last = time.perf_counter()
    finally:
        torch.set_num_threads(before)
    each = median(taken)
    compiling = max(0.0, first - each)
    wall, worked = time.monotonic() - wall, time.process_time() - worked
    computing = min(1.0, worked / max(1e-9, wall * threads))
    return Cost(precision, threads, each, watch.peak, held, compiled, compiling, failed, computing)


@dataclass(frozen=True)
class Need:
    """Bytes that training takes, by arithmetic, before anything of that size is allocated.

    Attributes:
        weights: of the parameters.     item: activations kept for one item's backward pass.
        thin: the same where blocks are recomputed.
    """

    weights: int
    item: float
    thin: float = 0.0

    def training(self, batch: int, *, recomputed: bool = False) -> float:
        """Weights, gradient, average and moments, and a batch's activations."""
        return COPIES * self.weights + batch * (self.thin if recomputed else self.item)

    def saving(self) -> float:
        """On top of what is held between updates, while a checkpoint is written."""
        return SAVING * self.weights


def need(model: Model, batches: Batches, objective: Objective) -> Need:
    """What an update of `model` keeps for its backward pass, by looking at two and four items."""
    sums, thin = [], []
    for count in (2, 4):
        x, cond = batches.fetch(np.arange(count) % batches.count)
        where = next(model.parameters()).device
        with kept(model) as found, spanning(found) as spans:
            model.loss(
                to_device(x, where),
                to_device(cond, where) or None,
                times=objective.times,
                weight=objective.weight,
                rng=BatchRng(0),
            )
        sums.append(sum(found.values()))
        inside = sum(own for own, _ in spans)
        kept_too = sum(given for _, given in spans) + max((own for own, _ in spans), default=0)
        thin.append(sums[-1] - inside + kept_too)
    return Need(weights(model), (sums[1] - sums[0]) / 2, (thin[1] - thin[0]) / 2)


def cheapest(
    trial: Callable[[str, int], Cost],
    device: torch.device,
    wanted: str,
    threads: int,
    *,
    fewer: bool = True,
) -> Cost:
    """The best way to compute here, by trial.

    At precision "auto" bfloat16 has to be 10 % faster than float32 to be taken; on a CPU all
    threads have to be 20 % faster than one, since small nets only wait for each other; without
    `fewer` one is not tried.
    """
    if wanted != "auto":
        best = trial(wanted, threads)
    else:
        best = trial("float32", threads)
        if device.type != "mps":
            half = trial("bfloat16", threads)
            best = half if half.seconds < 0.9 * best.seconds else best
    if fewer and device.type == "cpu" and threads > 1:
        alone = trial(best.precision, 1)
        best = alone if alone.seconds < 1.2 * best.seconds else best
    return best


@dataclass
class Pace:
    """Keeps a run within its time: moves the horizon when the measured speed says so.

    Args:
        seconds: the time there is, counted from `begun`.     tolerance: smaller misses are left
            alone, so that on a quiet machine nothing moves.
        aside: seconds that went into anything but updates.     ahead: such seconds still to come.
    """

    horizon: Horizon
    seconds: float
    begun: float
    start: int
    tolerance: float = 0.02
    checked: float = 0.0
    aside: float = 0.0
    ahead: float = 0.0

    def check(self, step: int, now: float) -> bool:
        """Look at the clock now and then; True if the horizon was moved."""
        share = (now - self.begun) / self.seconds
        wait = 0.04 if share < 0.9 else 0.01  # the end is where a miss can't be made good
        if step - self.start < 5 or share < self.checked + wait or step >= self.horizon.steps:
            return False
        self.checked = share
        each = (now - self.begun - self.aside) / (step - self.start)
        left = self.begun + self.seconds - self.ahead - now
        fitting = step + max(1, int(left / each))
        if abs(fitting - self.horizon.steps) <= self.tolerance * (self.horizon.steps - self.start):
            return False
        self.horizon.steps = fitting
        return True


def span(seconds: float) -> str:
    """90 s, 12.5 min, 2.00 h."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 5400 else f"{seconds / 3600:.3g} h"
