"""Train a prepared run from its newest checkpoint to its end: log, save, stop, finish."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.kinds import kinds
from unfog.maths.randomness import Rng
from unfog.maths.states import State, each
from unfog.model import files
from unfog.model.ema import Averages, Ema
from unfog.model.model import Model
from unfog.nets.recompute import recompute
from unfog.tasks.assemble import build_model, build_schedule
from unfog.tasks.changes import AUGMENT, augmentation
from unfog.tasks.config import Config
from unfog.tasks.course import Course, follow, signals
from unfog.tasks.finish import finish
from unfog.tasks.looks import Looks, Seen, Sight, watchers_of
from unfog.tasks.prepare import Prepared
from unfog.tasks.show import bar, note
from unfog.tasks.snapshots import Snapshots
from unfog.tasks.teach import learning
from unfog.tasks.trained import Trained
from unfog.tasks.weaker import Weaker, with_weaker
from unfog.train import checkpoint
from unfog.train.batches import Batches
from unfog.train.crops import Crops
from unfog.train.dist import here, threads
from unfog.train.importance import importance
from unfog.train.known import Known
from unfog.train.log import Log
from unfog.train.loop import train
from unfog.train.optim import adamw
from unfog.train.parallel import shard, whole
from unfog.train.plan import Pace
from unfog.train.rescue import Rescue
from unfog.train.schedule import Horizon

SHOWN = 30.0
"""Seconds of a budget from which TensorBoard events are written."""


def batches_of(prepared: Prepared) -> Batches:
    """The training batches of a prepared run."""
    states, cond = prepared.states
    config, given, store = prepared.config, prepared.source, prepared.store

    def fetch(index: np.ndarray) -> tuple[State, dict[str, Tensor]]:
        picked = torch.from_numpy(index)
        return (
            each(lambda v: v[picked], states),
            {name: value[picked] for name, value in cond.items()},
        )

    def source(index: np.ndarray) -> State:
        return each(lambda v: v[torch.from_numpy(index)], given)

    return Batches(
        prepared.count,
        config.train.batch,
        config.seed,
        fetch if store is None else store.fetch,
        augment=_augment(prepared),
        source=None if given is None else source,
        known=_known(prepared),
        crops=Crops(config.train.crop, config.train.crop_sizes) if config.train.crop else None,
    )


def _known(prepared: Prepared) -> Known | None:
    """Which cells of a training batch the net is told, so that it learns to fill the others."""
    share, codec = prepared.config.train.known, prepared.borders.codec
    if share == 0:
        return None
    parts = {field: codec.columns_of(field) for field in prepared.config.fields}
    names = list(dict.fromkeys(name for each in parts.values() for name, _ in each))
    return Known(
        share,
        {field: [names.index(name) for name, _ in each] for field, each in parts.items()},
        {field: [part == "missing" for _, part in each] for field, each in parts.items()},
    )


def _augment(prepared: Prepared) -> Callable[..., Any] | None:
    """What is done to a training batch before the net sees it: the kind's own augmentation."""
    train, kind = prepared.config.train, kinds[prepared.config.kind]
    if train.augment == 0 or kind.augment is None:
        return None
    changed, space = augmentation(kind, train.model_dump()), prepared.borders.space

    def augment(x: Tensor, cond: dict[str, Tensor], rng: Rng) -> tuple[Tensor, dict[str, Tensor]]:
        x, how = changed(space.back(x), rng)
        return space.into(x), {**cond, AUGMENT: how}

    return augment


def _lasting(config: Config) -> bool:
    """Whether the run is long enough to be followed in TensorBoard, whose events take a second."""
    return config.train.budget is None or config.train.budget >= SHOWN


def learn(
    folder: pathlib.Path,
    prepared: Prepared,
    device: torch.device,
    *,
    resume: bool,
    show: bool | None,
    quiet: bool,
    begun: float | None = None,
    conclude: Callable[[Model, Config], Config] | None = None,
) -> Trained:
    """Train from the newest checkpoint, if any, to the end, and finish the run folder.

    All processes of the group train; the chief writes.

    Args:
        begun: when the time for training began, on the monotonic clock; now where None.
        conclude: (averaged model, configuration) -> configuration, with what is known at the end.
    """
    config, world = prepared.config, here()
    model = build_model(config).to(device)
    if prepared.start is not None:
        files.fill_module(model, prepared.start, folder)
    recompute(model.net, config.train.recompute)
    sharded = config.train.shard == "fsdp" and world.size > 1
    ema: Ema[Model] = Ema(model, config.train.ema)
    snapshots = None
    if config.train.snapshots:
        if sharded:
            raise ArgumentError("snapshots need whole weights: leave them out, or use shard=ddp")
        ema = averages = Averages(model, config.train.ema)
        snapshots = Snapshots(folder, averages, config.train.snapshots)
    if sharded:
        shard(model, world)
        shard(ema.model, world)
    optimiser = adamw(
        model, lr=config.train.lr, betas=config.train.betas, weight_decay=config.train.weight_decay
    )
    objective = learning(config, device)
    memory = importance(objective.times)
    rescue = Rescue(model, ema, optimiser, memory)
    course = Course(Horizon(config.train.steps), micro=config.train.micro)
    looks = Looks(folder, watchers_of(prepared), config.train.looks, quiet=quiet)
    looks.budget = config.train.budget
    weaker = Weaker(folder, config.train.weaker)
    if begun is not None:
        course.begun = begun
    if resume:
        world.lead(lambda: checkpoint.tidy(folder))
        found, complaints = checkpoint.newest(folder)
        for text in complaints:
            note(f"note: {text}", quiet=quiet)
        if found is not None:
            facts = checkpoint.restore(found, model, ema, optimiser, memory)
            known = [m for m in (facts.get("micro"), config.train.micro) if m is not None]
            course = Course(
                Horizon(facts["steps"]),
                found.step,
                facts["seconds"],
                [float(loss) for loss in facts["pending"]],
                facts.get("processor", facts["seconds"]),
                min(known, default=None),
            )
            looks.restore(facts.get("looks", {}))
            weaker.restore(found.step)
            if "rescue" in facts:
                rescue.load(facts["rescue"], checkpoint.good(found), found.folder)
            if snapshots is not None:
                snapshots.restore(found.step)

    def save(step: int) -> None:
        if snapshots is not None:
            world.lead(lambda: snapshots.save(step))
        checkpoint.save(
            folder,
            step,
            model,
            ema,
            optimiser,
            memory,
            good=rescue.good if step < course.horizon.steps else None,
            write=world.chief,
            rescue=rescue.facts(),
            micro=course.micro,
            seconds=course.seconds(),
            processor=course.processor(),
            steps=course.horizon.steps,
            pending=[loss if math.isfinite(loss) else str(loss) for loss in course.pending],
            looks=looks.facts(),
        )
        world.wait()  # whoever ends first may end the others: not while the chief writes

    pace = None
    if config.train.budget is not None and world.chief:
        left = max(1.0, config.train.budget - course.spent)
        pace = Pace(course.horizon, left, course.begun, course.start)
        pace.ahead = config.plan.get("looking", {}).get("last", 0.0)
    loop = train(
        model,
        batches_of(prepared),
        optimiser,
        objective,
        build_schedule(config),
        horizon=course.horizon,
        seed=config.seed,
        ema=ema,
        start=course.start,
        clip=config.train.clip,
        world=world,
        memory=memory,
        rescue=rescue,
        micro=course.micro,
    )
    log = Log(folder, after=course.start, board=_lasting(config)) if world.chief else None
    world.lead(lambda: looks.begin(course.start))

    def tell(step: int, name: str, seen: Seen) -> None:
        if log is not None:
            log.show(step, name, seen.facts, seen.picture)

    looks.tell = tell

    def together() -> Model:
        if not sharded:
            return ema.model
        alone = build_model(config).to(device)
        alone.load_state_dict(whole(ema.tensors()))
        return alone.eval().requires_grad_(False)

    def look(step: int) -> None:
        steps = course.horizon.steps
        share = step / steps
        sight = Sight(step, share, course.seconds(), together(), prepared, folder)
        if world.lead(lambda: looks.look(sight)) is not None:
            course.horizon.steps = step
        looks.passed(step, steps)
        if log is not None and not sharded:
            log.histograms(step, model)
        course.looked = sum(looks.took)
        if pace is not None:
            pace.aside, pace.ahead = course.looked, looks.ahead(step, course.horizon.steps)

    def after(step: int) -> None:
        if step == course.start + 1 and quick is not None and quick.failed is not None:
            note(f"note: training goes on without the compiler: {quick.failed}", quiet=quiet)
        if looks.due(step, course.horizon.steps):
            look(step)
        if weaker.due(step, course.horizon.steps):
            early = together()
            world.lead(lambda: weaker.take(step, early))
            weaker.passed(step)
        if snapshots is not None and snapshots.due(step, course.horizon.steps):
            world.lead(lambda: snapshots.take(step))
            snapshots.passed(step)

    before = torch.get_num_threads()
    torch.set_num_threads(min(config.train.threads, threads(world)))
    way = "no" if config.train.compile == "auto" else config.train.compile
    try:
        with (
            signals() as asked,
            model.compiling(way) as quick,
            bar("learning", 1.0, show=show) as line,
        ):
            follow(
                loop, course, pace, config, log, line, save, asked, world, looks, after, quiet=quiet
            )
    finally:
        if log is not None:
            log.close()
        torch.set_num_threads(before)
    reached = {"steps": course.horizon.steps, "micro": course.micro}
    done = config.train.model_copy(update=reached)
    averaged = together()
    wish = world.lead(looks.wish)
    if wish is not None:
        name, why = wish
        note(f"note: {why}", quiet=quiet)
        files.fill_module(averaged, looks.kept(name), folder)
        config = config.model_copy(update={"reasons": [*config.reasons, why]})
    ends = course.horizon.steps if wish is None else looks.kept_at[wish[0]]
    config = with_weaker(config.model_copy(update={"train": done}), weaker, ends)
    if conclude is not None:
        config = conclude(averaged, config)
    if snapshots is not None:
        world.lead(snapshots.finish)
    prepared = prepared.with_config(config)
    return finish(folder, prepared, averaged, device, course.seconds(), world, show)
