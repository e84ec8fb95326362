"""Learn: from a source to a run folder with a trained model in it."""

from __future__ import annotations

import pathlib
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from unfog.errors import ArgumentError
from unfog.kinds.splits import Splits
from unfog.model import files
from unfog.tasks import runfolder
from unfog.tasks.assemble import (
    build_model,
    build_objective,
    build_schedule,
    device_of,
    entries,
)
from unfog.tasks.config import Config, override, seconds
from unfog.tasks.learn import batches_of, learn
from unfog.tasks.prepare import Prepared, encoded, prepare, reread
from unfog.tasks.reflow import reflow
from unfog.tasks.show import note
from unfog.tasks.trained import Trained
from unfog.train import checkpoint
from unfog.train.plan import cheapest, measure

BUDGET = "5m"
FINE = 64
"""States of fewer numbers are never computed in bfloat16 unless asked."""


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
    if steps is not None and steps < 1:
        raise ArgumentError(f"steps is a whole number, 1 or more; got {steps}")
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
        _agree(prepared.config, names, recipe, steps, batch, lr, settings, seed, folder)
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
        prepared = _planned(prepared, place, steps, wanted - (time.monotonic() - begun), precision)
        note(_plan_sentence(prepared.config), quiet=quiet)
        size = sum(p.numel() for p in build_model(prepared.config).parameters())
        runfolder.room(folder, size * 4 * 4 * (checkpoint.KEPT + 1) + 10_000_000)
        if overwrite:  # only now: nothing that can still be refused costs the old run
            runfolder.clear(folder)
        runfolder.write_borders(folder, prepared.config, prepared.borders, prepared.splits)
    follow = learn if prepared.config.reflow is None else reflow
    trained = follow(folder, prepared, place, resume=resume, show=show, quiet=quiet)
    trained.keeper = keeper
    return trained


def _temporary() -> tuple[pathlib.Path, Any]:
    keeper = tempfile.TemporaryDirectory(prefix="unfog-")
    return pathlib.Path(keeper.name), keeper


def _plan_sentence(config: Config) -> str:
    t = config.train
    return (
        f"plan: {config.net['name']} in the {config.space['name']} space, recipe {config.recipe}, "
        f"{t.steps} steps of {t.batch}, {t.precision}, on {config.device}, {t.threads} "
        f"thread{'s' * (t.threads > 1)}"
    )


def _planned(
    prepared: Prepared, device: torch.device, steps: int | None, left: float, precision: str
) -> Prepared:
    """Fix precision and number of steps: by measuring, unless both are given."""
    config = prepared.config
    update: dict[str, Any] = {
        "steps": steps,
        "precision": "float32" if precision == "auto" else precision,
        "threads": torch.get_num_threads(),
    }
    if precision == "auto" and not config.fields and entries(config) < FINE:
        precision = "float32"  # a few numbers, each of which matters to more than three digits
    if steps is None:
        model = build_model(config).to(device)
        batches = batches_of(prepared)
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
    items = reread(source, config, splits)
    return Prepared(config, items, splits, borders, encoded(items, splits, borders))


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
