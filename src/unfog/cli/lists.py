"""One verb per registry: names, aliases, references."""

from __future__ import annotations

import importlib
from typing import Any

from unfog.cli.app import Json, app

REGISTRIES = {
    "recipes": "unfog.tasks.recipes",
    "kinds": "unfog.kinds",
    "paths": "unfog.maths.paths",
    "targets": "unfog.maths.targets",
    "times": "unfog.maths.times",
    "weights": "unfog.maths.weights",
    "grids": "unfog.maths.grids",
    "flowmaps": "unfog.maths.flowmaps",
    "couplings": "unfog.maths.couplings",
    "nets": "unfog.nets",
    "spaces": "unfog.model.spaces",
    "schedules": "unfog.train.schedule",
    "solvers": "unfog.sample.solvers",
    "correctors": "unfog.sample.correctors",
    "reveals": "unfog.sample.reveal",
    "guides": "unfog.guide",
    "operators": "unfog.guide",
    "metrics": "unfog.judge",
    "table_metrics": "unfog.judge",
    "baselines": "unfog.judge",
    "detectors": "unfog.judge.strange",
    "signs": "unfog.judge.doctor",
    "edits": "unfog.tasks.edit",
}


def _registry(name: str, module: str) -> None:
    def rows(*, json: Json = False) -> dict[str, Any] | None:
        registry = getattr(importlib.import_module(module), name)
        table = [
            {
                "name": r.name,
                "aliases": list(r.aliases),
                "summary": r.summary,
                "reference": r.reference,
            }
            for r in registry
        ]
        if json:
            return {name: table}
        for row in table:
            also = f" (also {', '.join(row['aliases'])})" if row["aliases"] else ""
            print(f"{row['name']:18} {row['summary']}{also}")
            if row["reference"]:
                print(f"{'':18} {row['reference']}")
        return None

    rows.__doc__ = (
        f"List the {name.replace('_', ' ')}.\n\nExample: unfog {name.replace('_', '-')} --json\n\n"
        "Parameters\n----------\njson\n    One JSON object on standard output."
    )
    app.command(rows, name=name.replace("_", "-"), group="Registries")


for _name, _module in REGISTRIES.items():
    _registry(_name, _module)

app.register_install_completion_command(name="--install-completion")
