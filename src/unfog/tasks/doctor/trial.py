"""A few short trainings from fresh weights: is the step size at fault?"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import replace

import torch

from unfog.judge.doctor.facts import More, Trial
from unfog.judge.doctor.restored import Noisings
from unfog.model.model import Model
from unfog.tasks.assemble import build_model, build_objective
from unfog.tasks.evaluate import training_data
from unfog.tasks.learn import batches_of
from unfog.tasks.prepare import Prepared
from unfog.tasks.stored import training_states
from unfog.tasks.trained import Trained
from unfog.train.loop import Diverged, train
from unfog.train.optim import adamw
from unfog.train.schedule import Constant, CosineFall, Horizon, Schedule

FACTORS = (1 / 30, 1.0, 30.0, 1000.0)
UPDATES = 60
SECONDS = 8.0
"""For all of them, about."""


def trial(model: Trained, noisings: Noisings) -> Trial:
    """Train anew for a few updates at a thirtieth, once, thirty and a thousand times the run's
    step size, on the same batches with the same noise, and restore the same noised items with each.
    Nothing of the run is touched.

    The loss would hardly do: most of it can't be learnt away.
    """
    prepared, config = prepared_of(model), model.config
    ends: list[float] = []
    steps = UPDATES
    for factor in FACTORS:
        net = build_model(config)
        lr, share = config.train.lr * factor, SECONDS / len(FACTORS)
        losses = _train(net, prepared, lr, Constant(warmup=0.0), 0, steps, share)
        if not ends:
            steps = max(10, len(losses))
        net.eval()
        end = float(noisings.errors(net).mean()) if math.isfinite(losses[-1]) else math.inf
        ends.append(min(end, 1e9) if math.isfinite(end) else 1e9)
    return Trial(FACTORS, tuple(ends), steps)


def more(model: Trained, last: Model, mine: Noisings, theirs: Noisings | None) -> More:
    """Go on from the last weights for about a fifth of the run (100 to 200 updates), at half of its
    step size falling to nothing, and restore the same noised items again. Nothing of the run is
    touched.
    """
    config = model.config
    before = [
        min(float(some.errors(net).mean()) for net in (model.net, last))
        for some in (mine, theirs)
        if some is not None
    ]
    net = copy.deepcopy(last).requires_grad_(True)
    steps = min(200, max(100, config.train.steps // 5))
    lr, schedule = config.train.lr * 0.5, CosineFall(warmup=0.1)
    losses = _train(net, prepared_of(model), lr, schedule, config.train.steps, steps, SECONDS)
    net.eval().requires_grad_(False)
    after = [float(some.errors(net).mean()) for some in (mine, theirs) if some is not None]
    gains = [1 - late / max(early, 1e-12) for early, late in zip(before, after, strict=True)]
    gains = [max(gain, -1e6) if math.isfinite(gain) else -1e6 for gain in gains]
    return More(len(losses), gains[0], gains[1] if len(gains) > 1 else None)


def prepared_of(model: Trained) -> Prepared:
    """The run's training part, encoded as it was for the run."""
    items = training_data(model)
    states, store, _ = training_states(items, model.splits, model.borders, model.config.data.shown)
    return Prepared(model.config, items, model.splits, model.borders, states, store=store)


def _train(
    net: Model,
    prepared: Prepared,
    lr: float,
    schedule: Schedule,
    begin: int,
    steps: int,
    seconds: float,
) -> list[float]:
    """Losses of up to `steps` updates from batch `begin` on, fewer where they take longer than
    `seconds`.
    """
    config = prepared.config
    net.train()
    net.precision = "float32"
    batches, started, losses = batches_of(prepared), time.process_time(), []
    shifted = replace(batches, seed=batches.seed + begin) if begin else batches
    with torch.enable_grad():
        loop = train(
            net,
            shifted,
            adamw(net, lr=lr, betas=config.train.betas),
            build_objective(config),
            schedule,
            horizon=Horizon(steps),
            seed=config.seed + begin,
            clip=config.train.clip,
        )
        try:
            for progress in loop:
                losses.append(float(progress.loss))
                if len(losses) >= 10 and time.process_time() - started > seconds:
                    break
        except Diverged:
            losses.append(math.inf)
    return losses
