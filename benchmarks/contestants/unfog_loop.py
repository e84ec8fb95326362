"""unfog's own training, as `fit` runs it, timed by the log that it writes itself.

Without looks at held-out losses and samples: the peers' loops take none, and in a run of so few
updates three of them would be half of the time.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np

from benchmarks.contestants.child import Child

FIRST = 2  # updates that warm up

child = Child()
import torch  # noqa: E402

import unfog  # noqa: E402
from benchmarks.contestants.loops import flops, peak  # noqa: E402
from unfog.tasks.assemble import blank  # noqa: E402

asked = child.asked
torch.set_num_threads(asked["threads"])
data = np.random.default_rng(0).integers(0, 256, (2048, 32, 32)).astype(np.uint8)
source = f"{asked['folder']}/images.npz"
np.savez(source, images=data)
settings = asked["settings"]


def run(steps: int) -> tuple[float, float, Any]:
    """CPU-seconds and wall-clock of an update, and the model: first updates are left out."""
    folder = f"{asked['folder']}/run"
    model = unfog.fit(
        source, kind="image", steps=steps, batch=asked["batch"], precision=asked["precision"],
        settings={**settings, "train.log_every": 1, "train.looks": 0}, out=folder, overwrite=True,
        quiet=True,
    )  # fmt: skip
    lines = pathlib.Path(folder, "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    first, last = rows[FIRST - 1], rows[-1]
    updates = last["step"] - first["step"]
    used = (last["cpu_seconds"] - first["cpu_seconds"]) / updates
    return used, (last["seconds"] - first["seconds"]) / updates, model


each, _, _ = run(FIRST + 1)
used, wall, model = run(FIRST + max(2, int(asked["seconds"] / each)))
net = model.net.train().requires_grad_(True)
x = torch.randn_like(blank(model.config, 2))
work = flops(net, lambda made, x: made.answer(x, torch.full((len(x),), 0.5)).square().mean(), x)
rate = asked["batch"] / used
child.answer(
    "torch",
    parameters=sum(p.numel() for p in net.parameters()),
    gflop=work,
    images_per_cpu=rate,
    images_per_second=asked["batch"] / wall,
    gflops=work * rate,
    peak_gflops=peak(),
)
