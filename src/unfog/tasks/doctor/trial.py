"""A few short trainings from fresh weights: is the step size at fault?"""

from __future__ import annotations

import math
import time

import torch

from unfog.errors import UnfogError
from unfog.judge.doctor.facts import Trial
from unfog.tasks.assemble import build_model, build_objective
from unfog.tasks.evaluate import training_data
from unfog.tasks.learn import batches_of
from unfog.tasks.prepare import Prepared, encoded
from unfog.tasks.trained import Trained
from unfog.train.loop import train
from unfog.train.optim import adamw
from unfog.train.schedule import Constant, Horizon

FACTORS = (1 / 30, 1.0, 30.0)
UPDATES = 60
SECONDS = 8.0
"""For all of them, about."""


def trial(model: Trained) -> Trial:
    """Train anew for a few updates at a thirtieth, once and thirty times the run's step size, on
    the same batches with the same noise. Nothing of the run is touched.
    """
    config = model.config
    items = training_data(model)
    states = encoded(items, model.splits, model.borders)
    prepared = Prepared(config, items, model.splits, model.borders, states)
    steps, ends = UPDATES, []
    for factor in FACTORS:
        begun = time.process_time()
        losses = _losses(prepared, config.train.lr * factor, steps, SECONDS / len(FACTORS))
        if not ends:
            steps = max(10, len(losses))
        tail = losses[-max(3, len(losses) // 4) :]
        end = sum(tail) / len(tail) / max(losses[0], 1e-30)
        ends.append(end if math.isfinite(end) else 1e9)
        del begun
    return Trial(FACTORS, tuple(min(end, 1e9) for end in ends), steps)


def _losses(prepared: Prepared, lr: float, steps: int, seconds: float) -> list[float]:
    """Losses of up to `steps` updates, fewer where they take longer than `seconds`."""
    net = build_model(prepared.config).train()
    net.precision = "float32"
    optimiser = adamw(net, lr=lr, betas=prepared.config.train.betas)
    begun, losses = time.process_time(), []
    with torch.enable_grad():
        loop = train(
            net,
            batches_of(prepared),
            optimiser,
            build_objective(prepared.config),
            Constant(warmup=0.0),
            horizon=Horizon(steps),
            seed=prepared.config.seed,
            clip=prepared.config.train.clip,
        )
        try:
            for progress in loop:
                losses.append(float(progress.loss))
                if len(losses) >= 10 and time.process_time() - begun > seconds:
                    break
        except UnfogError:  # it diverged
            losses.append(math.inf)
    return losses
