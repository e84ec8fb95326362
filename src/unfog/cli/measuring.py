"""Verbs that measure densities: likelihood."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from unfog.cli.app import Flag, Json, app


@app.command
def likelihood(
    run: Path,
    source: str | None = None,
    /,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    count: Annotated[int | None, Parameter(name=["--count", "-n"])] = None,
    steps: int = 50,
    probes: int | None = None,
    draws: int = 1,
    bound: Flag = False,
    seed: int = 0,
    batch: int = 256,
    overwrite: Flag = False,
    device: str = "auto",
    json: Json = False,
) -> dict[str, Any] | None:
    """How likely a run holds items: log p in nats and bits a number.

    Example: unfog likelihood runs/clouds heldout.npy -o nats.csv

    Parameters
    ----------
    run
        A run folder of images or arrays.
    source
        Items; the run's own held-out ones where left out.
    out
        A CSV file with a line per item.
    count
        The first so many items.
    steps
        Runge-Kutta steps along the flow, four calls of the net each.
    probes
        Random probes of the flow's divergence; 0 = exact. Left out: exact up to 64 numbers an item,
        else one.
    draws
        Dequantisations of grey levels or whole numbers.
    bound
        Also the variational bound, and at which noise levels it loses.
    seed
        Seed of probes and noise.
    batch
        Items at a time; the result does not depend on it.
    overwrite
        Replace OUT.
    device
        auto, cpu, cuda, mps.
    json
        One JSON object on standard output.
    """
    from unfog.errors import ArgumentError
    from unfog.tasks.load import load

    if out is not None and out.exists() and not overwrite:
        raise ArgumentError(f"{out} is there already; name a new file or give --overwrite")
    found = load(run, device=device).likelihood(
        source,
        count=count,
        steps=steps,
        probes=probes,
        draws=draws,
        bound=bound,
        seed=seed,
        batch=batch,
    )
    if out is not None:
        found.save(out, overwrite=overwrite)
    if not json:
        print(found)
    told: dict[str, Any] = found.to_json()
    return told if json else None
