"""The command-line app and the types its verbs share."""

from __future__ import annotations

import os
import sys
import time
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from unfog.version import __version__

BEGUN = time.monotonic()
"""When this process came to life, near enough: a budget is counted from here."""

app = App(
    name="unfog",
    help="Diffusion and flow matching on any data: fit, sample, judge.",
    version=__version__,
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,  # `run` says so and keeps the exit code
)

line: ContextVar[list[str]] = ContextVar("line")
"""The command line that is being run: more processes are started with the same one."""

Json = Annotated[bool, Parameter(name="--json", negative="")]
Flag = Annotated[bool, Parameter(negative="")]
Many = Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)]


def learnt(model: Any, out: Path | None, dry_run: bool, json: bool) -> dict[str, Any] | None:
    """What a verb that learns says at its end; with `dry_run` the model is the plan's facts."""
    if int(os.environ.get("RANK", "0")) > 0:
        return None  # one process reports for all
    if dry_run:
        return {"plan": model} if json else None
    if json:
        return {"run": str(model.folder), "config": model.config.to_json()}
    print(f"done: {out}    next: unfog sample {out} -n 16 -o samples", file=sys.stderr)
    return None


def usage() -> type[Exception]:
    """What a wrong command line raises."""
    from cyclopts import CycloptsError

    return CycloptsError
