"""The commands that make a run again, from its configuration alone."""

from __future__ import annotations

import json
import shlex
from typing import Any

from unfog.tasks.config import Config, TrainConfig
from unfog.tasks.recipes import recipes

NAMED = {"steps", "batch", "lr", "precision", "threads", "budget"}
"""Settings of the training that have an option of their own, or none at all."""
FOUND = {"fields", "shape", "given", "out_channels", "given_shape"}
"""Of a net: what the data says."""
PARTS = ("path", "target", "times", "weight", "coupling", "schedule", "grid", "solver", "corrector")


def ended(config: Config) -> bool:
    """Whether a watcher ended the run before it had done what it set out for."""
    return any(reason.startswith("stopped at step") for reason in config.reasons)


def again(config: Config, folder: str, *, steps: int | None = None) -> list[str]:
    """fit, sample, evaluate, as lines of a shell.

    `fit` names steps instead of the budget, so that it does the same updates whatever the machine's
    speed. A run with `--steps` comes out bit-equal on the same build of torch; one with a budget
    had its schedule moved on the way, and comes out alike. One that a watcher ended has to set
    out for as many steps as it did then, to be ended at the same one.

    Args:
        steps: that the run set out for, where that is not what it came to.
    """
    steps = config.train.steps if steps is None else steps
    words = ["unfog", "fit", config.data.source or "YOUR-DATA", "-o", f"{folder}-again"]
    words += ["--kind", config.kind]
    if config.given:
        words += ["--given", ",".join(config.given)]
    words += ["--recipe", config.recipe, "--steps", str(steps)]
    words += ["--batch", str(config.train.batch), "--lr", f"{config.train.lr:g}"]
    words += ["--precision", config.train.precision, "--seed", str(config.seed)]
    words += ["--device", config.device]
    words += _reading(config.data.reading)
    for key, value in settings(config).items():
        text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        words += ["--set", f"{key}={text}"]
    lead = f"OMP_NUM_THREADS={config.train.threads} " if config.device == "cpu" else ""
    return [
        lead + shlex.join(words),
        f"unfog sample {shlex.quote(folder)} -n 16 -o samples",
        f"unfog evaluate {shlex.quote(folder)}",
        f"unfog report {shlex.quote(folder)}",
    ]


def settings(config: Config) -> dict[str, Any]:
    """What --set has to say beside the recipe and the options of `fit`."""
    found: dict[str, Any] = {}
    recipe = recipes[config.recipe]
    plain = {"coupling": {"name": "independent"}}
    for part in PARTS:
        value = getattr(config, part)
        if value != getattr(recipe, part, plain.get(part)):
            found[part] = value
    for name, usual in (
        ("sampling_steps", recipe.sampling_steps),
        ("eta", recipe.eta),
        ("scale", 1.0),
        ("autoguidance", 1.0),
        ("interval", (0.0, 1.0)),
    ):
        if getattr(config, name) != usual:
            found[name] = getattr(config, name)
    if config.fields:  # a table's default has one
        found["plain"] = None if config.plain is None else config.plain.model_dump(mode="json")
    if config.space["name"] != "fields":
        found["space"] = config.space
    for key, value in config.net.items():
        if key not in FOUND:
            found[f"net.{key}"] = value
    for name, field in TrainConfig.model_fields.items():
        value = getattr(config.train, name)
        usual = recipe.train.get(name, field.default)
        if name not in NAMED and value != usual:
            found[f"train.{name}"] = value
    return found


def _reading(reading: dict[str, Any]) -> list[str]:
    words = []
    for name, value in reading.items():
        if name == "constraints":
            words += [word for text in value for word in ("--constrain", text)]
        elif value is True:
            words += [f"--{name}"]
        elif isinstance(value, dict):
            words += [f"--{name}", ",".join(f"{k}={v}" for k, v in value.items())]
        elif name == "size" and isinstance(value, (list, tuple)):
            words += ["--size", str(value[0])]
        elif isinstance(value, (list, tuple)):
            words += [f"--{name}", ",".join(map(str, value))]
        else:
            words += [f"--{name}", str(value)]
    return words
