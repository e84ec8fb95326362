"""The model card of a run: what it learnt from, how, and what it is good for."""

from __future__ import annotations

import pathlib

from unfog.kinds.splits import Splits
from unfog.model import files
from unfog.tasks.config import Config


def write_card(folder: pathlib.Path, config: Config, splits: Splits, spent: float) -> None:
    """Write README.md, filled from the run."""
    data, train = config.data, config.train
    given = ", ".join(config.given) or "nothing"
    notes = "\n".join(f"* {text}" for text in [*data.notes, *config.reasons]) or "* none"
    text = f"""# {folder.name}

A generative model of {data.count} items of kind {config.kind}, shape {tuple(data.item)}, given {given}.
Made by unfog {config.version}.

| | |
|---|---|
| data | {data.source or "in memory"}; train {len(splits.train)}, validation {len(splits.validation)}, test {len(splits.test)}; {splits.duplicates} exact duplicates kept on one side |
| recipe | {config.recipe}: path {config.path["name"]}, target {config.target["name"]}, times {config.times["name"]} |
| net | {config.net["name"]} in the {config.space["name"]} space {tuple(config.shape)} |
| training | {train.steps} steps of {train.batch}, {train.precision}, {spent:.0f} s on {config.device} |
| sampling | {config.solver["name"]}, {config.sampling_steps} steps, grid {config.grid["name"]}, eta {config.eta} |
| seed | {config.seed} |

```
unfog sample {folder.name} -n 16 -o samples
unfog evaluate {folder.name}
unfog report {folder.name}
```

Notes

{notes}

Whether samples copy training items is measured by `unfog evaluate` (novelty); it is not claimed here. The model
knows only what its data holds, with its gaps and its biases.
"""
    files.write_bytes(folder / "README.md", text.encode())
