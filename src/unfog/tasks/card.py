"""The model card of a run: what it learnt from, how, and what it is good for."""

from __future__ import annotations

import pathlib

from unfog.kinds.splits import PARTS, Splits
from unfog.model import files
from unfog.tasks.config import Config


def write_card(folder: pathlib.Path, config: Config, splits: Splits, spent: float) -> None:
    """Write README.md, filled from the run."""
    data, t = config.data, config.train
    given = ", ".join(config.given) or "nothing"
    notes = [*data.notes, *config.reasons] or ["none"]
    parts = ", ".join(f"{part} {len(getattr(splits, part))}" for part in PARTS)
    device = f"{spent:.0f} s on {config.device}"
    facts = {
        "data": f"{data.source or 'in memory'}; {parts}; {splits.duplicates} exact duplicates",
        "recipe": f"{config.recipe}: path {config.path['name']}, target {config.target['name']}",
        "net": f"{config.net['name']} in the {config.space['name']} space {tuple(config.shape)}",
        "training": f"{t.steps} steps of {t.batch}, {t.precision}, {device}",
        "sampling": f"{config.solver['name']}, {config.sampling_steps} steps, eta {config.eta}",
        "guidance scale": config.scale,
        "seed": config.seed,
    }
    lines = [
        f"# {folder.name}",
        "",
        f"A generative model of {data.count} items of kind {config.kind},",
        f"shape {tuple(data.item)}, given {given}. Made by unfog {config.version}.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in facts.items()),
        "",
        "```",
        f"unfog sample {folder.name} -n 16 -o samples",
        f"unfog evaluate {folder.name}",
        f"unfog report {folder.name}",
        "```",
        "",
        "Notes",
        "",
        *(f"* {note}" for note in notes),
        "",
        "Whether samples copy training items is measured by `unfog evaluate` (novelty); it is not",
        "claimed here. The model knows only what its data holds, with its gaps and its biases.",
        "",
    ]
    text = "\n".join(lines)
    files.write_bytes(folder / "README.md", text.encode())
