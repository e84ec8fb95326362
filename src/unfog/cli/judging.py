"""Verbs that look: evaluate, score, report, inspect, demo."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from unfog.cli.app import Flag, Json, Many, app
from unfog.cli.verbs import pairs


@app.command
def evaluate(
    run: Path,
    source: str | None = None,
    /,
    *,
    count: Annotated[int | None, Parameter(name=["--count", "-n"])] = None,
    scale: float | None = None,
    steps: int | None = None,
    solver: str | None = None,
    part: str | None = None,
    baselines: bool = True,
    seed: int = 0,
    device: str = "auto",
    json: Json = False,
) -> dict[str, Any] | None:
    """Judge samples of a run against held-out data.

    Example: unfog evaluate runs/photos heldout/ -n 2000 --json

    Parameters
    ----------
    run
        A run folder.
    source
        Held-out data; the run's own test split where left out.
    count
        How many samples; as many as are held out, at most 2000, where left out.
    scale
        Guidance scale of the samples.
    steps
        Sampling steps.
    solver
        See `unfog solvers`.
    part
        Images: which of SOURCE's train, validation and test folders to read.
    baselines
        Judge generators that cost nothing beside the model (see `unfog baselines`).
    seed
        Seed of samples and judge.
    device
        auto, cpu, cuda, mps.
    json
        One JSON object on standard output.
    """
    from unfog.tasks.evaluate import evaluate as judge
    from unfog.tasks.load import load

    result = judge(
        load(run, device=device),
        source,
        count=count,
        scale=scale,
        steps=steps,
        solver=solver,
        part=part,
        baselines=baselines,
        seed=seed,
    )
    if json:
        return result.to_json()
    print(result)
    return None


@app.command
def score(
    run: Path,
    source: str | None = None,
    /,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    detector: str | None = None,
    draws: int = 8,
    seed: int = 0,
    overwrite: Flag = False,
    device: str = "auto",
    json: Json = False,
) -> dict[str, Any] | None:
    """Say how strange rows are, with p-values and the columns that make them so.

    Example: unfog score runs/orders new.csv -o scores.csv

    Parameters
    ----------
    run
        A run folder of a table, or of an array of vectors.
    source
        The rows to score, with the run's columns; where left out, the run's own.
    out
        A .csv, .tsv or .parquet; where left out, only the summary is printed.
    detector
        See `unfog detectors`.
    draws
        Noisings of a row at each noise level.
    seed
        Seed of the noise.
    overwrite
        Replace the file.
    device
        auto, cpu, cuda, mps.
    json
        One JSON object on standard output.
    """
    from unfog.tasks.load import load
    from unfog.tasks.score import score as judge

    found = judge(load(run, device=device), source, detector=detector, draws=draws, seed=seed)
    if out is not None:
        found.save(out, overwrite=overwrite)
    if json:
        return {**found.to_json(), "out": None if out is None else str(out)}
    print(found)
    return None


@app.command
def report(
    run: Path,
    /,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    fresh: Flag = False,
    seed: int = 0,
    device: str = "auto",
    json: Json = False,
) -> dict[str, Any] | None:
    """Write one self-contained HTML report of a run.

    Example: unfog report runs/photos

    Parameters
    ----------
    run
        A run folder.
    out
        The HTML file; RUN/report.html where left out.
    fresh
        Judge anew, even if the run was judged before.
    seed
        Seed of the samples shown.
    device
        auto, cpu, cuda, mps.
    json
        One JSON object on standard output.
    """
    from unfog.tasks.load import load
    from unfog.tasks.report import report as write

    page = write(load(run, device=device), out, seed=seed, fresh=fresh)
    if json:
        return {"report": str(page)}
    print(page)
    return None


@app.command
def inspect(
    source: str,
    /,
    *,
    kind: str | None = None,
    size: int | None = None,
    part: str | None = None,
    key: str | None = None,
    layout: str | None = None,
    types: Many = None,
    json: Json = False,
) -> dict[str, Any] | None:
    """Say what a source or a run folder is.

    Example: unfog inspect photos/

    Parameters
    ----------
    source
        Data, or a run folder.
    kind
        What the data is; told from the source where left out.
    size
        Images: bring all to this side.
    part
        Images: which of the source's train, validation and test folders to read.
    key
        .npz: which array in it is the data.
    layout
        Arrays: the axes by letters, N first.
    types
        Tables: what columns are, --types zip=category
    json
        One JSON object on standard output.
    """
    from unfog.tasks.inspect import inspect as look
    from unfog.tasks.inspect import told
    from unfog.tasks.show import table

    asked: dict[str, Any] = {"size": size, "part": part, "key": key, "layout": layout}
    asked["types"] = pairs(types) if types else None
    reading = {name: value for name, value in asked.items() if value is not None}
    facts = look(source, kind=kind, reading=reading)
    if json:
        return facts
    table((f"{facts['what']}:", "value"), told(facts), sys.stdout)
    for text in [*facts.get("notes", []), *facts["advice"]]:
        print(f"* {text}")
    return None


@app.command
def demo(
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path("demo"),
    budget: str = "40s",
    json: Json = False,
) -> dict[str, Any] | None:
    """Run the main job on handwritten digits: learn, sample, judge, report.

    Example: unfog demo -o demo

    Parameters
    ----------
    out
        Where the data, the run and the pictures go.
    budget
        Time to learn.
    json
        One JSON object on standard output.
    """
    from unfog.tasks.demo import demo as show

    facts = show(out, budget=budget)
    return facts if json else None
