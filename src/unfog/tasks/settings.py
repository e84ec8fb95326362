"""What `--set` takes: the choices of a run, and nothing that would be overruled or untrue."""

from __future__ import annotations

from collections.abc import Iterable

from unfog.errors import ArgumentError

OPTIONS = {
    "kind": "kind",
    "given": "given",
    "recipe": "recipe",
    "seed": "seed",
    "device": "device",
    "train.steps": "steps",
    "train.budget": "budget",
    "train.precision": "precision",
}
"""Settings that are said by an option of their own."""
FOUND = (
    "format",
    "version",
    "versions",
    "data",
    "shape",
    "fields",
    "sigma_data",
    "reasons",
    "plan",
    "start",
    "teacher",
    "reflow.pairs",
    "reflow.before",
    "reflow.after",
)
"""Parts of a configuration that are facts, with all that is in them."""

SAMPLED = {"sampling_steps", "solver", "grid"}
"""How all draws are made, once one of these is asked for, plain ones (`plain`) too."""


def check_settings(keys: Iterable[str], options: Iterable[str] = OPTIONS.values()) -> None:
    """Raises ArgumentError for a setting that is no choice, or has an option of its own.

    Args:
        options: those that there are.
    """
    there = set(options)
    for key in keys:
        option = OPTIONS.get(key)
        if option in there:
            raise ArgumentError(
                f"the setting {key!r} has an option of its own: say --{option} ({option}= in "
                "Python)"
            )
        if option is not None or any(key == f or key.startswith(f"{f}.") for f in FOUND):
            raise ArgumentError(f"{key!r} is no choice but found by the run; leave it out of --set")
