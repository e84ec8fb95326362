"""From a time budget to a number of steps: by measuring, on a copy, what one step costs here."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median

import torch

from unfog.model.ema import Ema
from unfog.model.model import Model
from unfog.train.batches import Batches
from unfog.train.loop import Objective, train
from unfog.train.optim import adamw
from unfog.train.schedule import Schedule


@dataclass(frozen=True)
class Cost:
    """Measured seconds per update at a precision."""

    precision: str
    seconds: float


def measure(
    model: Model,
    batches: Batches,
    objective: Objective,
    schedule: Schedule,
    *,
    precision: str,
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
    begun = last = time.perf_counter()
    for progress in train(
        trial, batches, optimiser, objective, schedule, steps=10**9, seed=0, ema=ema, patience=10**9
    ):
        now = time.perf_counter()
        if progress.step > 2:
            taken.append(now - last)
        last = now
        if len(taken) >= 3 and now - begun > budget:
            break
    return Cost(precision, median(taken))


def choose_precision(trial: Callable[[str], Cost], device: torch.device, wanted: str) -> Cost:
    """The cost at `wanted`; for "auto" the faster of float32 and bfloat16, bfloat16 only if 10 % faster."""
    if wanted != "auto":
        return trial(wanted)
    single = trial("float32")
    if device.type == "mps":
        return single
    half = trial("bfloat16")
    return half if half.seconds < 0.9 * single.seconds else replace(single)
