"""Plan: from data, budget and measured speed to size, batch, steps and precision, each with its
reason, and to what the run will take.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch

from unfog.errors import ArgumentError
from unfog.tasks.assemble import entries
from unfog.tasks.brief import BRIEFLY, HURRIED
from unfog.tasks.calibrate import calibrating
from unfog.tasks.compiling import compiled
from unfog.tasks.config import Config
from unfog.tasks.drawing import drawn_in
from unfog.tasks.looking import PICTURE, Looking, looking
from unfog.tasks.planrows import reasons, rows, warnings
from unfog.tasks.prepare import Prepared
from unfog.tasks.sizes import ENOUGH, Size, climb, ladder
from unfog.tasks.trials import Trials
from unfog.tasks.within import SHARE, too_large, watching
from unfog.train import memory
from unfog.train.dist import here, threads
from unfog.train.plan import Cost, Need

FINE = 64
"""States of fewer numbers are never computed in bfloat16 unless asked."""
FEW = 1000
"""Training items below which no larger net than the default is taken."""
TRIAL = 100
"""Steps asked for from which trying a few first is worth the while."""
LONGEST = 3.0
"""Seconds that one size is tried at one precision, at most."""
SHORTEST = 0.1
"""The same at least, where that is no more than a fiftieth of the time."""
HOPE = 4
"""No precision and no number of threads makes a size so many times faster."""
CLOSING = 6
"""Copies of the weights in the last checkpoint and the run's own file, in 4-byte numbers."""
WRITING = 125e6
"""Bytes a second that closing a run writes, reads again and hashes at least."""
LEAVING, RETURNING = 0.75, 0.05
"""CPU-seconds of starting the interpreter and of ending the process, the writing apart; and of
returning to a process that goes on.
"""


@dataclass(frozen=True)
class Wishes:
    """What the user has fixed, and the time there is.

    Args:
        left: seconds for planning and training; ignored where `steps` is given.
        spent: seconds of the budget that are gone already.
        net, batch, looks, threads: True where the user has chosen it.
        precision: "auto", "float32" or "bfloat16".     dry: stop after the plan.
        ends: the process is there for this run alone and ends with it.
    """

    steps: int | None
    left: float
    spent: float
    net: bool
    batch: bool
    precision: str
    dry: bool = False
    looks: bool = False
    threads: bool = False
    ends: bool = True


def plan(
    prepared: Prepared, device: torch.device, wishes: Wishes, *, quiet: bool = True
) -> Prepared:
    """Fix what the user has not: size, batch and steps by the budget, precision, threads by trial.

    Returns: the preparation with its configuration complete; `config.plan` holds the facts: rows
        (what, choice, why), predicted seconds and memory, what was tried, warnings.
    Raises: ResourceError where the run needs more memory than there is.
    """
    begun, worked = time.monotonic(), time.process_time()
    most = threads(here())
    if wishes.threads:
        most = checked_threads(prepared.config.train.threads)
    trials = Trials(prepared, device, _precision(prepared.config, wishes), most, wishes.threads)
    size, why, cost = _settled(trials, wishes, begun)
    asked = prepared.config.train.compile
    compiling, compiler = (
        ("no", "no time was given") if asked == "auto" else (asked, "as asked for")
    )
    if cost is not None:
        ahead = None if wishes.steps else wishes.left - (time.monotonic() - begun)
        cost, compiler = compiled(trials, size, cost, ahead, dry=wishes.dry, quiet=quiet)
        compiling = cost.compiled
    planning = time.monotonic() - begun
    busy = planning / max(1e-3, time.process_time() - worked)  # others use this machine too
    wanted = trials.need(size)
    leaving = LEAVING if wishes.ends else RETURNING
    closing = (leaving + CLOSING * wanted.weights / WRITING) * min(max(busy, 1.0), 5.0)
    config = trials.config(size)
    way = trials.way(size)
    drawn = drawn_in(config, device, wishes)
    calibrated, measuring = calibrating(config, wishes, drawn, planning + closing)
    closing += measuring
    how = {**_train(wishes, cost, planning + closing, most), "micro": way.micro}
    how |= {"recompute": way.recomputed, "calibrate": calibrated, "compile": compiling}
    train = config.train.model_copy(update=how)
    config = config.model_copy(update={"train": train, "sampling_precision": drawn.precision})
    config, watched = _watched(config, prepared, cost, wishes)
    looked = watching(prepared, config)
    facts = _predicted(config, device, wanted, cost, planning, closing, wishes, looked)
    asked_for = "as asked for" if wishes.threads else None
    facts |= {"looking": watched, "compiler": compiler, "threads": asked_for}
    free, items = facts["available_bytes"], prepared.count
    if free is not None and facts["extra_bytes"] > SHARE * free:
        raise too_large(facts["extra_bytes"], free, wanted, size.batch)
    facts["tried"] = trials.tried
    facts["warnings"] = warnings(config, items)
    facts["limit"] = config.train.memory
    facts["arrangement"] = way.said(size.batch)
    facts["rows"] = rows(config, facts, reasons(prepared.config, wishes, why, size), items)
    return prepared.with_config(config.model_copy(update={"plan": facts}))


def _precision(config: Config, wishes: Wishes) -> str:
    """What is left to try: a few numbers matter to more than three digits each."""
    fine = not config.fields and entries(config) < FINE
    few = fine or wishes.steps is not None or config.flowmap is not None
    return "float32" if wishes.precision == "auto" and few else wishes.precision


def _settled(trials: Trials, wishes: Wishes, begun: float) -> tuple[Size, str, Cost | None]:
    """The size, why, and its cost where it was worth trying."""
    config = trials.prepared.config
    own = Size("the default size", config.net, config.train.batch)
    if wishes.steps is None:
        trials.seconds = min(LONGEST, max(0.006 * wishes.left, min(SHORTEST, 0.02 * wishes.left)))
        sizes, start = [own], 0
        if not wishes.net:
            sizes, start = ladder(config.net, config.train.batch, batch_fixed=wishes.batch)
        size, why = _chosen(trials, sizes, start, wishes, begun)
        return size, why, trials.cost(size)
    why = "no time was given to fit it to"
    if wishes.steps < TRIAL and not wishes.dry:
        trials.check(own)
        return own, why, None
    return own, why, trials.cost(own, once=True)


def checked_threads(asked: int) -> int:
    """As many threads as are asked for. Raises ArgumentError for more than this process has."""
    most = threads(here())
    if asked > most:
        raise ArgumentError(
            f"train.threads={asked}: this process has {most} (its cores, OMP_NUM_THREADS, and the "
            f"processes of the run share them); take 1 to {most}"
        )
    return asked


def _train(wishes: Wishes, cost: Cost | None, gone: float, most: int) -> dict[str, Any]:
    """Steps, precision and threads as settled; `gone` seconds are for planning and closing."""
    plain = "float32" if wishes.precision == "auto" else wishes.precision
    if cost is None or wishes.steps is not None:
        return {"steps": wishes.steps, "precision": plain, "threads": most}
    left = max(0.5, wishes.left - gone)
    return {
        "steps": max(10, int(left / cost.seconds)),
        "precision": cost.precision,
        "threads": cost.threads,
        "budget": round(left, 3),
    }


def _watched(
    config: Config, prepared: Prepared, cost: Cost | None, wishes: Wishes
) -> tuple[Config, dict[str, Any]]:
    """The configuration with as many looks as the run can bear, and what they will be."""
    held = min(len(prepared.splits.train), len(prepared.splits.validation))
    how = looking(config, held, asked=wishes.looks)
    seconds = None if cost is None else how.share * config.train.steps * cost.seconds
    if seconds is not None:
        seconds += PICTURE * how.quality
    steps = config.train.steps
    if wishes.steps is None and cost is not None and seconds is not None:
        steps = max(10, steps - int(seconds / cost.seconds))
    train = config.train.model_copy(update={"steps": steps, "looks": how.count})
    return config.model_copy(update={"train": train}), {
        "said": how.said(),
        "share": round(how.share, 4),
        "seconds": None if seconds is None else round(seconds, 3),
        "last": _last(how, cost, config),
    }


def _last(how: Looking, cost: Cost | None, config: Config) -> float:
    """Seconds that the look at the end will take, before one was timed."""
    if cost is None or how.count == 0:
        return 0.0
    work = how.share * config.train.steps * cost.seconds
    alone = work / max(1, how.count, how.quality)
    return round(alone + (PICTURE if how.every else 0.0), 3)


def _chosen(
    trials: Trials, sizes: list[Size], start: int, wishes: Wishes, begun: float
) -> tuple[Size, str]:
    """Climb to the size that the budget is for; a size that memory does not hold is passed by."""
    while start > 0 and not trials.fits(sizes[start]):
        start -= 1
    items, config = trials.prepared.count, trials.prepared.config
    numbers = items * entries(config)

    def updates(size: Size) -> float:
        plain = trials.plain(size).seconds
        left = wishes.left - (time.monotonic() - begun)
        if left / plain < ENOUGH / HOPE:
            return left / plain
        return left / trials.cost(size).seconds

    def allowed(size: Size) -> str | None:
        if items < FEW:
            return f"{items} items are few, and a larger net would copy them sooner"
        if not trials.fits(size, whole=config.train.memory is not None):
            return "a larger net would not fit into memory"
        if trials.need(size).weights // 4 > numbers:
            return f"a larger net would have more parameters than the data has numbers ({numbers})"
        return None

    brief = trials.prepared.brief
    if brief is not None and updates(sizes[start]) < BRIEFLY:
        sizes = brief.sizes()
        size, why = climb(sizes, len(sizes) - 1, updates, allowed, enough=HURRIED)
        return size, why if size is sizes[0] else f"{size.words}; {why}"
    return climb(sizes, start, updates, allowed)


def _predicted(
    config: Config,
    device: torch.device,
    wanted: Need,
    cost: Cost | None,
    planning: float,
    closing: float,
    wishes: Wishes,
    looked: float,
) -> dict[str, Any]:
    """Seconds and bytes of the run to come; None for what was not measured."""
    t = config.train
    training = None if cost is None else t.steps * cost.seconds
    if t.budget is not None:
        training = t.budget
    longer: float = wanted.weights if t.snapshots else 0  # the second average
    spare = memory.SPARE * wanted.weights  # what broken updates go back to, on the CPU
    now = memory.resident()
    updated = wanted.training(t.micro or t.batch, recomputed=t.recompute)
    arithmetic = now + max(updated, memory.COPIES * wanted.weights + looked)
    saved = now + memory.COPIES * wanted.weights + wanted.saving()
    inside: float | None = None
    if device.type != "cpu":
        most = float(now + spare)
        inside = longer + (updated if cost is None else cost.peak)
    elif cost is None:
        most = longer + spare + max(arithmetic, saved)
    else:
        most = longer + spare + max(cost.peak, cost.held + max(wanted.saving(), looked))
    return {
        "seconds": {
            "reading": round(wishes.spent, 2),
            "planning": round(planning, 2),
            "training": None if training is None else round(training, 2),
            "total": None
            if training is None
            else round(wishes.spent + planning + training + closing, 2),
        },
        "parameters": wanted.weights // 4,
        "seconds_per_step": None if cost is None else cost.seconds,
        "peak_bytes": int(max(memory.peak(), most)),
        "device_bytes": None if inside is None else int(inside),
        "available_bytes": memory.available(device),
        "extra_bytes": int(max(0, most - now) if inside is None else inside),
    }
