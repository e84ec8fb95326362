"""Train a prepared run from its newest checkpoint to its end: log, save, stop, finish."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import Stopped
from unfog.kinds import kinds
from unfog.maths.randomness import Rng
from unfog.maths.states import State, each, lead
from unfog.model import files
from unfog.model.ema import Ema
from unfog.model.model import Model
from unfog.tasks import runfolder
from unfog.tasks.assemble import build_model, build_objective, build_schedule
from unfog.tasks.card import write_card
from unfog.tasks.config import Config
from unfog.tasks.looks import Looks, Sight, watchers_of
from unfog.tasks.prepare import AUGMENT, Prepared
from unfog.tasks.show import bar, note
from unfog.tasks.trained import Trained
from unfog.train import checkpoint
from unfog.train.batches import Batches
from unfog.train.dist import World, here, threads
from unfog.train.importance import importance
from unfog.train.known import Known
from unfog.train.log import Log
from unfog.train.loop import Progress, train
from unfog.train.optim import adamw
from unfog.train.parallel import shard, whole
from unfog.train.plan import Pace
from unfog.train.schedule import Horizon


def batches_of(prepared: Prepared) -> Batches:
    """The training batches of a prepared run."""
    states, cond = prepared.states
    config, given = prepared.config, prepared.source

    def fetch(index: np.ndarray) -> tuple[State, dict[str, Tensor]]:
        picked = torch.from_numpy(index)
        return (
            each(lambda v: v[picked], states),
            {name: value[picked] for name, value in cond.items()},
        )

    def source(index: np.ndarray) -> State:
        return each(lambda v: v[torch.from_numpy(index)], given)

    return Batches(
        len(lead(states)),
        config.train.batch,
        config.seed,
        fetch,
        augment=_augment(prepared),
        source=None if given is None else source,
        known=_known(prepared),
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
    probability, kind = prepared.config.train.augment, kinds[prepared.config.kind]
    if probability == 0 or kind.augment is None:
        return None
    changed, space = kind.augment(probability), prepared.borders.space

    def augment(x: Tensor, cond: dict[str, Tensor], rng: Rng) -> tuple[Tensor, dict[str, Tensor]]:
        x, how = changed(space.back(x), rng)
        return space.into(x), {**cond, AUGMENT: how}

    return augment


@dataclass
class Course:
    """Where a run stands: what a checkpoint keeps beside weights.

    Attributes:
        start: the step it goes on from.     spent: seconds of training before that.
        worked: processor seconds before that.
        pending: losses since the last log line, so that a resumed run logs the same means.
    """

    horizon: Horizon
    start: int = 0
    spent: float = 0.0
    pending: list[float] = field(default_factory=list)
    worked: float = 0.0
    begun: float = field(default_factory=time.monotonic)
    clocked: float = field(default_factory=time.process_time)

    def processor(self) -> float:
        """Processor seconds of training so far, of this process's threads together."""
        return self.worked + time.process_time() - self.clocked

    def seconds(self) -> float:
        """Seconds of training so far, all parts together."""
        return self.spent + time.monotonic() - self.begun


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
    ema = Ema(model, config.train.ema)
    sharded = config.train.shard == "fsdp" and world.size > 1
    if sharded:
        shard(model, world)
        shard(ema.model, world)
    optimiser = adamw(
        model, lr=config.train.lr, betas=config.train.betas, weight_decay=config.train.weight_decay
    )
    objective = build_objective(config)
    memory = importance(objective.times)
    course = Course(Horizon(config.train.steps))
    looks = Looks(folder, watchers_of(prepared), config.train.looks)
    if begun is not None:
        course.begun = begun
    if resume:
        world.lead(lambda: checkpoint.tidy(folder))
        found, complaints = checkpoint.newest(folder)
        for text in complaints:
            note(f"note: {text}", quiet=quiet)
        if found is not None:
            facts = checkpoint.restore(found, model, ema, optimiser, memory)
            course = Course(
                Horizon(facts["steps"]),
                found.step,
                facts["seconds"],
                facts["pending"],
                facts.get("processor", facts["seconds"]),
            )
            looks.restore(facts.get("looks", {}))

    def save(step: int) -> None:
        checkpoint.save(
            folder,
            step,
            model,
            ema,
            optimiser,
            memory,
            write=world.chief,
            seconds=course.seconds(),
            processor=course.processor(),
            steps=course.horizon.steps,
            pending=course.pending,
            looks=looks.facts(),
        )
        world.wait()  # whoever ends first may end the others: not while the chief writes

    pace = None
    if config.train.budget is not None and world.chief:
        left = max(1.0, config.train.budget - course.spent)
        pace = Pace(course.horizon, left, course.begun, course.start)
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
    )
    log = Log(folder, after=course.start) if world.chief else None
    world.lead(lambda: looks.begin(course.start))

    def together() -> Model:
        if not sharded:
            return ema.model
        alone = build_model(config).to(device)
        alone.load_state_dict(whole(ema.tensors()))
        return alone.eval().requires_grad_(False)

    def look(step: int) -> str | None:
        model = together()
        sight = Sight(step, step / course.horizon.steps, course.seconds(), model, prepared, folder)
        stop: str | None = world.lead(lambda: looks.look(sight))
        looks.done = step
        return stop

    before = torch.get_num_threads()
    torch.set_num_threads(min(config.train.threads, threads(world)))
    try:
        with signals() as asked, bar("learning", 1.0, show=show) as line:
            _follow(loop, course, pace, config, log, line, save, asked, world, looks, look)
    finally:
        if log is not None:
            log.close()
        torch.set_num_threads(before)
    done = config.train.model_copy(update={"steps": course.horizon.steps})
    averaged = together()
    wish = world.lead(looks.wish)
    if wish is not None:
        name, why = wish
        note(f"note: {why}", quiet=quiet)
        files.fill_module(averaged, looks.kept(name), folder)
        config = config.model_copy(update={"reasons": [*config.reasons, why]})
    config = config.model_copy(update={"train": done})
    if conclude is not None:
        config = conclude(averaged, config)
    prepared = prepared.with_config(config)
    return finish(folder, prepared, averaged, device, course.seconds(), world)


def _follow(
    loop: Iterator[Progress],
    course: Course,
    pace: Pace | None,
    config: Config,
    log: Log | None,
    line: Any,
    save: Callable[[int], None],
    asked: list[int],
    world: World,
    looks: Looks,
    look: Callable[[int], str | None],
) -> None:
    """Log, look and save now and then, and stop when asked: any process may be, all do."""
    launcher = os.getppid() if "TORCHELASTIC_RUN_ID" in os.environ else None
    every, saved, horizon = config.train.log_every, time.monotonic(), course.horizon
    smooth = None
    for progress in loop:
        loss = float(progress.loss)
        course.pending.append(loss)
        smooth = loss if smooth is None else 0.98 * smooth + 0.02 * loss
        now = time.monotonic()
        moved = pace is not None and pace.check(progress.step, now)
        if launcher is not None and os.getppid() != launcher:
            asked.append(signal.SIGTERM)  # nobody is left who could end this process
        late = now - saved > config.train.checkpoint_seconds
        stop, changed, due, horizon.steps = world.vote(
            asked[0] if asked else 0,
            moved,
            late and world.chief,
            horizon.steps if world.chief else 0,
        )
        if looks.due(progress.step, horizon.steps) and look(progress.step) is not None:
            horizon.steps = progress.step
        if changed or progress.step % every == 0 or progress.step == horizon.steps:
            speed = (progress.step - course.start) * config.train.batch / (now - course.begun)
            if log is not None:
                _write(log, progress, course, loss, speed)
            course.pending.clear()
            line.to(progress.step / horizon.steps, f"loss {smooth:.4f}  {speed:.0f} items/s")
        if stop:
            save(progress.step)
            _stop(stop, progress.step, horizon.steps)
        if due:
            save(progress.step)
            saved = now
    save(horizon.steps)


def _write(log: Log, progress: Progress, course: Course, loss: float, speed: float) -> None:
    log.write(
        progress.step,
        loss=sum(course.pending) / len(course.pending),
        last_loss=loss,
        lr=progress.rate,
        gradient=progress.gradient,
        skipped=progress.skipped,
        items_per_second=round(speed, 1),
        steps=course.horizon.steps,
        seconds=round(course.seconds(), 2),
        cpu_seconds=round(course.processor(), 2),
    )


def _stop(number: int, step: int, steps: int) -> None:
    stopped = Stopped(f"stopped at step {step} of {steps}; go on with --resume")
    stopped.exit_code = 130 if number == signal.SIGINT else 143
    raise stopped


@contextlib.contextmanager
def signals() -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM are noted: the loop stops after its step; a later one at once.

    Within a second it is the same request: a scheduler signals a process and its launcher, which
    passes it on.
    """
    asked: list[int] = []
    first = 0.0

    def noted(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if asked and time.monotonic() - first > 1:
            raise KeyboardInterrupt
        if not asked:
            first = time.monotonic()
            asked.append(number)

    before = {}
    with contextlib.suppress(ValueError):  # not the main thread: the caller's handlers stay
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, noted)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def finish(
    folder: pathlib.Path,
    prepared: Prepared,
    averaged: Model,
    device: torch.device,
    spent: float,
    world: World,
) -> Trained:
    """Write weights, model card, and last the manifest that makes the folder whole."""
    config = prepared.config

    def write() -> None:
        files.write_json(folder / "config.json", config.to_json())  # with the steps as they came
        files.write_tensors(folder / "model.safetensors", dict(averaged.state_dict()))
        write_card(folder, config, prepared.splits, spent)
        files.write_manifest(folder, list(runfolder.READ))

    world.lead(write)
    return Trained(
        folder,
        config,
        averaged,
        prepared.borders,
        prepared.splits,
        items=prepared.items,
        device=device,
    )
