"""Verbs that explain: doctor."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import Any

from unfog.cli.app import Flag, Json, app


@app.command
def doctor(
    run: Path,
    source: str | None = None,
    /,
    *,
    strict: Flag = False,
    device: str = "auto",
    json: Json = False,
) -> dict[str, Any] | None:
    """Name what is wrong with a run, on what evidence, and how to mend it.

    Example: unfog doctor runs/photos

    Parameters
    ----------
    run
        A run folder; its data is read again from its source.
    source
        Further data that is meant for the model: is it on the same scale, and new?
    strict
        Exit with code 6 where a fault is found.
    device
        auto, cpu, cuda, mps.
    json
        One JSON object on standard output.
    """
    from unfog.errors import QualityError
    from unfog.tasks.doctor.diagnose import diagnose
    from unfog.tasks.load import load

    found = diagnose(load(run, device=device), source)
    told: dict[str, Any] = found.to_json()
    if not json:
        _show(found)
    if strict and not found.healthy:
        names = ", ".join(finding.name for finding in found.findings)
        if json:
            print(dumps(told, allow_nan=False))
        raise QualityError(f"{run} has {len(found.findings)} findings: {names}")
    return told if json else None


def _show(found: Any) -> None:
    """A table on a terminal, lines elsewhere."""
    if found.healthy or not sys.stdout.isatty():
        print(found)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table("fault", "evidence", "likely cause", "fix")
    for one in found.findings:
        cells = (one.name.replace("_", " "), one.evidence, one.cause, one.fix)
        drawn.add_row(*(Text(cell) for cell in cells))
    Console().print(drawn)
