"""Distil: from a run to a run that jumps along the first one's flow, so that a few calls do."""

from __future__ import annotations

import math
import pathlib
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from unfog.errors import ArgumentError
from unfog.guide.blend import checked_scale
from unfog.kinds.items import Items
from unfog.maths.flowmaps import flowmaps
from unfog.maths.jumps import flows
from unfog.maths.paths import paths
from unfog.maths.targets import targets
from unfog.tasks import runfolder
from unfog.tasks.assemble import build_objective, build_path, build_sampling, device_of
from unfog.tasks.config import Config, TrainConfig, override, resolved, seconds
from unfog.tasks.fit import again, founded, started, temporary
from unfog.tasks.flowmap import takes_two
from unfog.tasks.learn import learn
from unfog.tasks.lock import hold, released
from unfog.tasks.plan import Wishes
from unfog.tasks.prepare import Prepared, reread
from unfog.tasks.recipes import recipes
from unfog.tasks.settings import check_settings
from unfog.tasks.show import note
from unfog.tasks.start import Start, read_start
from unfog.tasks.stored import training_states
from unfog.tasks.usual import usual_of
from unfog.tasks.weaker import checked_away
from unfog.train.dist import here, place, together

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

TAKEN = ("flowmap", "times", "weight", "schedule", "grid", "train", "solver", "sampling_steps")
"""What `settings` may change: the rest is the teacher's."""
ONCE = ("budget", "micro", "steps", "log_every", "snapshots", "weaker", "calibrate", "stable")
"""Settings of a training that the student does not take over."""
POOR = 0.1
"""Determinant of data and noise in a target at t = 1 below which jumps from there are ill-posed."""


@together
@released
def distill(
    run: str | pathlib.Path,
    *,
    out: str | pathlib.Path | None = None,
    source: Any = None,
    objective: str | None = None,
    scale: float | None = None,
    autoguidance: float | None = None,
    budget: str | float | None = None,
    steps: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
    spent: float = 0.0,
    items: Items | None = None,
    show: bool | None = None,
    quiet: bool = False,
) -> Any:
    """Learn a flow map of a run's own flow, from the run's weights on.

    Args:
        run: a finished run folder, the teacher.     out: the new run folder; a temporary one where
            None.
        source: the data that the run was fitted on, where it is no longer where it was.
        objective: a row of `flowmaps`; the recipe's where None.
        scale: guidance that is learnt with it, so that sampling needs no second call; where None,
            the teacher's own if no autoguidance is asked for, else 1.
        autoguidance: the same away from the teacher's weaker model; where None, the teacher's own
            if no scale is asked for, else 1.
        budget: wall-clock time for all of it; or `steps`. Where both are None, a share of the
            compute of the teacher's training: of images 1/4, of tables all, of others 1/2.
        lr: peak step size; the teacher's where None, half of it for images.
        settings: dotted keys of these parts: flowmap, times, weight, schedule, grid, train, solver,
            sampling_steps.
        items: the run's data as it was read, where that is in memory.
    Returns: the new model, a `Trained`; with `dry_run` the plan's facts.
    Raises: ArgumentError, DataError where the data changed, RunError where the run is none.
    """
    begun = time.monotonic() - spent
    if budget is not None and steps is not None:
        raise ArgumentError("give a budget or a number of steps, not both")
    if steps is not None and steps < 1:
        raise ArgumentError(f"steps is a whole number, 1 or more; got {steps}")
    if objective is not None:
        flowmaps[objective]  # a wrong name is refused before anything is read
    wanted = 0.0 if budget is None else seconds(budget)
    world = here()
    quiet, show = quiet or not world.chief, show if world.chief else False
    used = place(device_of(device), world)
    teacher = read_start(run)
    if budget is None and steps is None and not resume:
        wanted, steps = usual_of(teacher.config.kind).length(teacher.config.train)
    asked = dict(settings or {})
    asked |= {f"train.{k}": v for k, v in (("batch", batch), ("lr", lr)) if v is not None}
    if not resume:  # what is wrong is refused before a folder is made
        student = _content(teacher, objective, scale, autoguidance, asked, seed, str(used))
    folder, keeper = pathlib.Path(), None
    if not dry_run:
        folder, keeper = temporary(world) if out is None else (pathlib.Path(out), None)
        if folder.resolve() == teacher.folder.resolve():
            raise ArgumentError(f"{folder} is the teacher itself; name another folder with --out")
        world.lead(lambda: runfolder.claim(folder, resume=resume, overwrite=overwrite))
        world.lead(lambda: hold(folder))
    planned = None
    if resume:
        prepared = again(folder, source)
        _same(prepared.config, teacher, folder, objective, scale, autoguidance, steps, seed, asked)
        note(f"resuming {folder}", quiet=quiet)
    else:
        prepared = _prepared(teacher, student, source, items)
        for text in prepared.config.reasons:
            note(f"note: {text}", quiet=quiet)
        elapsed = time.monotonic() - begun
        wishes = Wishes(
            steps=steps,
            left=wanted - elapsed,
            spent=elapsed,
            net=True,
            batch=True,
            precision="float32",
            dry=dry_run,
            looks="train.looks" in asked,
            threads="train.threads" in asked,
        )
        prepared = founded(prepared, folder, used, wishes, overwrite=overwrite, quiet=quiet)
        planned = time.monotonic()
        if dry_run:
            return prepared.config.plan
    trained = learn(folder, prepared, used, resume=resume, show=show, quiet=quiet, begun=planned)
    trained.keeper = keeper
    return trained


def _content(
    teacher: Start,
    objective: str | None,
    scale: float | None,
    autoguidance: float | None,
    settings: dict[str, Any],
    seed: int,
    device: str,
) -> Config:
    """The student's configuration: the teacher's, but for how it learns and samples."""
    old, recipe = teacher.config, recipes["flowmap"]
    _check(teacher, scale)
    usual, own = usual_of(old.kind), old.autoguidance if scale is None else 1.0
    away = own if autoguidance is None else checked_away(teacher.folder, autoguidance)
    if scale is None and autoguidance is None and old.given:
        scale = old.scale
    train = old.train.model_dump(exclude=set(ONCE))
    train |= {"lr": train["lr"] * usual.gentler, "calibrate": usual.calibrate}
    content: dict[str, Any] = {
        **old.to_json(),
        "recipe": "flowmap",
        "seed": seed,
        "device": device,
        "times": recipe.times,
        "weight": recipe.weight,
        "schedule": recipe.schedule,
        "coupling": {"name": "independent"},
        "grid": recipe.grid,
        "solver": recipe.solver,
        "corrector": recipe.corrector,
        "sampling_steps": recipe.sampling_steps,
        "plain": None,
        "eta": recipe.eta,
        "scale": 1.0,
        "autoguidance": 1.0,
        "net": {**old.net, "two_times": True},
        "train": TrainConfig(steps=1, **train).model_dump(mode="json"),
        "reflow": None,
        "flowmap": usual.objective(objective),
        "teacher": {
            "run": str(teacher.folder.resolve()),
            "manifest": teacher.manifest,
            "scale": 1.0 if scale is None else scale,
            "autoguidance": away,
        },
        "plan": {},
        "start": {},
        "reasons": [],
    }
    if content["net"].get("dropout"):
        content["net"]["dropout"] = 0.0
        content["reasons"].append("flow maps are trained without the teacher's dropout of units")
    _well_posed(content)
    if (content["teacher"]["scale"] != 1 or away != 1) and settings.get("flowmap.onward"):
        raise ArgumentError("guidance is learnt from the teacher: leave flowmap.onward out")
    check_settings(settings, ("steps", "budget", "seed", "device"))
    for key in settings:
        if key.split(".")[0] not in TAKEN:
            raise ArgumentError(
                f"{key!r} is the teacher's to say, since its weights and its data are taken; "
                f"distill takes --set of {', '.join(TAKEN)}"
            )
    config = resolved(override(content, settings))
    for build in (build_objective, build_sampling):
        build(config)
    return config


def _check(teacher: Start, scale: float | None) -> None:
    """Raises ArgumentError for a run that has no flow to learn, or no guidance."""
    config = teacher.config
    if not flows(build_path(config)):
        raise ArgumentError(
            f"{teacher.folder} has no field of numbers, and only numbers flow: categories are "
            "revealed, for which a flow map is no help; sample it with fewer --steps instead"
        )
    if not takes_two(config.net["name"]):
        raise ArgumentError(f"the net {config.net['name']!r} can't be told two times")
    if scale is not None:
        checked_scale(scale)
        if not config.given and scale != 1:
            raise ArgumentError(
                f"scale={scale:g} guides by conditions, and {teacher.folder} was fitted without; "
                "leave --scale out, or fit with --given"
            )


def _well_posed(content: dict[str, Any]) -> None:
    """Another target where the teacher's says next to nothing of the data at t = 1: jumps start
    there, and no later steps mend their error.
    """
    path, target = paths.build(content["path"]), targets.build(content["target"])
    one = torch.ones((), dtype=torch.float64)
    a, b = target.row(path, one)
    size = math.hypot(float(a), float(b))
    determinant = abs(float(path.alpha(one) * b - path.sigma(one) * a)) / size
    if determinant < POOR or target.parts > 1:
        content["reasons"].append(
            f"target v in place of {content['target']['name']}, which says too little of the data "
            "at t = 1"
        )
        content["target"] = {"name": "v"}
        if "out_channels" in content["net"]:
            content["net"]["out_channels"] = None


def _prepared(teacher: Start, config: Config, source: Any, items: Items | None) -> Prepared:
    """The teacher's data, split and encoded as it was, and its weights to begin with."""
    from unfog.kinds.splits import Splits
    from unfog.model import files

    splits = Splits.from_json(files.read_json(teacher.folder / "splits.json"))
    named = config.data.source if source is None else source
    if items is None and named is None:
        raise ArgumentError(
            f"{teacher.folder} was fitted on data in memory, which distilling needs too: give it "
            "again as source (--source on the command line)"
        )
    if items is None:
        items = reread(named, config, splits)
    else:
        splits.check(items)
    if isinstance(source, (str, pathlib.Path)):
        moved = config.data.model_copy(update={"source": str(pathlib.Path(source).resolve())})
        config = config.model_copy(update={"data": moved})
    borders = teacher.borders
    states, store, _ = training_states(items, splits, borders, config.data.shown)
    prepared = Prepared(config, items, splits, borders, states, store=store)
    prepared = started(prepared, teacher)
    told = [*prepared.config.reasons[:-1], f"learns the flow of {teacher.folder} by "
            f"{(config.flowmap or {})['name']}" + _guided(config)]  # fmt: skip
    return replace(prepared, config=prepared.config.model_copy(update={"reasons": told}))


def _guided(config: Config) -> str:
    scale, away = config.teacher["scale"], config.teacher["autoguidance"]
    said = "" if scale == 1 else f", guided at scale {scale:g}"
    return said if away == 1 else f"{said}, autoguided at {away:g}"


def _same(
    config: Config,
    teacher: Start,
    folder: pathlib.Path,
    objective: str | None,
    scale: float | None,
    autoguidance: float | None,
    steps: int | None,
    seed: int,
    asked: dict[str, Any],
) -> None:
    """Raises ArgumentError where a resumed run is asked to be another one."""
    told = config.teacher
    content = config.to_json()
    same = override(content, asked) == content
    for name, wanted, has in (
        ("run", str(teacher.folder.resolve()), told.get("run")),
        ("objective", objective, (config.flowmap or {}).get("name")),
        ("scale", scale, told.get("scale")),
        ("autoguidance", autoguidance, told.get("autoguidance", 1.0)),
        ("steps", steps, config.train.steps),
        ("seed", seed or None, config.seed),
        ("set, batch or lr", None if same else asked, "other values"),
    ):
        if wanted is not None and wanted != has:
            raise ArgumentError(
                f"{folder} was started with {name} = {has}, not {wanted}; leave it out to resume, "
                "or start anew with --overwrite"
            )


def distilled(model: Trained, **choices: Any) -> Any:
    """`distill` of a model in hand, with its data where that is in memory."""
    if choices.get("source") is None and not choices.get("resume"):
        choices.setdefault("items", model.items)
    return distill(model.folder, **choices)
