"""Learn: from a source to a run folder with a trained model in it."""

from __future__ import annotations

import hashlib
import json
import pathlib
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from unfog.errors import ArgumentError
from unfog.failpoints import at
from unfog.kinds.splits import Splits
from unfog.kinds.table.constraints import texts_of
from unfog.model import files
from unfog.tasks import runfolder
from unfog.tasks.assemble import build_model, device_of
from unfog.tasks.config import Config, override, resolved, seconds
from unfog.tasks.learn import learn
from unfog.tasks.lock import hold, released
from unfog.tasks.plan import Wishes, checked_threads, plan
from unfog.tasks.planrows import show_plan
from unfog.tasks.prepare import Prepared, prepare, reread
from unfog.tasks.reflow import reflow
from unfog.tasks.show import note
from unfog.tasks.start import Start, lineage, read_start, said, take
from unfog.tasks.start import begun as begun_from
from unfog.tasks.stored import training_states
from unfog.tasks.within import parsed
from unfog.train import checkpoint
from unfog.train.dist import World, here, place, threads, together

BUDGET = "5m"
RATE = 20_000
"""Items a second that a thread of a CPU trains on at most."""
LARGEST = 8192
"""A batch is not larger unless asked."""
FREE = ("train.micro", "train.recompute", "train.memory", "train.compile", "train.threads")
"""Settings that a run may be resumed with another value of: they change no update, but for the last
bits.
"""


@together
@released
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
    constraints: str | Sequence[str] | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
    spent: float = 0.0,
    held: float = 0.1,
    memory: str | float | None = None,
    start: str | pathlib.Path | None = None,
    show: bool | None = None,
    quiet: bool = False,
) -> Any:
    """Learn a model of `source`.

    In an open process group, or under torchrun, all its processes learn one model.

    Args:
        source: folder, file, ndarray, tensor or list of PIL images; may be left out on resume.
        out: run folder; a temporary one, removed at exit, where None.
        given: the columns to condition on.
        budget: wall-clock time for all of it, such as "90s" or "10m" (default 5m); or `steps`.
        settings: dotted configuration keys, for example {"net.width": 128}.
        reading: options of the kind's reader, for example {"size": 64}.
        constraints: what every generated row of a table obeys, for example ["start <= end"].
        precision: "auto" measures float32 against bfloat16; or one of the two.
        dry_run: plan, and stop before training; nothing is written.
        spent: seconds of the budget that are gone already.
        held: share of the items that validates, and as much that tests; with 0 all are learnt
            from, and judging needs other data.
        memory: the most that the run may hold, such as "8GB"; a batch is then cut into pieces, and
            blocks computed twice, where that is needed.
        start: a finished run to start from: its net, its space where that was fitted, its weights.
    Returns: the model, a `Trained`; with `dry_run` the plan's facts, a dict (see `plan`).
    Raises: DataError, ArgumentError, ResourceError; Stopped after SIGTERM, with a checkpoint saved.
    """
    begun = time.monotonic() - spent
    if budget is not None and steps is not None:
        raise ArgumentError("give a budget or a number of steps, not both")
    if precision not in ("auto", "float32", "bfloat16"):
        raise ArgumentError(f"precision is auto, float32 or bfloat16; got {precision!r}")
    if steps is not None and steps < 1:
        raise ArgumentError(f"steps is a whole number, 1 or more; got {steps}")
    reading = dict(reading or {})
    if rules := texts_of(constraints):
        reading["constraints"] = rules
    wanted = seconds(BUDGET if budget is None else budget)
    world = here()
    quiet, show = quiet or not world.chief, show if world.chief else False
    used = place(device_of(device), world)
    if memory is not None:
        settings = {**(settings or {}), "train.memory": parsed(memory)}
    names = [given] if isinstance(given, str) else list(given)
    names = [name for text in names for name in text.split(",") if name]
    if start is not None and resume:
        raise ArgumentError(
            "a run that is resumed has its own weights; leave out --from or --resume"
        )
    if dry_run and resume:
        raise ArgumentError("a run that is resumed has its plan; leave out --dry-run or --resume")
    keeper = None
    if dry_run:
        folder = pathlib.Path()
    elif out is None:
        folder, keeper = temporary(world)
    else:
        folder = pathlib.Path(out)
    if not dry_run:
        world.lead(lambda: runfolder.claim(folder, resume=resume, overwrite=overwrite))
        world.lead(lambda: hold(folder))
    planned = None
    if resume:
        free = {key: value for key, value in (settings or {}).items() if key in FREE}
        settings = {key: value for key, value in (settings or {}).items() if key not in FREE}
        prepared = again(folder, source)
        _agree(prepared.config, names, recipe, steps, batch, lr, settings, seed, folder)
        prepared = prepared.with_config(resolved(override(prepared.config.to_json(), free)))
        if "train.threads" in free:
            checked_threads(prepared.config.train.threads)
        note(f"resuming {folder}", quiet=quiet)
    else:
        if source is None:
            raise ArgumentError(
                "fit needs a source: a folder, a file, an array or a list of images"
            )
        at("fit.prepare")
        other = None if start is None else read_start(start)
        prepared = prepare(
            source,
            kind=kind,
            given=names,
            recipe=recipe,
            batch=batch,
            lr=lr,
            settings=dict(settings or {}),
            reading=reading,
            seed=seed,
            device=str(device_of(device)),
            held=held,
            start=other,
            shown=_shown(steps, batch, wanted, used, world),
        )
        settings = dict(settings or {})
        elapsed = time.monotonic() - begun
        wishes = Wishes(
            steps=steps,
            left=wanted - elapsed,
            spent=elapsed,
            net=other is not None or any(key.split(".")[0] == "net" for key in settings),
            batch=batch is not None or "train.batch" in settings,
            precision=precision,
            dry=dry_run,
            looks="train.looks" in settings,
            threads="train.threads" in settings,
            ends=spent > 0,
        )
        if other is not None:
            prepared = started(prepared, other)
        for text in [*prepared.items.notes, *prepared.config.reasons[1:]]:
            note(f"note: {text}", quiet=quiet)
        prepared = founded(prepared, folder, used, wishes, overwrite=overwrite, quiet=quiet)
        planned = time.monotonic()
        if dry_run:
            return prepared.config.plan
    follow = learn if prepared.config.reflow is None else reflow
    trained = follow(folder, prepared, used, resume=resume, show=show, quiet=quiet, begun=planned)
    trained.keeper = keeper
    return trained


def founded(
    prepared: Prepared,
    folder: pathlib.Path,
    used: Any,
    wishes: Wishes,
    *,
    overwrite: bool,
    quiet: bool,
) -> Prepared:
    """Planned, shown, and its run folder begun; of a dry run the plan is all."""
    world = here()
    _read_alike(prepared, world)
    at("fit.plan")
    prepared = _as_chief(plan(prepared, used, wishes, quiet=quiet), world)
    show_plan(prepared.config.plan, quiet=quiet)
    if not wishes.dry:
        world.lead(lambda: _founded(folder, prepared, overwrite))
    return prepared


def started(prepared: Prepared, start: Start) -> Prepared:
    """With the weights of another run to begin with, and where they came from written down."""
    config = prepared.config
    found = take(build_model(config), config, prepared.borders, start)
    config = config.model_copy(
        update={
            "start": lineage(start, found),
            "reasons": [*config.reasons, said(start, found, config)],
        }
    )
    return replace(prepared, config=config, start=found.weights)


def temporary(world: World) -> tuple[pathlib.Path, Any]:
    """One folder for all processes; the chief's model keeps it."""
    keeper = tempfile.TemporaryDirectory(prefix="unfog-") if world.chief else None
    return pathlib.Path(world.say(keeper.name if keeper else None)), keeper


def _founded(folder: pathlib.Path, prepared: Prepared, overwrite: bool) -> None:
    """Begin the run folder. Nothing that can still be refused costs an old run."""
    size = prepared.config.plan["parameters"]
    kept = 4 * (checkpoint.KEPT + 1) + 2  # and what watchers keep
    kept += 2 * prepared.config.train.snapshots  # of two averages each
    kept += prepared.config.train.weaker > 0
    runfolder.room(folder, size * 4 * kept + 10_000_000)
    if overwrite:
        runfolder.clear(folder)
    runfolder.write_borders(folder, prepared.config, prepared.borders, prepared.splits)


def _read_alike(prepared: Prepared, world: World) -> None:
    """Raises DataError where processes read other data than the chief."""
    if world.size > 1:
        seen = [prepared.config.to_json(), prepared.splits.to_json()]
        world.same("data", hashlib.sha256(json.dumps(seen).encode()).hexdigest())


def _as_chief(prepared: Prepared, world: World) -> Prepared:
    """Every process plans with its share of a batch; what the chief planned holds."""
    if world.size == 1:
        return prepared
    return prepared.with_config(Config.model_validate(world.say(prepared.config.to_json())))


def _shown(
    steps: int | None, batch: int | None, budget: float, device: torch.device, world: World
) -> int | None:
    """How many items a run can come to, at most; None where that is not known."""
    if steps is not None:
        return steps * (LARGEST if batch is None else max(batch, LARGEST))
    return int(RATE * budget * threads(world)) if device.type == "cpu" else None


def again(folder: pathlib.Path, source: Any) -> Prepared:
    """The preparation of a run on disk, with its data read once more and checked to be the same."""
    config = runfolder.read_config(folder)
    runfolder.check_borders(folder)
    splits = Splits.from_json(files.read_json(folder / "splits.json"))
    borders = runfolder.read_borders(folder, config)
    source = config.data.source if source is None else source
    if source is None:
        raise ArgumentError(f"{folder} was fitted on data in memory; give it again to resume")
    items = reread(source, config, splits)
    states, store, _ = training_states(items, splits, borders, config.data.shown)
    prepared = Prepared(config, items, splits, borders, states, store=store)
    if config.start and checkpoint.newest(folder)[0] is None:
        weights = take(build_model(config), config, borders, begun_from(config.start)).weights
        prepared = replace(prepared, start=weights)
    return prepared


def _agree(
    config: Config,
    given: list[str],
    recipe: str,
    steps: int | None,
    batch: int | None,
    lr: float | None,
    settings: Mapping[str, Any] | None,
    seed: int,
    folder: pathlib.Path,
) -> None:
    """Raises ArgumentError where a resumed run is asked to be another one; its budget stays."""
    asked: dict[str, tuple[Any, Any]] = {
        "given": (given or config.given, config.given),
        "recipe": (config.recipe if recipe == "flow" else recipe, config.recipe),
        "steps": (config.train.steps if steps is None else steps, config.train.steps),
        "batch": (config.train.batch if batch is None else batch, config.train.batch),
        "lr": (config.train.lr if lr is None else lr, config.train.lr),
        "seed": (seed or config.seed, config.seed),
    }
    content = config.to_json()
    if override(content, dict(settings or {})) != content:
        asked["set"] = (dict(settings or {}), "other values")
    for name, (wanted, has) in asked.items():
        if wanted != has:
            raise ArgumentError(
                f"{folder} was started with {name} = {has}, not {wanted}; leave --{name} out to "
                "resume it, or start anew with --overwrite"
            )
