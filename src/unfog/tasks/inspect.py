"""What is this? A source, or a run folder, in a few facts."""

from __future__ import annotations

import pathlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from unfog.kinds import kinds
from unfog.kinds.given import guess
from unfog.kinds.infer import infer
from unfog.kinds.splits import split
from unfog.tasks.config import Config
from unfog.train import checkpoint
from unfog.train.log import read as read_log

FEW = 1000


def inspect(
    source: Any, *, kind: str | None = None, reading: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Facts about a source or a run folder, as one JSON-able dict with a list of plain `advice`."""
    if isinstance(source, (str, pathlib.Path)) and (pathlib.Path(source) / "config.json").is_file():
        return _run(pathlib.Path(source))
    name = infer(source, kind)
    items = kinds[name].read(source, **dict(reading or {}))
    parts = split(items, seed=0)
    columns = {key: _column(values) for key, values in items.columns.items()}
    return {
        "what": "data",
        "kind": name,
        "count": len(items),
        "item": list(items.data.shape[1:]),
        "dtype": str(items.data.dtype),
        "range": [float(np.nanmin(items.data)), float(np.nanmax(items.data))],
        "memory_mb": round(items.data.nbytes / 1e6, 1),
        "columns": columns,
        "duplicates": parts.duplicates,
        "splits": {part: len(getattr(parts, part)) for part in ("train", "validation", "test")},
        "fingerprint": items.fingerprint(),
        "notes": items.notes,
        "advice": _advice(len(items), parts.duplicates, columns),
    }


def _column(values: Any) -> dict[str, Any]:
    kind = guess(values)
    plain = (
        [v.item() if isinstance(v, np.generic) else v for v in values] if kind != "tensor" else []
    )
    absent = sum(v is None or (isinstance(v, float) and np.isnan(v)) for v in plain)
    facts: dict[str, Any] = {"type": kind, "missing": absent}
    if kind == "class":
        counts = Counter(str(v) for v in plain if v is not None)
        facts["classes"] = dict(counts.most_common(50))
        facts["distinct"] = len(counts)
    return facts


def _advice(count: int, duplicates: int, columns: dict[str, Any]) -> list[str]:
    advice = []
    if count < FEW:
        advice.append(
            f"{count} items are few: a model will copy them rather than generalise; read the "
            "measured novelty"
        )
    if duplicates:
        advice.append(
            f"{duplicates} items repeat another exactly; they are kept on one side of every split"
        )
    for name, facts in columns.items():
        sizes = list(facts.get("classes", {}).values())
        if len(sizes) > 1 and max(sizes) > 10 * min(sizes):
            advice.append(f"{name} is imbalanced: from {min(sizes)} to {max(sizes)} items a class")
        if facts["missing"]:
            advice.append(
                f"{name} is missing for {facts['missing']} items; they train as unconditional"
            )
        if facts["type"] in ("class", "number", "text"):
            advice.append(f"condition on it with --given {name}")
    return advice


def _run(folder: pathlib.Path) -> dict[str, Any]:
    from unfog.model.files import MANIFEST
    from unfog.tasks.runfolder import check, read_config

    config: Config = read_config(folder)
    whole = (folder / MANIFEST).exists()
    if whole:
        check(folder)
    lines = read_log(folder / "metrics.jsonl")
    return {
        "what": "run",
        "kind": config.kind,
        "finished": whole,
        "given": config.given,
        "recipe": config.recipe,
        "item": config.data.item,
        "net": config.net["name"],
        "space": config.space["name"],
        "steps": config.train.steps,
        "step": lines[-1]["step"] if lines else 0,
        "loss": lines[-1]["loss"] if lines else None,
        "checkpoints": [found.step for found in checkpoint.found(folder)],
        "source": config.data.source,
        "version": config.version,
        "advice": [] if whole else [f"not finished: unfog fit -o {folder} --resume"],
    }
