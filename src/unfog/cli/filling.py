"""Verbs that complete data: fill."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from unfog.cli.app import Flag, Json, Many, app
from unfog.errors import ArgumentError


@app.command
def fill(
    run: Path,
    source: str,
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    draws: int = 1,
    keep: str | None = None,
    mask: str | None = None,
    given: Many = None,
    steps: int | None = None,
    unknown: str | None = None,
    candidates: int | None = None,
    chances: Path | None = None,
    seed: int = 0,
    batch: int | None = None,
    overwrite: Flag = False,
    device: str = "auto",
    json: Json = False,
) -> dict[str, Any] | None:
    """Draw the empty cells of a table, or a part of images and arrays, given what is known.

    Example: unfog fill runs/customers customers.csv -o filled.csv --draws 20

    Parameters
    ----------
    run
        A run folder.
    source
        A table with empty cells, with the columns that the run learnt, in any order; or images or
            arrays, in which NaN is a hole.
    out
        A file .csv, .tsv or .parquet. Of several draws one below the other, with a column `draw`.
            Of images a folder, .png, .npz or .npy.
    draws
        How many times; each is a sample of what the cells may be.
    keep
        Images and arrays: what is known, as for `unfog edit`: left, center, checks:4, first:0.5, a
            file …
    mask
        Images and arrays: what is to be drawn, in the same words; the rest is kept.
    given
        What to condition on (repeatable): label=cat. Of tables what drawn cells are to be, also
            label=cat|dog, age=30..40, income>=50000; known cells stay.
    steps
        Sampling steps.
    unknown
        Tables: levels that the run has not seen: refuse (the default), or as-missing, which draws
            known ones instead.
    candidates
        Tables: tries per row where conditions need weights; left out, as many as they are worth.
    chances
        Tables: also write the chance of every level of every hole, to a .csv, .tsv or .parquet.
    seed
        A draw depends on seed, row and draw only.
    batch
        Rows at once; changes speed, not draws.
    overwrite
        Replace OUT.
    device
        auto, cpu, cuda, mps.
    json
        One JSON object on standard output.
    """
    from unfog.cli.asking import conditions
    from unfog.tasks.load import load
    from unfog.tasks.show import note

    for file in (out, chances):
        if file is not None and file.exists() and not overwrite:
            raise ArgumentError(f"{file} is there already; add --overwrite or name another")
    model = load(run, device=device)
    common: dict[str, Any] = {"draws": draws, "steps": steps, "seed": seed, "batch": batch}
    if model.config.kind != "table":
        from unfog.cli.editing import complete

        if unknown is not None or candidates is not None or chances is not None:
            raise ArgumentError(
                f"--unknown, --candidates and --chances are of tables, and {run} is of "
                f"{model.config.kind}s"
            )
        return complete(model, source, out, keep, mask, given, overwrite, json, common)
    if keep is not None or mask is not None:
        raise ArgumentError(
            "--keep and --mask are of images and arrays; of a table its empty cells are drawn"
        )
    filled = model.fill(
        source,
        unknown=unknown or "refuse",
        given=conditions(model, given or [], 0),
        candidates=candidates,
        chances=chances is not None,
        **common,
    )
    where = filled.save(out, overwrite=overwrite)
    if chances is not None:
        filled.save_chances(chances, overwrite=overwrite)
    facts = filled.facts()
    if json:
        return {"out": str(where), "seed": seed, **facts}
    for text in filled.notes:
        note(f"note: {text}")
    if filled.met is not None:
        print("\n".join(filled.met.lines()), file=sys.stderr)
    cells = sum(facts["holes"].values())
    print(
        f"{cells} cells in {facts['rows_with_holes']} of {facts['rows']} rows, drawn {draws} "
        f"time{'s' * (draws != 1)}, in {where}",
        file=sys.stderr,
    )
    return None
