"""Rectified flow: train on the data, draw pairs of noise and sample, train again on the pairs.

The pairs lie at the two ends of the first flow's own paths, so that the second flow has no crossing
paths to average over, and its own become straighter: fewer steps do. The first flow stays in the
run folder as a run of its own, `RUN/first`. A run that was stopped goes on where it was: in the
first training, with the drawing of the pairs (from their beginning), or in the second training.

Ref: Liu et al. 2023, Flow Straight and Fast, alg. 1.
"""

from __future__ import annotations

import pathlib
import shutil
import time
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.maths.grids import AngleGrid, LinearGrid
from unfog.maths.randomness import mix
from unfog.maths.states import lead
from unfog.model import files
from unfog.model.model import Model
from unfog.sample.loop import sample
from unfog.sample.randomness import SampleRng
from unfog.sample.solvers.multistep import Multistep
from unfog.sample.straight import straightness
from unfog.tasks import runfolder
from unfog.tasks.assemble import blank, entries
from unfog.tasks.config import Config, ReflowConfig
from unfog.tasks.learn import learn
from unfog.tasks.load import load
from unfog.tasks.prepare import Prepared
from unfog.tasks.show import bar, note
from unfog.tasks.trained import Trained
from unfog.train.dist import here
from unfog.train.log import read as read_log

MOST = 20_000_000
"""Numbers in all pairs together: what fits in 160 MB."""
PATHS, STEPS = 128, 32
"""Paths, and steps of each, that straightness is measured on."""


def reflow(
    folder: pathlib.Path,
    prepared: Prepared,
    device: torch.device,
    *,
    resume: bool,
    show: bool | None,
    quiet: bool,
    begun: float | None = None,
) -> Trained:
    """Train twice, the second time on pairs drawn from the first; finish the run folder.

    Args:
        begun: when the time for training began, on the monotonic clock; now where None.
    Raises: ArgumentError in several processes.
    """
    config = prepared.config
    if here().size > 1:
        raise ArgumentError(
            "recipe rectified trains in one process: leave --nproc out, or train flow with it"
        )
    plan = config.reflow or ReflowConfig()
    if plan.after is not None and (folder / files.MANIFEST).exists():
        return load(folder, device=str(device))  # finished before
    first = _first(folder / "first", prepared, plan, device, resume, show, quiet, begun)
    drawn, facts = _pairs(folder / "pairs", prepared, first, plan, show)
    before = facts["straightness"]
    left = None
    steps = max(1, config.train.steps - first.config.train.steps)
    if config.train.budget is not None:
        spent = read_log(folder / "first" / "metrics.jsonl")[-1]["seconds"]
        took = (
            facts["seconds"] + facts["measuring"]
        )  # straightness is measured once more at the end
        left = max(1.0, config.train.budget - spent - took)
        steps = max(10, int(first.config.train.steps * left / max(spent, 1.0)))
    known = plan.model_copy(update={"pairs": len(drawn["x"]), "before": before})
    second = config.model_copy(
        update={
            "coupling": {"name": "paired"},
            "reflow": known,
            "train": config.train.model_copy(update={"steps": steps, "budget": left}),
        }
    )

    def conclude(averaged: Model, config: Config) -> Config:
        after = _straight(averaged, prepared, device)
        said = f"reflow on {known.pairs} pairs: straightness {before:.3g} before, {after:.3g} after"
        note(said, quiet=quiet)
        told = {"reflow": known.model_copy(update={"after": after})}
        return config.model_copy(update={**told, "reasons": [*config.reasons, said]})

    cond = {n.removeprefix("cond."): v for n, v in drawn.items() if n.startswith("cond.")}
    paired = replace(
        prepared,
        config=second,
        states=(drawn["x"], cond),
        source=drawn["z"],
        store=None,
        start=dict(first.net.state_dict()),
    )
    trained = learn(
        folder, paired, device, resume=resume, show=show, quiet=quiet, conclude=conclude
    )
    shutil.rmtree(folder / "pairs", ignore_errors=True)
    return trained


def _first(
    folder: pathlib.Path,
    prepared: Prepared,
    plan: ReflowConfig,
    device: torch.device,
    resume: bool,
    show: bool | None,
    quiet: bool,
    begun: float | None,
) -> Trained:
    """The flow that was trained on the data: found finished, or trained now."""
    if (folder / files.MANIFEST).exists():
        return load(folder, device=str(device))
    train = prepared.config.train
    share = {
        "steps": max(1, round(plan.first * train.steps)),
        "budget": None if train.budget is None else plan.first * train.budget,
    }
    config = prepared.config.model_copy(
        update={"reflow": None, "train": train.model_copy(update=share)}
    )
    folder.mkdir(exist_ok=True)
    runfolder.write_borders(folder, config, prepared.borders, prepared.splits)
    first = prepared.with_config(config)
    return learn(folder, first, device, resume=resume, show=show, quiet=quiet, begun=begun)


def _pairs(
    folder: pathlib.Path,
    prepared: Prepared,
    first: Trained,
    plan: ReflowConfig,
    show: bool | None,
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Noise z, samples x and conditions: found on disk, or drawn now; with the time that took."""
    if (folder / files.MANIFEST).exists():
        files.check_manifest(folder)
        return files.read_tensors(folder / "pairs.safetensors"), files.read_json(
            folder / "facts.json"
        )
    begun = time.monotonic()
    train = first.config.train
    # an update of the net costs about three evaluations of it
    evaluations = 3 * train.steps * train.batch * plan.draw / plan.first
    count = max(train.batch, int(evaluations / plan.solver_steps))
    count = max(1, min(count, MOST // entries(first.config)))
    drawn = _draw(prepared, first, plan, count, show)
    looked = time.monotonic()
    facts = {"straightness": _straight(first.net, prepared, first.device)}
    facts["measuring"] = round(time.monotonic() - looked, 3)
    folder.mkdir(exist_ok=True)
    files.write_tensors(folder / "pairs.safetensors", drawn)
    facts["seconds"] = round(time.monotonic() - begun, 3)
    files.write_json(folder / "facts.json", facts)
    files.write_manifest(folder, ["pairs.safetensors", "facts.json"])
    return drawn, facts


@torch.no_grad()
def _draw(
    prepared: Prepared, first: Trained, plan: ReflowConfig, count: int, show: bool | None
) -> dict[str, Tensor]:
    """Pairs under the conditions of training items, each pair a function of (seed, its number)."""
    config, path = first.config, first.net.path
    cond = prepared.states[1]
    items = len(lead(prepared.states[0]))
    picked = torch.from_numpy(np.random.default_rng(mix(config.seed, 31)).integers(0, items, count))
    cut = AngleGrid()(path, plan.solver_steps)
    size = config.train.batch
    parts = []
    with bar(f"drawing {count} pairs", count, show=show) as line:
        for at in range(0, count, size):
            rows = range(at, min(at + size, count))
            given = {n: v[picked[at : rows.stop]].to(first.device) for n, v in cond.items()}
            rng = SampleRng(mix(config.seed, 37), rows)
            z = path.prior(blank(config, len(rows), first.device), rng=rng)
            steps = sample(first.net.bind(given or None), path, Multistep(), z, cut, rng=rng)
            *_, last = steps
            parts.append((z.cpu(), last.x.float().cpu()))
            line.to(rows.stop)
    z, x = (torch.cat(side) for side in zip(*parts))
    return {"z": z, "x": x, **{f"cond.{n}": v[picked] for n, v in cond.items()}}


@torch.no_grad()
def _straight(net: Model, prepared: Prepared, device: torch.device) -> float:
    """Mean straightness of a few paths, each under a training item's conditions."""
    rng = SampleRng(mix(prepared.config.seed, 41), range(PATHS))
    noise = net.path.prior(blank(prepared.config, PATHS, device), rng=rng)
    picked = torch.arange(PATHS) % len(lead(prepared.states[0]))
    cond = {n: v[picked].to(device) for n, v in prepared.states[1].items()}
    grid = LinearGrid()(net.path, STEPS)
    return float(straightness(net.bind(cond or None), net.path, noise, grid, rng=rng).mean())
