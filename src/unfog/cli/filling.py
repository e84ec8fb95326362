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
    steps: int | None = None,
    unknown: str = "refuse",
    given: Many = None,
    candidates: int | None = None,
    seed: int = 0,
    batch: int | None = None,
    overwrite: Flag = False,
    device: str = "auto",
    json: Json = False,
) -> dict[str, Any] | None:
    """Draw the empty cells of a table, given the known ones.

    Example: unfog fill runs/customers customers.csv -o filled.csv --draws 20

    Parameters
    ----------
    run
        A run folder of a table.
    source
        A table with empty cells, with the columns that the run learnt, in any order.
    out
        A file .csv, .tsv or .parquet. Of several draws one below the other, with a column `draw`.
    draws
        How many times; each is a sample of what the cells may be.
    steps
        Sampling steps.
    unknown
        Levels that the run has not seen: refuse, or as-missing, which draws known ones instead.
    given
        What drawn cells are to be (repeatable): label=cat, label=cat|dog, age=30..40,
            income>=50000. Known cells stay.
    candidates
        Tries per row where conditions need weights; as many as they are worth where left out.
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

    if out.exists() and not overwrite:
        raise ArgumentError(f"{out} is there already; add --overwrite or name another")
    model = load(run, device=device)
    filled = model.fill(
        source,
        draws=draws,
        steps=steps,
        unknown=unknown,
        given=conditions(model, given or [], 0),
        candidates=candidates,
        seed=seed,
        batch=batch,
    )
    where = filled.save(out, overwrite=overwrite)
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
