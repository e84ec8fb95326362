"""Verbs that make: fit, sample. Nothing heavy is imported until a verb runs, so --help is quick."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from unfog.cli.app import BEGUN, Flag, Json, Many, app, learnt, line
from unfog.errors import ArgumentError


@app.command
def fit(
    source: str | None = None,
    /,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    kind: str | None = None,
    given: Many = None,
    recipe: str = "flow",
    budget: str | None = None,
    steps: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    size: int | None = None,
    resize: str | None = None,
    part: str | None = None,
    metadata: str | None = None,
    key: str | None = None,
    layout: str | None = None,
    angle: str | None = None,
    periodic: str | None = None,
    augment: float | None = None,
    stop_at: str | None = None,
    snapshots: int | None = None,
    strict: Flag = False,
    types: Many = None,
    constrain: Many = None,
    functions: str | None = None,
    set_: Annotated[
        list[str] | None, Parameter(name="--set", negative="", consume_multiple=False)
    ] = None,
    from_: Annotated[Path | None, Parameter(name="--from")] = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    memory: str | None = None,
    resume: Flag = False,
    overwrite: Flag = False,
    nproc: int = 1,
    dry_run: Flag = False,
    json: Json = False,
) -> dict[str, Any] | None:
    """Learn a model of SOURCE into a run folder.

    Example: unfog fit photos/ -o runs/photos --given label --budget 10m

    Parameters
    ----------
    source
        A folder, .zip, .npz or .npy; may be left out with --resume.
    out
        The run folder; may be left out with --dry-run.
    kind
        What the data is (see `unfog kinds`); told from the source where left out.
    given
        Columns to condition on: --given label,age
    recipe
        See `unfog recipes`.
    budget
        Wall-clock time for all of it: 90s, 10m, 2h. Default 5m.
    steps
        So many updates instead of a budget.
    batch
        Items per update.
    lr
        Peak step size.
    size
        Images: bring all to this side.
    resize
        Images: how, crop (the default), pad or stretch.
    part
        Images: which of the source's train, validation and test folders to read; train where left
            out.
    metadata
        Images: a .csv or .jsonl with a row per file, beside the source or in it.
    key
        .npz: which array in it is the data.
    layout
        Arrays: the axes by letters, N first: NHW a grid of one channel, NCHW, NHWC, NL a series.
    angle
        Arrays: channels that are angles: 2 or 0,3:deg (rad, deg or turn).
    periodic
        Arrays: axes that are closed to a ring, 0 being the items': 2 is the longitude of (N, H, W).
    augment
        Images: probability of every augmentation, told to the net so that samples have none: 0.12
    snapshots
        Store the weights' average so often, to choose its length afterwards with `unfog ema`.
    stop_at
        copying (the default) ends the run where samples begin to copy training items, and keeps the
            weights from before; never only watches.
    strict
        Refuse the source if any file in it is damaged.
    types
        Tables: what columns are, --types zip=category,grade=ordinal:low<mid<high
    constrain
        Tables: what every generated row obeys (repeatable): --constrain "start <= end"
            --constrain "a + b == c" --constrain "0 <= x <= 10"
    functions
        Tables: compute (the default) columns that others determine, or learn them like others.
    set_
        Any setting of config.json: --set net.width=128 (repeatable).
    from_
        A finished run to start from: its net, its space where fitted, its weights.
    seed
        Same seed, same run.
    device
        auto, cpu, cuda, cuda:1, mps.
    precision
        auto (measured), float32, bfloat16.
    memory
        The most that the run may hold, 8GB say: batches come in pieces, and blocks are computed
            twice, where that is needed.
    resume
        Go on from the newest checkpoint in the run folder.
    overwrite
        Replace the run in the folder.
    nproc
        So many processes on this machine share every batch, as with torchrun.
    dry_run
        Print the plan and stop before training; nothing is written.
    json
        One JSON object on standard output.
    """
    from unfog.cli.launch import inside, launch

    if out is None and not dry_run:
        raise ArgumentError("fit needs a folder for the run: --out RUN (or --dry-run for the plan)")
    if nproc != 1 and not inside():
        launch(line.get(), nproc)
        return None
    from unfog.tasks.config import setting
    from unfog.tasks.fit import fit as learn

    asked = {
        "size": size,
        "resize": resize,
        "part": part,
        "metadata": _whole(metadata),
        "key": key,
        "layout": layout,
        "angle": angle,
        "periodic": periodic,
        "strict": strict or None,
        "types": pairs(types) if types else None,
        "constraints": constrain or None,
        "functions": functions,
    }
    settings = dict(setting(text) for text in set_ or [])
    if augment is not None:
        settings["train.augment"] = augment
    if stop_at is not None:
        settings["train.stop_at"] = stop_at
    if snapshots is not None:
        settings["train.snapshots"] = snapshots
    model = learn(
        source,
        out=out,
        kind=kind,
        given=[name for text in given or [] for name in text.split(",") if name],
        recipe=recipe,
        budget=budget,
        steps=steps,
        batch=batch,
        lr=lr,
        settings=settings,
        reading={name: value for name, value in asked.items() if value is not None},
        seed=seed,
        start=from_,
        device=device,
        precision=precision,
        memory=memory,
        resume=resume,
        overwrite=overwrite,
        dry_run=dry_run,
        spent=time.monotonic() - BEGUN,
        quiet=json and dry_run,
    )
    return learnt(model, out, dry_run, json)


def _whole(path: str | None) -> str | None:
    """A path on disk made absolute, so that resuming elsewhere finds it; else as it is."""
    return str(Path(path).resolve()) if path is not None and Path(path).exists() else path


@app.command
def sample(
    run: Path,
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    count: Annotated[int, Parameter(name=["--count", "-n"])] = 16,
    given: Many = None,
    scale: float | None = None,
    autoguidance: float | None = None,
    interval: tuple[float, float] | None = None,
    steps: int | None = None,
    solver: str | None = None,
    grid: str | None = None,
    eta: float | None = None,
    corrector: str | None = None,
    reveal: str | None = None,
    tol: float | None = None,
    nfe: int | None = None,
    budget: str | None = None,
    anytime: Flag = False,
    seed: int = 0,
    batch: int | None = None,
    shard: str | None = None,
    candidates: int | None = None,
    constrain: Many = None,
    novelty: Flag = False,
    overwrite: Flag = False,
    precision: str | None = None,
    device: str = "auto",
    json: Json = False,
) -> dict[str, Any] | None:
    """Draw samples from a run.

    Example: unfog sample runs/photos -n 64 -o cats --given label=cat --scale 2

    Parameters
    ----------
    run
        A run folder.
    out
        A folder of PNGs, or a file .npz or .npy.
    count
        How many.
    given
        What to condition on (repeatable): label=cat, label=cat|dog, age=30..40, income>=50000,
            mean(income)=41000; label=* gives every class in turn. Columns of a table need not have
            been named in fit.
    scale
        Guidance: 1 leaves the conditional model unchanged.
    autoguidance
        Guidance away from an early state of the model, where the run stored one: 1 switches it off
            and asks the net half as often. A --scale takes its place, unless both are given.
    interval
        LOW HIGH: times between which autoguidance acts, 0 = data and 1 = noise; 0 1 for all.
    steps
        Sampling steps.
    solver
        See `unfog solvers`; options after a colon: --solver unipc:order=4
    grid
        See `unfog grids`; churn and restart are grids: --grid restart:low=0.1,high=1
    eta
        Share of fresh noise, 0 deterministic, 1 ancestral.
    corrector
        See `unfog correctors`; none switches the run's own off.
    reveal
        In which order masked categories are revealed; see `unfog reveals`.
    tol
        In place of --steps and --solver: the error to expect at most, 0.02 say. With --solver
            dormand_prince, or where no measured way is as fine: error of a step of its own length.
    nfe
        At most so many calls of the net a sample: solver and steps are picked by measured error.
    budget
        At most so much time for all samples: 50ms, 2s; solver, steps and batch are picked.
    anytime
        Draw with 2, 4, 8, ... calls, each answer replacing the last in OUT, until they settle or
            Ctrl-C, which keeps the last whole one.
    seed
        Sample i depends on seed and i only.
    batch
        How many at once; changes speed, not samples.
    shard
        i/n: only shard i, counted from 0, of n, into a folder of its own in OUT; one that is there
            is skipped.
    candidates
        Tries per row where conditions need weights; as many as they are worth where left out.
    constrain
        Tables: what every row obeys besides what the run declares (repeatable): "a <= b"
    novelty
        Name the nearest training item of every sample, and how unusual that nearness is, in
        OUT.novelty.csv.
    overwrite
        Replace what is in OUT.
    precision
        float32 or bfloat16: what the net computes in; bfloat16 is about twice as quick where the
            processor has it. The run's own by default, float32 where this machine is slow in it.
    device
        auto, cpu, cuda, mps.
    json
        One JSON object on standard output.
    """
    from unfog.cli.asking import conditions
    from unfog.tasks.load import load

    if shard is not None and overwrite:
        raise ArgumentError("a finished shard is never replaced; leave --overwrite out")
    if shard is not None and novelty:
        raise ArgumentError("novelty is of whole draws; leave --shard or --novelty out")
    if shard is None and out.exists() and not overwrite and (out.is_file() or any(out.iterdir())):
        raise ArgumentError(f"{out} is there already; add --overwrite or name another")
    model = load(run, device=device)
    choices: dict[str, Any] = {
        "precision": precision,
        "given": conditions(model, given or [], count),
        "scale": scale,
        "autoguidance": autoguidance,
        "interval": interval,
        "steps": steps,
        "solver": solver,
        "grid": grid,
        "eta": eta,
        "corrector": corrector,
        "reveal": reveal,
        "tol": tol,
        "nfe": nfe,
        "budget": budget,
        "seed": seed,
        "batch": batch,
        "constraints": constrain or None,
    }
    if anytime:
        from unfog.cli.tuning import improving

        return improving(model, out, count, choices, overwrite, json, shard or novelty)
    if shard is not None:
        from unfog.tasks.pick import resolve
        from unfog.tasks.shards import draw_shard, parse_part

        if budget is not None:
            raise ArgumentError("a budget is for all samples; of shards take --nfe or --steps")
        choices, _ = resolve(model, count, choices)

        part, parts = parse_part(shard)
        done = draw_shard(model, out, count, part, parts, **choices)
        facts = {"out": str(done.folder), "first": done.first, "count": done.count}
        if json:
            return {**facts, "seed": seed, "sha256": done.sha256, "found": done.found}
        there = " already" if done.found else ""
        last = done.first + done.count - 1
        print(f"samples {done.first} to {last} are in {done.folder}{there}", file=sys.stderr)
        return None
    if budget is None and candidates is None and not novelty:
        from unfog.tasks.pour import poured, pours

        if pours(model, out, count, choices["given"]):
            file = poured(model, out, count, choices, overwrite=overwrite)
            return file.told(seed, json)
    samples = model.sample(count, candidates=candidates, **choices)
    where = samples.save(out, overwrite=overwrite)
    facts = {"out": str(where), "count": len(samples), "seed": seed}
    if samples.pick is not None:
        facts |= samples.pick.facts()
        print(samples.pick, file=sys.stderr)
    elif tol is not None:
        said = "steps of their own length by dormand_prince, error of each at most"
        print(f"{said} {tol:g}", file=sys.stderr)
    if samples.met is not None:
        facts |= samples.met.facts()
        print("\n".join(samples.met.lines()), file=sys.stderr)
    if samples.kept is not None:
        facts["kept"] = samples.kept.facts()
        print(samples.kept, file=sys.stderr)
    if novelty:
        told = samples.novelty
        page = told.save(out.parent / f"{out.stem}.novelty.csv", overwrite=overwrite)
        facts |= {"novelty": str(page), "copied": int(told.copied.sum())}
        print(told, file=sys.stderr)
    if json:
        return facts
    print(f"{len(samples)} samples in {where}", file=sys.stderr)
    return None


def pairs(texts: list[str]) -> dict[str, str]:
    """name=value pairs, several separated by commas."""
    found = {}
    for text in [one for many in texts for one in many.split(",") if one]:
        name, equals, value = text.partition("=")
        if not equals or not value:
            raise ArgumentError(f"--types takes column=role, for example age=integer; got {text!r}")
        found[name] = value
    return found
