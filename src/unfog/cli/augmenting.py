"""The verb that completes a table: augment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from unfog.cli.app import Flag, Json, Many, app
from unfog.errors import ArgumentError


@app.command
def augment(
    run: Path,
    table: str,
    /,
    *,
    target: str,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    ratio: float = 1.0,
    classes: Many = None,
    whole: Flag = False,
    mark: str | None = None,
    judge: Flag = False,
    budget: str | None = None,
    steps: int | None = None,
    seeds: int = 5,
    folds: int = 3,
    overwrite: Flag = False,
    seed: int = 0,
    device: str = "auto",
    json: Json = False,
) -> dict[str, Any] | None:
    """Draw new rows for the rare classes of TABLE, or measure whether that helps.

    Example: unfog augment runs/churn churn.csv --target Churn -o more.csv --judge

    Parameters
    ----------
    run
        A run folder of a table, fitted with --given TARGET.
    table
        The table that is augmented: .csv, .tsv or .parquet.
    target
        The column that something is to be learnt about.
    out
        Where the new rows go: .csv, .tsv, .parquet or a folder.
    ratio
        Rare classes get as many rows as bring them to RATIO times the commonest class; with
        --whole, so many new rows per real one.
    classes
        The classes that get rows: --classes yes,maybe; all rarer ones where left out.
    whole
        Rows of all kinds, in the table's own proportions; for targets of any type.
    mark
        Write the real rows too, and a column of this name that is true for the new ones.
    judge
        Measure the gain by nested cross-validation; the model is learnt anew in every fold.
    budget
        Time to learn in every fold when judging: 10s (the default), 1m.
    steps
        So many updates in every fold instead of a budget.
    seeds
        How often the folds are dealt when judging.
    folds
        Parts that are tested on in turn.
    overwrite
        Replace what is in OUT.
    seed
        Seed of the rows, and of the folds.
    device
        auto, cpu, cuda, mps.
    json
        One JSON object on standard output.
    """
    if out is None and not judge:
        raise ArgumentError(
            "augment needs a place for the new rows: --out ROWS.csv (or --judge to measure only)"
        )
    if mark is not None and out is None:
        raise ArgumentError("--mark is about what is written; add --out, or leave it out")
    if not judge and (budget is not None or steps is not None):
        raise ArgumentError(
            "--budget and --steps are for the models that --judge learns in every fold; add "
            "--judge, or leave them out"
        )
    if out is not None and out.is_file() and not overwrite:
        raise ArgumentError(f"{out} is there already; add --overwrite or name another")
    from unfog.tasks.augment import augment as complete
    from unfog.tasks.load import load

    model = load(run, device=device)
    chosen = [name for text in classes or [] for name in text.split(",") if name] or None
    facts: dict[str, Any] = {}
    if out is not None:
        done = complete(
            model, table, target=target, ratio=ratio, classes=chosen, whole=whole, seed=seed
        )
        where = done.save(out, mark=mark, overwrite=overwrite)
        added = {str(value): count for value, count in done.added.items()}
        facts = {"out": str(where), "count": len(done), "added": added, "notes": list(done.notes)}
        for text in done.notes:
            print(f"note: {text}", file=sys.stderr)
        print(f"{len(done)} new rows in {where}", file=sys.stderr)
    if judge:
        from unfog.judge.table.advice import facts as measured
        from unfog.judge.table.advice import told
        from unfog.tasks.gain import judge_gain

        gain = judge_gain(
            model,
            table,
            target=target,
            ratio=ratio,
            classes=chosen,
            whole=whole,
            budget=budget,
            steps=steps,
            seeds=seeds,
            folds=folds,
            seed=seed,
        )
        facts["gain"] = measured(gain)
        if not json:
            print(told(gain))
    return facts if json else None
