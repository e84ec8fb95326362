"""The verb that chooses the length of the weights' average afterwards: ema."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from unfog.cli.app import Json, app


@app.command
def ema(run: Path, /, *, length: float, json: Json = False) -> dict[str, Any] | None:
    """Average the weights of a finished run over another length, from its snapshots.

    Example: unfog ema runs/photos --length 0.02

    Parameters
    ----------
    run
        A run folder, fitted with --snapshots.
    length
        Of the average, as a share of the training: 0.05 is the usual one.
    json
        One JSON object on standard output.
    """
    from unfog.tasks.load import load
    from unfog.tasks.posthoc import rewrite

    facts = rewrite(load(run, device="cpu"), length)
    if json:
        return facts
    far = 100 * facts["misfit"]
    print(
        f"{run}: weights averaged over {length} of the training (the profile is met within "
        f"{far:.2g} %)",
        file=sys.stderr,
    )
    return None
