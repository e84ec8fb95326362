"""The model card of a run: what it learnt from, how, and what it is good for, with the metadata
that model hubs read.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any

from unfog.kinds.splits import PARTS, Splits
from unfog.model import files
from unfog.tasks.config import Config
from unfog.tasks.weaker import autoguided

PIPELINES = {"image": "unconditional-image-generation"}
"""Hugging Face's name of what a model of a kind does, where there is one."""


def write_card(
    folder: pathlib.Path,
    config: Config,
    splits: Splits,
    spent: float,
    judged: dict[str, Any] | None = None,
) -> None:
    """Write README.md, filled from the run.

    Args:
        spent: seconds of training.     judged: an evaluation as JSON; it fills the figures.
    """
    data, t = config.data, config.train
    given = ", ".join(config.given) or "nothing"
    notes = [*data.notes, *config.reasons] or ["none"]
    parts = ", ".join(f"{part} {len(getattr(splits, part))}" for part in PARTS)
    source = "in memory" if data.source is None else pathlib.PurePath(data.source).name
    device = f"{spent:.0f} s on {config.device}"
    facts = {
        "data": f"{source}; {parts}; {splits.duplicates} exact duplicates",
        "recipe": f"{config.recipe}: path {config.path['name']}, target {config.target['name']}",
        "net": f"{config.net['name']} in the {config.space['name']} space {tuple(config.shape)}",
        "training": f"{t.steps} steps of {t.batch}, {t.precision}, {device}",
        "sampling": f"{config.solver['name']}, {config.steps_said}, eta {config.eta}",
        "guidance scale": config.scale,
        "autoguidance": autoguided(config),
        "seed": config.seed,
    }
    lines = [
        *metadata(folder.name, config, judged),
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
        *_figures(judged),
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


def metadata(name: str, config: Config, judged: dict[str, Any] | None) -> list[str]:
    """YAML front matter in Hugging Face's model card format; every string is JSON, which is YAML.

    Ref: https://github.com/huggingface/hub-docs/blob/main/modelcard.md
    """
    tags = ["unfog", "diffusion", "flow-matching", config.kind, config.recipe]
    lines = ["---", "library_name: unfog", "license: unknown", f"tags: {json.dumps(tags)}"]
    if config.kind in PIPELINES:
        lines.append(f"pipeline_tag: {PIPELINES[config.kind]}")
    if judged is not None:
        source = config.data.source
        data = "in memory" if source is None else pathlib.PurePath(source).name
        pipeline = json.dumps(PIPELINES.get(config.kind, f"{config.kind}-generation"))
        lines += [
            "model-index:",
            f"- name: {json.dumps(name)}",
            "  results:",
            f"  - task: {{type: {pipeline}}}",
            f"    dataset: {{name: {json.dumps(data)}, type: {json.dumps(config.kind)}}}",
            "    metrics:",
        ]
        for figure in judged["figures"]:
            kept = {key: figure[key] for key in ("value", "name")}
            lines.append(f"    - {json.dumps({'type': figure['name'], **kept})}")
    return [*lines, "---", ""]


def _figures(judged: dict[str, Any] | None) -> list[str]:
    if judged is None:
        return ["Not judged yet: `unfog evaluate`.", ""]
    rows = [
        f"| {f['name']} | {f['value']:.3g} ({f['low']:.3g} to {f['high']:.3g}) "
        f"| {f['floor']:.3g} ({f['floor_low']:.3g} to {f['floor_high']:.3g}) |"
        for f in judged["figures"]
    ]
    head = ["| figure | samples | real data against real data |", "|---|---|---|"]
    what = f"{judged['count']} samples against {judged['heldout']}; 95 % intervals."
    verdict = [judged["verdict"], ""] if judged.get("verdict") else []
    return [what, "", *head, *rows, "", *verdict]
