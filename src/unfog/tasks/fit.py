"""Learn: from a source to a run folder with a trained model in it."""

from __future__ import annotations

import contextlib
import pathlib
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import ArgumentError, Stopped
from unfog.kinds import kinds
from unfog.kinds.splits import Splits
from unfog.model import files
from unfog.model.ema import Ema
from unfog.model.model import Model
from unfog.tasks import runfolder
from unfog.tasks.assemble import build_model, build_objective, build_schedule, device_of
from unfog.tasks.config import Config, seconds
from unfog.tasks.prepare import Prepared, encoded, prepare
from unfog.tasks.show import bar, note
from unfog.tasks.trained import Trained
from unfog.train import checkpoint
from unfog.train.batches import Batches
from unfog.train.log import Log
from unfog.train.loop import Progress, train
from unfog.train.optim import adamw
from unfog.train.plan import Pace, cheapest, measure
from unfog.train.schedule import Horizon

BUDGET = "5m"


def fit(
    source: Any = None,
    *,
    out: str | pathlib.Path | None = None,
    kind: str | None = None,
    given: str | Sequence[str] = (),
    recipe: str = "flow",
    budget: str | float | None = None,
    steps: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    settings: Mapping[str, Any] | None = None,
    reading: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    show: bool | None = None,
    quiet: bool = False,
) -> Trained:
    """Learn a model of `source`.

    Args:
        source: folder, file, ndarray, tensor or list of PIL images; may be left out on resume.
        out: run folder; a temporary one, removed at exit, where None.
        given: the columns to condition on.
        budget: wall-clock time for all of it, such as "90s" or "10m" (default 5m); or `steps`.
        settings: dotted configuration keys, for example {"net.width": 128}.
        reading: options of the kind's reader, for example {"size": 64}.
        precision: "auto" measures float32 against bfloat16; or one of the two.
    Raises: DataError, ArgumentError, ResourceError; Stopped after SIGTERM, with a checkpoint saved.
    """
    begun = time.monotonic()
    if budget is not None and steps is not None:
        raise ArgumentError("give a budget or a number of steps, not both")
    if precision not in ("auto", "float32", "bfloat16"):
        raise ArgumentError(f"precision is auto, float32 or bfloat16; got {precision!r}")
    wanted = seconds(BUDGET if budget is None else budget)
    place = device_of(device)
    names = [given] if isinstance(given, str) else list(given)
    names = [name for text in names for name in text.split(",") if name]
    if out is None:
        folder, keeper = _temporary()
    else:
        folder, keeper = pathlib.Path(out), None
    runfolder.claim(folder, resume=resume, overwrite=overwrite)
    if resume:
        prepared = _again(folder, source)
        note(f"resuming {folder}", quiet=quiet)
    else:
        if source is None:
            raise ArgumentError(
                "fit needs a source: a folder, a file, an array or a list of images"
            )
        prepared = prepare(
            source,
            kind=kind,
            given=names,
            recipe=recipe,
            batch=batch,
            lr=lr,
            settings=dict(settings or {}),
            reading=dict(reading or {}),
            seed=seed,
            device=str(place),
        )
        for text in [*prepared.items.notes, *prepared.config.reasons]:
            note(f"note: {text}", quiet=quiet)
        if overwrite:
            runfolder.clear(folder)
        prepared = _planned(prepared, place, steps, wanted - (time.monotonic() - begun), precision)
        note(_plan_sentence(prepared.config), quiet=quiet)
        size = sum(p.numel() for p in build_model(prepared.config).parameters())
        runfolder.room(folder, size * 4 * 4 * (checkpoint.KEPT + 1) + 10_000_000)
        runfolder.write_borders(folder, prepared.config, prepared.borders, prepared.splits)
    trained = _run(folder, prepared, place, resume=resume, show=show, quiet=quiet)
    trained.keeper = keeper
    return trained


def _temporary() -> tuple[pathlib.Path, Any]:
    keeper = tempfile.TemporaryDirectory(prefix="unfog-")
    return pathlib.Path(keeper.name), keeper


def _plan_sentence(config: Config) -> str:
    t = config.train
    return (
        f"plan: {config.net['name']} in the {config.space['name']} space, recipe {config.recipe}, "
        f"{t.steps} steps "
        f"of {t.batch}, {t.precision}, on {config.device}, {t.threads} "
        f"thread{'s' * (t.threads > 1)}"
    )


def _planned(
    prepared: Prepared, device: torch.device, steps: int | None, left: float, precision: str
) -> Prepared:
    """Fix precision and number of steps: by measuring, unless both are given."""
    config = prepared.config
    if steps is not None and steps < 1:
        raise ArgumentError(f"steps is a whole number, 1 or more; got {steps}")
    update: dict[str, Any] = {
        "steps": steps,
        "precision": "float32" if precision == "auto" else precision,
        "threads": torch.get_num_threads(),
    }
    if steps is None:
        model = build_model(config).to(device)
        batches = _batches(prepared)
        begun = time.monotonic()
        cost = cheapest(
            lambda kind, threads: measure(
                model,
                batches,
                build_objective(config),
                build_schedule(config),
                precision=kind,
                threads=threads,
                budget=min(3.0, 0.01 * left),
            ),
            device,
            precision,
            torch.get_num_threads(),
        )
        left = max(1.0, 0.985 * (left - (time.monotonic() - begun)))
        update = {
            "steps": max(10, int(left / cost.seconds)),
            "precision": cost.precision,
            "threads": cost.threads,
            "budget": round(left, 3),
        }
    train_config = config.train.model_copy(update=update)
    return prepared.with_config(config.model_copy(update={"train": train_config}))


def _again(folder: pathlib.Path, source: Any) -> Prepared:
    """The preparation of a run on disk, with its data read once more and checked to be the same."""
    config = runfolder.read_config(folder)
    splits = Splits.from_json(files.read_json(folder / "splits.json"))
    borders = runfolder.read_borders(folder, config)
    source = config.data.source if source is None else source
    if source is None:
        raise ArgumentError(f"{folder} was fitted on data in memory; give it again to resume")
    items = kinds[config.kind].read(source, given=config.given, **config.data.reading)
    splits.check(items)
    return Prepared(config, items, splits, borders, encoded(items, splits, borders, config))


def _batches(prepared: Prepared) -> Batches:
    states, cond = prepared.states
    config = prepared.config

    def fetch(index: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        picked = torch.from_numpy(index)
        return states[picked], {name: value[picked] for name, value in cond.items()}

    return Batches(len(states), config.train.batch, config.seed, fetch)


def _run(
    folder: pathlib.Path,
    prepared: Prepared,
    device: torch.device,
    *,
    resume: bool,
    show: bool | None,
    quiet: bool,
) -> Trained:
    """Train from the newest checkpoint, if any, to the end, and finish the run folder."""
    config = prepared.config
    model = build_model(config).to(device)
    ema = Ema(model, config.train.ema)
    optimiser = adamw(
        model, lr=config.train.lr, betas=config.train.betas, weight_decay=config.train.weight_decay
    )
    start, spent = 0, 0.0
    horizon = Horizon(config.train.steps)
    if resume:
        checkpoint.tidy(folder)
        found, complaints = checkpoint.newest(folder)
        for text in complaints:
            note(f"note: {text}", quiet=quiet)
        if found is not None:
            facts = checkpoint.restore(found, model, ema, optimiser)
            start, spent = found.step, facts["seconds"]
            horizon.steps = facts["steps"]
    log = Log(folder, after=start)
    begun = time.monotonic()

    def save(step: int) -> None:
        used = spent + time.monotonic() - begun
        checkpoint.save(folder, step, model, ema, optimiser, seconds=used, steps=horizon.steps)

    pace = None
    if config.train.budget is not None:
        pace = Pace(horizon, max(1.0, config.train.budget - spent), begun, start)

    loop = train(
        model,
        _batches(prepared),
        optimiser,
        build_objective(config),
        build_schedule(config),
        horizon=horizon,
        seed=config.seed,
        ema=ema,
        start=start,
        clip=config.train.clip,
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(config.train.threads)
    try:
        with signals() as asked, bar("learning", 1.0, show=show) as line:
            _follow(loop, horizon, pace, config, log, line, save, asked, start)
    finally:
        log.close()
        torch.set_num_threads(threads)
    return finish(folder, prepared, ema.model, device, spent + time.monotonic() - begun)


def _follow(
    loop: Iterator[Progress],
    horizon: Horizon,
    pace: Pace | None,
    config: Config,
    log: Log,
    line: Any,
    save: Callable[[int], None],
    asked: list[int],
    start: int,
) -> None:
    """Log, save now and then, and stop when asked."""
    every, losses, saved = config.train.log_every, [], time.monotonic()
    begun, smooth = time.monotonic(), None
    for progress in loop:
        loss = float(progress.loss)
        losses.append(loss)
        smooth = loss if smooth is None else 0.98 * smooth + 0.02 * loss
        now = time.monotonic()
        moved = pace is not None and pace.check(progress.step, now)
        if moved or progress.step % every == 0 or progress.step == horizon.steps:
            speed = (progress.step - start) * config.train.batch / (now - begun)
            log.write(
                progress.step,
                loss=sum(losses) / len(losses),
                last_loss=loss,
                lr=progress.rate,
                gradient=progress.gradient,
                skipped=progress.skipped,
                items_per_second=round(speed, 1),
                steps=horizon.steps,
            )
            losses = []
            line.to(progress.step / horizon.steps, f"loss {smooth:.4f}  {speed:.0f} items/s")
        if asked:
            save(progress.step)
            _stop(asked[0], progress.step, horizon.steps)
        if now - saved > config.train.checkpoint_seconds:
            save(progress.step)
            saved = now
    save(horizon.steps)


def _stop(number: int, step: int, steps: int) -> None:
    stopped = Stopped(f"stopped at step {step} of {steps}; go on with --resume")
    stopped.exit_code = 130 if number == signal.SIGINT else 143
    raise stopped


@contextlib.contextmanager
def signals() -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM are noted: the loop stops after its step; a second one at once."""
    asked: list[int] = []

    def noted(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
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
    folder: pathlib.Path, prepared: Prepared, averaged: Model, device: torch.device, spent: float
) -> Trained:
    """Write weights, model card, and last the manifest that makes the folder whole."""
    config = prepared.config
    files.write_tensors(folder / "model.safetensors", dict(averaged.state_dict()))
    trained = Trained(
        folder,
        config,
        averaged,
        prepared.borders,
        prepared.splits,
        items=prepared.items,
        device=device,
    )
    from unfog.tasks.card import write_card

    write_card(folder, config, prepared.splits, spent)
    files.write_manifest(folder, list(runfolder.READ))
    return trained
