"""The verb that makes a run quick: distill."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from unfog.cli.app import BEGUN, Flag, Json, app, learnt
from unfog.errors import ArgumentError


@app.command
def distill(
    run: Path,
    /,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    source: str | None = None,
    objective: str | None = None,
    scale: float | None = None,
    autoguidance: float | None = None,
    budget: str | None = None,
    steps: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    set_: Annotated[
        list[str] | None, Parameter(name="--set", negative="", consume_multiple=False)
    ] = None,
    seed: int = 0,
    device: str = "auto",
    resume: Flag = False,
    overwrite: Flag = False,
    dry_run: Flag = False,
    json: Json = False,
) -> dict[str, Any] | None:
    """Learn from RUN a run that samples in 1 to 4 steps.

    Example: unfog distill runs/photos -o runs/quick --budget 10m

    Parameters
    ----------
    run
        A finished run folder, the teacher.
    out
        The new run folder; may be left out with --dry-run.
    source
        The data that RUN was fitted on, where it lies elsewhere by now.
    objective
        See `unfog flowmaps`.
    scale
        Guidance that is learnt with it, so that sampling needs no second call; RUN's own where
            neither is given.
    autoguidance
        The same, away from RUN's early state; RUN's own where neither is given.
    budget
        Wall-clock time for all of it: 90s, 10m, 2h. Without this and steps: as long as RUN was
        trained, a quarter of that for images, half for arrays.
    steps
        So many updates instead of a budget.
    batch
        Items per update; the teacher's where left out.
    lr
        Peak step size; the teacher's where left out, half of it for images.
    set_
        Settings of how it learns and samples: --set flowmap.matched=0.5 (repeatable).
    seed
        Same seed, same run.
    device
        auto, cpu, cuda, cuda:1, mps.
    resume
        Go on from the newest checkpoint in the new run folder.
    overwrite
        Replace the run in the new folder.
    dry_run
        Print the plan and stop before training; nothing is written.
    json
        One JSON object on standard output.
    """
    if out is None and not dry_run:
        raise ArgumentError("distill needs a folder for the new run: --out RUN2 (or --dry-run)")
    from unfog.tasks.config import setting
    from unfog.tasks.distill import distill as learn

    model = learn(
        run,
        out=out,
        source=source,
        objective=objective,
        scale=scale,
        autoguidance=autoguidance,
        budget=budget,
        steps=steps,
        batch=batch,
        lr=lr,
        settings=dict(setting(text) for text in set_ or []),
        seed=seed,
        device=device,
        resume=resume,
        overwrite=overwrite,
        dry_run=dry_run,
        spent=time.monotonic() - BEGUN,
        quiet=json and dry_run,
    )
    return learnt(model, out, dry_run, json)
