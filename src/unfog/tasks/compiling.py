"""Whether training goes through torch's compiler: where the time repays it, by trial."""

from __future__ import annotations

import torch

from unfog.model.compiled import WAYS
from unfog.tasks.config import Config
from unfog.tasks.show import note
from unfog.tasks.sizes import Size
from unfog.tasks.trials import Trials
from unfog.train.dist import here
from unfog.train.plan import Cost, span

LEAST = {"cpu": 3000.0, "cuda": 240.0}
"""Seconds of training from which a trial may repay: budgets of an hour, and of five minutes. On a
CPU it took 40 to 160 s and saved 0 to 11 % of an update (docs/choices.md); on cuda it was not
measured.
"""
PERCEPTRONS = ("mlp", "table")
GAIN = 1.02
"""So many times as fast an update has to be: timings differ by less."""


def compiled(
    trials: Trials,
    size: Size,
    cost: Cost,
    left: float | None,
    *,
    dry: bool = False,
    quiet: bool = True,
) -> tuple[Cost, str]:
    """The cost of the way that is taken, and why.

    Args:
        cost: as the net is.
        left: seconds for training; None where the number of steps is fixed, and such a run repeats
            bit for bit.
        dry: nothing is compiled.
    """
    config, device = trials.config(size), trials.device
    asked = config.train.compile
    if asked == "no":
        return cost, "as asked for"
    if asked != "auto" and dry:
        return cost, f"{asked}, as asked for, not tried in a dry run"
    if asked != "auto":
        found = trials.trial(size, cost.precision, cost.threads, asked)
        failed = found.failed is not None
        return (cost, f"it failed: {found.failed}") if failed else (found, "as asked for")
    barred = _barred(config, device, left, plain=trials.way(size).plain)
    if barred is not None or left is None:
        return cost, barred or ""
    if dry:
        return cost, "tried when the run begins, not in a dry run"
    note("plan: trying torch's compiler, which may take a minute or more", quiet=quiet)
    best, said = cost, [f"{1000 * cost.seconds:.3g} ms a step as it is"]
    for way in WAYS[1:] if device.type == "cuda" else WAYS[1:2]:
        found = trials.trial(size, cost.precision, cost.threads, way)
        if found.failed is not None:
            said.append(f"{way} failed: {found.failed}")
            continue
        said.append(f"{way} {1000 * found.seconds:.3g} ms after {span(found.compiling)}")
        if GAIN * found.seconds < best.seconds:  # what the trial took is gone in any case
            best = found
    return best, "measured: " + ", ".join(said)


def _barred(config: Config, device: torch.device, left: float | None, *, plain: bool) -> str | None:
    """Why no trial is made, if so."""
    if left is None:
        return "not tried: with fixed steps a run repeats bit for bit"
    if device.type not in LEAST:
        return f"not tried on {device.type}"
    if left < LEAST[device.type]:
        return f"not tried: less than {span(LEAST[device.type])} of training seldom repays it"
    flat = device.type == "cpu" and config.net["name"] in PERCEPTRONS
    unfit = {
        "a perceptron gained nothing by it on a CPU": flat,
        "several processes train": here().size > 1,
        "a flow map is differentiated along its jumps": config.flowmap is not None,
        "crops come in many shapes": bool(config.train.crop),
        "units of the net are dropped": bool(config.net.get("dropout")),
        "a batch is made in pieces, or its blocks twice": not plain,
    }
    return next((f"not tried: {why}" for why, so in unfit.items() if so), None)
