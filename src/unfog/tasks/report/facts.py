"""What is known of a run, gathered once: the report and the model card are filled from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from unfog.errors import UnfogError
from unfog.kinds.items import Items
from unfog.kinds.splits import PARTS
from unfog.maths.states import each
from unfog.model import files
from unfog.tasks.evaluate import FILE, evaluate, training_data
from unfog.tasks.looks import seen
from unfog.tasks.prepare import encoded
from unfog.tasks.report.cost import Cost, cost_of
from unfog.train.heldout import level_losses, levels
from unfog.train.log import read as read_log

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

LEVELS = 10
MOST = 256
DOCTOR = "doctor.json"


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
        findings: the doctor's, None where it was not asked.
    """

    model: Trained
    items: Items
    judged: dict[str, Any]
    log: list[dict[str, Any]]
    clock: list[dict[str, Any]]
    heldout: list[dict[str, Any]]
    findings: dict[str, Any] | None
    levels: Levels
    cost: Cost | None


def gather(model: Trained, *, seed: int, fresh: bool, show: bool | None) -> Facts:
    """Read the run folder and its data; judge and measure what was not yet.

    Args:
        fresh: judge anew even if RUN/evaluation.json is there.
    Raises: DataError where the data is gone or altered.
    """
    items = training_data(model)
    done = model.folder / FILE
    if fresh or not done.exists():
        judged = evaluate(model, seed=seed, show=show).to_json()
    else:
        judged = files.read_json(done)
    log = read_log(model.folder / "metrics.jsonl")
    doctor = model.folder / DOCTOR
    return Facts(
        model=model,
        items=items,
        judged=judged,
        log=log,
        clock=seen(model.folder, "clock"),
        heldout=seen(model.folder, "heldout"),
        findings=files.read_json(doctor) if doctor.exists() else None,
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
        states, cond = encoded(items, model.splits, model.borders, part)
        x = each(lambda v: v[:MOST], states)
        known = {name: v[:MOST] for name, v in cond.items()}
        found: Tensor = level_losses(model.net, x, known, times=times)
        if not bool(torch.isfinite(found).all()):
            raise UnfogError(f"{model.folder}: the loss of the {part} items is not finite")
        means[part] = found.mean(1).tolist()
        errors[part] = (found.std(1) / found.shape[1] ** 0.5).tolist()
    return Levels(times.tolist(), means, errors)
