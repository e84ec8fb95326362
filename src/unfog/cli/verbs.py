"""One function per verb. Nothing heavy is imported until a verb runs, so that --help answers at
once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from unfog.version import __version__

app = App(
    name="unfog",
    help="Diffusion and flow matching on any data: fit, sample, judge.",
    version=__version__,
    version_flags=["--version"],
)

Json = Annotated[bool, Parameter(name="--json", negative="")]
Flag = Annotated[bool, Parameter(negative="")]
Many = Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)]


def usage() -> type[Exception]:
    """What a wrong command line raises."""
    from cyclopts import CycloptsError

    return CycloptsError


@app.command
def fit(
    source: str | None = None,
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    kind: str | None = None,
    given: Many = None,
    recipe: str = "flow",
    budget: str | None = None,
    steps: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    size: int | None = None,
    part: str | None = None,
    key: str | None = None,
    strict: Flag = False,
    set_: Annotated[
        list[str] | None, Parameter(name="--set", negative="", consume_multiple=False)
    ] = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    resume: Flag = False,
    overwrite: Flag = False,
    json: Json = False,
) -> dict[str, Any] | None:
    """Learn a model of SOURCE into a run folder.

    Example: unfog fit photos/ -o runs/photos --given label --budget 10m

    Parameters
    ----------
    source
        A folder, .zip, .npz or .npy; may be left out with --resume.
    out
        The run folder.
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
    part
        Images: which of the source's train, validation and test folders to read; train where left
            out.
    key
        .npz: which array in it is the data.
    strict
        Refuse the source if any file in it is damaged.
    set_
        Any setting of config.json: --set net.width=128 (repeatable).
    seed
        Same seed, same run.
    device
        auto, cpu, cuda, cuda:1, mps.
    precision
        auto (measured), float32, bfloat16.
    resume
        Go on from the newest checkpoint in the run folder.
    overwrite
        Replace the run in the folder.
    json
        One JSON object on standard output.
    """
    from unfog.tasks.config import setting
    from unfog.tasks.fit import fit as learn

    reading: dict[str, Any] = {}
    if size is not None:
        reading["size"] = size
    if part is not None:
        reading["part"] = part
    if key is not None:
        reading["key"] = key
    if strict:
        reading["strict"] = True
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
        settings=dict(setting(text) for text in set_ or []),
        reading=reading,
        seed=seed,
        device=device,
        precision=precision,
        resume=resume,
        overwrite=overwrite,
    )
    if json:
        return {"run": str(model.folder), "config": model.config.to_json()}
    print(f"done: {out}    next: unfog sample {out} -n 16 -o samples", file=sys.stderr)
    return None


@app.command
def sample(
    run: Path,
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    count: Annotated[int, Parameter(name=["--count", "-n"])] = 16,
    given: Many = None,
    scale: float | None = None,
    steps: int | None = None,
    solver: str | None = None,
    grid: str | None = None,
    eta: float | None = None,
    seed: int = 0,
    batch: int | None = None,
    overwrite: Flag = False,
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
        What to condition on: --given label=cat (repeatable); label=* gives every class in turn.
    scale
        Guidance: 1 leaves the conditional model unchanged.
    steps
        Sampling steps.
    solver
        See `unfog solvers`.
    grid
        See `unfog grids`.
    eta
        Share of fresh noise, 0 deterministic, 1 ancestral.
    seed
        Sample i depends on seed and i only.
    batch
        How many at once; changes speed, not samples.
    overwrite
        Replace what is in OUT.
    device
        auto, cpu, cuda, mps.
    json
        One JSON object on standard output.
    """
    from unfog.errors import ArgumentError
    from unfog.tasks.load import load

    if out.exists() and not overwrite and (out.is_file() or any(out.iterdir())):
        raise ArgumentError(f"{out} is there already; add --overwrite or name another")
    model = load(run, device=device)
    asked = _given(model, given or [], count)
    samples = model.sample(
        count,
        given=asked,
        scale=scale,
        steps=steps,
        solver=solver,
        grid=grid,
        eta=eta,
        seed=seed,
        batch=batch,
    )
    where = samples.save(out, overwrite=overwrite)
    if json:
        return {"out": str(where), "count": len(samples), "seed": seed}
    print(f"{len(samples)} samples in {where}", file=sys.stderr)
    return None


def _given(model: Any, texts: list[str], count: int) -> dict[str, Any] | None:
    """--given key=value, values as the model knows them; label=* runs through all classes."""
    from unfog.errors import ArgumentError
    from unfog.kinds.given import resolve

    asked: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise ArgumentError(f"--given takes name=value, for example label=cat; got {text!r}")
        if key in asked:
            raise ArgumentError(
                f"--given {key} is there twice; give one value, or name=* for all classes"
            )
        name = resolve(key, model.borders.given.fields)
        spec = model.borders.given.specs[name]
        if value == "*":
            if spec["type"] != "class":
                raise ArgumentError(
                    f"{name}=* runs through classes, and {name!r} is a {spec['type']}"
                )
            import torch

            codes = torch.arange(count) % spec["size"]
            asked[name] = model.borders.given.decode({name: codes})[name]
        elif spec["type"] in ("number", "tensor"):
            asked[name] = _number(name, value)
        else:
            asked[name] = value
    return asked or None


def _number(name: str, value: str) -> Any:
    import json

    from unfog.errors import ArgumentError

    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise ArgumentError(
            f"{name} takes a number or a JSON list of numbers; got {value!r}"
        ) from error


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
        seed=seed,
    )
    if json:
        return result.to_json()
    print(result)
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
    json
        One JSON object on standard output.
    """
    from unfog.tasks.inspect import inspect as look

    facts = look(source, kind=kind, reading={} if size is None else {"size": size})
    if json:
        return facts
    for name, value in facts.items():
        if name not in ("advice", "notes"):
            print(f"{name:12} {value}")
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


def _registry(name: str, module: str) -> None:
    def rows(*, json: Json = False) -> dict[str, Any] | None:
        import importlib

        registry = getattr(importlib.import_module(module), name)
        table = [
            {
                "name": r.name,
                "aliases": list(r.aliases),
                "summary": r.summary,
                "reference": r.reference,
            }
            for r in registry
        ]
        if json:
            return {name: table}
        for row in table:
            also = f" (also {', '.join(row['aliases'])})" if row["aliases"] else ""
            print(f"{row['name']:18} {row['summary']}{also}")
            if row["reference"]:
                print(f"{'':18} {row['reference']}")
        return None

    rows.__doc__ = (
        f"List the {name}.\n\nExample: unfog {name} --json\n\n"
        "Parameters\n----------\njson\n    One JSON object on standard output."
    )
    app.command(rows, name=name, group="Registries")


for _name, _module in {
    "recipes": "unfog.tasks.recipes",
    "kinds": "unfog.kinds",
    "paths": "unfog.maths.paths",
    "targets": "unfog.maths.targets",
    "times": "unfog.maths.times",
    "weights": "unfog.maths.weights",
    "grids": "unfog.maths.grids",
    "couplings": "unfog.maths.couplings",
    "nets": "unfog.nets",
    "spaces": "unfog.model.spaces",
    "schedules": "unfog.train.schedule",
    "solvers": "unfog.sample.solvers",
    "guides": "unfog.guide.cfg",
    "metrics": "unfog.judge",
}.items():
    _registry(_name, _module)

app.register_install_completion_command(name="--install-completion")
