"""Verbs for samples in few calls: tune, schedule, curve; and what --anytime does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from unfog.cli.app import Flag, Json, Many, app
from unfog.errors import ArgumentError

PICTURES = (".png", ".pdf", ".svg", ".jpg")


@app.command
def tune(
    run: Path,
    /,
    *,
    calls: str = "3..16",
    given: Many = None,
    scale: float | None = None,
    trajectories: int | None = None,
    budget: str = "3m",
    device: str = "auto",
    json: Json = False,
) -> dict[str, Any] | None:
    """Fit solvers to a finished run, one for each number of calls, and measure what each misses.

    Needs no data. `unfog sample --steps 6` (or --nfe, --budget, --tol) then uses them.

    Example: unfog tune runs/photos --calls 3..8

    Parameters
    ----------
    run
        A run folder.
    calls
        Numbers of calls: 3..16, or 4,6,8.
    given
        Tune for samples with conditions: label=* for all classes in turn. Left out: without.
    scale
        Guidance of these samples.
    trajectories
        Of the model, that solvers are fitted to, half as many others choose; 64 or more where left
            out.
    budget
        Time for the fitting.
    device
        auto, cpu, cuda, mps.
    json
        One JSON object on standard output.
    """
    from unfog.cli.asking import conditions
    from unfog.tasks.load import load
    from unfog.tasks.pick import duration
    from unfog.tasks.tune import enough
    from unfog.tasks.tune import tune as fit

    model = load(run, device=device)
    trajectories = enough(model) if trajectories is None else trajectories
    number = trajectories + trajectories // 2
    found = fit(
        model,
        counts(calls),
        given=conditions(model, given or [], number),
        scale=scale,
        trajectories=trajectories,
        budget=duration(budget),
    )
    if json:
        return {"run": str(run), **found.model_dump(mode="json", exclude={"solvers"})}
    from unfog.tasks.tune import table

    print(table(found))
    return None


def counts(text: str) -> list[int]:
    """3..16 or 4,6,8 as numbers."""
    found: list[int] = []
    try:
        for part in text.split(","):
            low, dots, high = part.partition("..")
            found += range(int(low), int(high) + 1) if dots else [int(low)]
    except ValueError:
        found = []
    if not found:
        raise ArgumentError(f"--calls takes numbers such as 3..16 or 4,6,8; got {text!r}")
    return found


def improving(
    model: Any,
    out: Path,
    count: int,
    choices: dict[str, Any],
    overwrite: bool,
    json: bool,
    other: Any,
) -> dict[str, Any] | None:
    """Write better and better samples to `out` until they settle or the user stops."""
    if other:
        raise ArgumentError("--anytime replaces whole answers: leave out --shard and --novelty")
    facts: dict[str, Any] = {}
    why = "settled"
    try:
        for samples in model.anytime(count, **choices):
            where = samples.save(out, overwrite=overwrite or bool(facts))
            facts = {"out": str(where), "count": count, "seed": choices["seed"]}
            facts |= samples.pick.facts()
            print(f"{where}: {samples.pick}", file=sys.stderr)
    except KeyboardInterrupt:
        if not facts:
            raise
        why = "stopped"
    if json:
        return {**facts, "ended": why}
    print(f"{why}: {count} samples with {facts['calls']} calls in {facts['out']}", file=sys.stderr)
    return None


@app.command
def schedule(
    run: Path,
    /,
    *,
    measure: str | None = None,
    steps: int | None = None,
    seed: int = 0,
    budget: str = "2m",
    dry_run: Flag = False,
    device: str = "auto",
    json: Json = False,
) -> dict[str, Any] | None:
    """Fit the times of a run's sampling, so that samples end where the flow does.

    Before training, --set times=fitted --set grid=fitted of `unfog fit` does so for both.

    Example: unfog schedule runs/photos

    Parameters
    ----------
    run
        A run folder; its config.json gets the grid `fitted`.
    measure
        landing (the distance at the end is made small; the default where all are numbers), or
            what every step adds is made even: prediction (of the net, needs no data), posterior
            (of the data) or loss (of the net on the data).
    steps
        Sampling steps to fit for; the run's own where left out. Others cut the same curve.
    budget
        Time that landing may take, such as 60s.
    seed
        Seed of the trajectories.
    dry_run
        Measure and say, and leave the run as it is.
    device
        auto, cpu, cuda, mps.
    json
        One JSON object on standard output.
    """
    from unfog.tasks.load import load
    from unfog.tasks.pick import duration

    model = load(run, device=device)
    found = model.fit_schedule(
        measure, steps=steps, seed=seed, budget=duration(budget), write=not dry_run
    )
    if json:
        return {"run": str(run), **found.to_json()}
    print(f"{run}: {found}", file=sys.stderr)
    return None


@app.command
def curve(
    run: Path,
    /,
    *others: Path,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    source: str | None = None,
    calls: str = "1..4,6,8,12,16",
    count: Annotated[int | None, Parameter(name=["--count", "-n"])] = None,
    metric: str | None = None,
    budget: str = "1m",
    part: str | None = None,
    seed: int = 0,
    overwrite: Flag = False,
    device: str = "auto",
    json: Json = False,
) -> dict[str, Any] | None:
    """Draw quality against calls of the net: a run as it is, its other ways, flow maps of it.

    Example: unfog curve runs/photos runs/quick -o calls.png

    Parameters
    ----------
    run
        A run folder; what `unfog tune` stored in it is drawn too.
    others
        Flow maps that were distilled from it, or other runs of the same data.
    out
        The picture; only the table is printed where left out.
    source
        Held-out data; the run's own test split where left out.
    calls
        Numbers of calls: 1..8, or 2,4,8. Where guidance asks several nets, calls are more.
    count
        Samples of every point; as many as are held out, at most 1000, where left out.
    metric
        See `unfog metrics` and `unfog table-metrics`; frechet, of tables c2st_auc, where left out.
    budget
        Time for fitting times to all numbers of calls together; 0 leaves that line out.
    part
        Images: which of SOURCE's train, validation and test folders to read.
    seed
        Seed of the samples.
    overwrite
        Replace OUT.
    device
        auto, cpu, cuda, mps.
    json
        One JSON object on standard output.
    """
    if out is not None and out.suffix.lower() not in PICTURES:
        raise ArgumentError(f"--out is a picture ({', '.join(PICTURES)}); got {str(out)!r}")
    if out is not None and out.exists() and not overwrite:
        raise ArgumentError(f"{out} is there already; name a new file or give --overwrite")
    from unfog.tasks.levers import curve as measure
    from unfog.tasks.load import load
    from unfog.tasks.pick import duration

    found = measure(
        load(run, device=device),
        [load(other, device=device) for other in others],
        source,
        counts=counts(calls),
        count=count,
        metric=metric,
        budget=0.0 if budget == "0" else duration(budget),
        part=part,
        seed=seed,
    )
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        found.look(out)
    if json:
        return {"run": str(run), "out": None if out is None else str(out), **found.to_json()}
    print(found)
    return None
