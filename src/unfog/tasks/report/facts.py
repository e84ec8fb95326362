"""What is known of a run, gathered once: the report and the model card are filled from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from unfog.errors import DataError, UnfogError
from unfog.kinds.items import Items
from unfog.kinds.splits import PARTS
from unfog.maths.states import each
from unfog.model import files
from unfog.tasks.doctor import FILE as DOCTOR
from unfog.tasks.doctor import diagnose
from unfog.tasks.evaluate import FILE, evaluate, training_data
from unfog.tasks.looks import seen
from unfog.tasks.report.cost import Cost, cost_of
from unfog.tasks.stored import encoded
from unfog.train.heldout import level_losses, levels
from unfog.train.log import read as read_log

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

LEVELS = 10
MOST = 256


@dataclass(frozen=True)
class Levels:
    """Denoising losses of the finished weights: mean and standard error per time, per part."""

    times: list[float]
    means: dict[str, list[float]] = field(default_factory=dict)
    errors: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """A run's own data, how it was judged, its log, its looks, its cost.

    Attributes:
        judged: what `evaluate` wrote.     log: lines of metrics.jsonl.
        clock, heldout: lines of looks.jsonl, [] where nobody looked.
        diagnosis: what the doctor wrote.
    """

    model: Trained
    items: Items
    judged: dict[str, Any]
    log: list[dict[str, Any]]
    clock: list[dict[str, Any]]
    heldout: list[dict[str, Any]]
    diagnosis: dict[str, Any]
    levels: Levels
    cost: Cost | None


def gather(model: Trained, *, seed: int, fresh: bool, show: bool | None) -> Facts:
    """Read the run folder and its data; judge, examine and measure what was not yet.

    Args:
        fresh: judge and examine anew even if RUN/evaluation.json and RUN/doctor.json are there.
    Raises: DataError where the data is gone or altered.
    """
    items = training_data(model)
    done = model.folder / FILE
    if fresh or not done.exists():
        judged = evaluate(model, seed=seed, show=show).to_json()
    else:
        judged = files.read_json(done)
    log = read_log(model.folder / "metrics.jsonl")
    examined = model.folder / DOCTOR
    if fresh or not examined.exists():
        diagnosis = diagnose(model).to_json()
    else:
        diagnosis = files.read_json(examined)
    return Facts(
        model=model,
        items=items,
        judged=judged,
        log=log,
        clock=seen(model.folder, "clock"),
        heldout=seen(model.folder, "heldout"),
        diagnosis=diagnosis,
        levels=measured_levels(model, items),
        cost=cost_of(log, model.config.device),
    )


def measured_levels(model: Trained, items: Items) -> Levels:
    """The loss per noise level on up to 256 training and as many validation items."""
    times = levels(model.net.path, LEVELS)
    means, errors = {}, {}
    for part in PARTS[:2]:
        if len(getattr(model.splits, part)) < 2:
            continue
        try:
            states, cond = encoded(items, model.splits, model.borders, part)
        except DataError:  # a small part, every row of which has a level that training lacks
            continue
        x = each(lambda v: v[:MOST], states)
        known = {name: v[:MOST] for name, v in cond.items()}
        found: Tensor = level_losses(model.net, x, known, times=times)
        if not bool(torch.isfinite(found).all()):
            raise UnfogError(f"{model.folder}: the loss of the {part} items is not finite")
        means[part] = found.mean(1).tolist()
        errors[part] = (found.std(1) / found.shape[1] ** 0.5).tolist()
    return Levels(times.tolist(), means, errors)
