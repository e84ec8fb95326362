"""The plan as a table: one row per decision, with its reason."""

from __future__ import annotations

import sys
from typing import Any

from unfog.tasks.assemble import entries
from unfog.tasks.config import Config
from unfog.tasks.recipes import recipes
from unfog.tasks.show import table
from unfog.tasks.sizes import Size
from unfog.train.memory import size
from unfog.train.plan import span

MANY = 1000
"""Passes over the data from which a net is likely to copy it."""
FEW = 300
"""Updates below which a model has hardly begun to learn."""
_COMPILED = {"no": "not used", "kernels": "kernels for this net", "graphs": "kernels as one graph"}


def rows(
    config: Config, facts: dict[str, Any], why: dict[str, str], items: int
) -> list[dict[str, str]]:
    """What, choice and why of every decision of a planned configuration.

    Args:
        why: reasons of net, batch and steps, which only the planner knows.
        items: in the training split.
    """
    t, seconds = config.train, facts["seconds"]
    passes = t.steps * t.batch / items
    found: list[tuple[str, str, str]] = [
        ("net", _net(config, facts["parameters"]), why["net"]),
        ("space", _space(config), _space_why(config)),
        ("recipe", config.recipe, _summary(config.recipe)),
        ("batch", _batch(config, facts, items), why["batch"]),
        ("steps", f"{t.steps} ({passes:.3g} passes over the data)", why["steps"]),
        (
            "precision",
            t.precision,
            _precision(facts["tried"], "precision", entries(config)),
        ),
        (
            "threads",
            f"{t.threads} on {config.device}",
            facts["threads"] or _precision(facts["tried"], "threads", entries(config)),
        ),
        ("compiler", _COMPILED[t.compile], facts["compiler"]),
        (
            "step size",
            f"{config.schedule['name']} from {t.lr:g}",
            "reaches its floor at the last update, also when the steps are moved to end on time"
            if config.schedule["name"] != "constant"
            else "as the recipe has it",
        ),
        (
            "sampling",
            f"{config.solver['name']}, {config.steps_said}, "
            + (f"marginals from {t.calibrate} rows, " if t.calibrate else "")
            + config.sampling_precision,
            "the recipe's; --steps of `unfog sample` changes it",
        ),
        ("looks", facts["looking"]["said"], _looks(facts["looking"], config)),
        ("time", _time(seconds), _spent(seconds)),
        ("memory", _memory(facts), _free(facts)),
    ]
    return [{"what": what, "choice": choice, "why": why} for what, choice, why in found]


def _summary(recipe: str) -> str:
    return next(row.summary for row in recipes if recipe in (row.name, *row.aliases))


def warnings(config: Config, items: int) -> list[str]:
    """What a reader of the plan should think about before training."""
    t, found = config.train, []
    passes = t.steps * t.batch / items
    if t.budget is not None and t.steps < FEW:
        found.append(
            f"{t.steps} updates are few: give a longer --budget, fewer numbers an item, or a "
            "faster machine"
        )
    if passes > MANY and items < 50_000:
        found.append(
            f"{passes:.0f} passes over {items} items: the model is likely to copy them; read the "
            "measured novelty, or give a shorter --budget"
        )
    return found


def _batch(config: Config, facts: dict[str, Any], items: int) -> str:
    said = facts.get("arrangement", "")
    return f"{config.train.batch} of {items} training items" + (f", {said}" if said else "")


def _net(config: Config, parameters: int) -> str:
    named = [
        f"{k} {config.net[k]}" for k in ("width", "mult", "blocks", "depth") if k in config.net
    ]
    return f"{' '.join([config.net['name'], *named])}, {_count(parameters)} parameters"


def _count(number: int) -> str:
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:.3g} {name}"
    return str(number)


def _space(config: Config) -> str:
    return f"{config.space['name']}, {entries(config)} numbers an item"


def _space_why(config: Config) -> str:
    keeps = f"the {config.space['name']} space keeps"
    found = [text for text in config.reasons if text.startswith(keeps)]
    return found[0] if found else "nothing is lost"


def _precision(tried: list[dict[str, Any]], what: str, numbers: int) -> str:
    last = [one for one in tried if one["batch"] == tried[-1]["batch"]] if tried else []
    last = [one for one in last if one["size"] == tried[-1]["size"] and one["compiled"] == "no"]
    seen = {one[what]: one["seconds"] for one in last}
    if len(seen) > 1:
        return "measured: " + ", ".join(f"{k} {1000 * v:.3g} ms a step" for k, v in seen.items())
    return "not compared"


def _looks(looking: dict[str, Any], config: Config) -> str:
    if config.train.looks == 0:
        return "the run is too short, or none were asked for"
    took = "" if looking["seconds"] is None else f", about {span(looking['seconds'])}"
    kept = ""
    if config.train.snapshots:
        kept = f"; {config.train.snapshots} snapshots of two averages are stored"
    return f"{100 * looking['share']:.2g} % of the net's work{took}{kept}"


def _time(seconds: dict[str, Any]) -> str:
    if seconds["total"] is None:
        return "not measured"
    return f"{span(seconds['training'])} training, {span(seconds['total'])} in all"


def _spent(seconds: dict[str, Any]) -> str:
    return f"{span(seconds['reading'])} reading and {span(seconds['planning'])} planning included"


def _memory(facts: dict[str, Any]) -> str:
    inside = facts["device_bytes"]
    return f"{size(facts['peak_bytes'])} at its peak" + (
        "" if inside is None else f", {size(inside)} on the device"
    )


def _free(facts: dict[str, Any]) -> str:
    free = facts["available_bytes"]
    known = "how much is free is not known" if free is None else f"{size(free)} are free"
    if facts.get("limit") is not None:
        known = f"{size(facts['limit'])} are allowed; {known}"
    how = "by arithmetic" if facts["seconds_per_step"] is None else "measured in trial updates"
    return f"{how}; {known}"


def show_plan(facts: dict[str, Any], *, quiet: bool = False) -> None:
    """The table on standard error: drawn on a terminal, aligned lines in a pipe."""
    if quiet:
        return
    rows = [(row["what"], row["choice"], row["why"]) for row in facts["rows"]]
    table(("plan:", "choice", "why"), rows, sys.stderr)
    for text in facts["warnings"]:
        print(f"warning: {text}", file=sys.stderr, flush=True)


def reasons(config: Config, wishes: Any, why: str, chosen: Size) -> dict[str, str]:
    """Why this net, batch and number of steps; `wishes` are the plan's."""
    own = chosen.batch == config.train.batch
    return {
        "net": config.reasons[0] if wishes.net else f"{config.reasons[0]}; {why}",
        "batch": "as asked for"
        if wishes.batch
        else "the kind's default"
        if own
        else "the net's for few updates"
        if chosen.lr is not None
        else "smaller than the kind's default, for more updates",
        "steps": "what the time allows at the measured speed"
        if wishes.steps is None
        else "as asked for",
    }
