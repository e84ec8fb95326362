"""unfog's own training, as `fit` runs it: the difference of two runs that differ in updates only."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.contestants.child import Child, cpu

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


def run(steps: int) -> tuple[float, float, object]:
    used, wall = cpu(), time.perf_counter()
    model = unfog.fit(
        source, kind="image", steps=steps, batch=asked["batch"], precision=asked["precision"],
        settings=settings, quiet=True, show=False,
    )  # fmt: skip
    return cpu() - used, time.perf_counter() - wall, model


few = 4
first, wall, model = run(few)
pilot, _, _ = run(2 * few)
each = max((pilot - first) / few, 1e-3)
more = max(2 * few, int(asked["seconds"] / each))
second, later, model = run(few + more)
net = model.net.train().requires_grad_(True)
x = torch.randn_like(blank(model.config, 2))
work = flops(net, lambda made, x: made.answer(x, torch.full((len(x),), 0.5)).square().mean(), x)
rate = more * asked["batch"] / (second - first)
child.answer(
    "torch",
    parameters=sum(p.numel() for p in net.parameters()),
    gflop=work,
    images_per_cpu=rate,
    images_per_second=more * asked["batch"] / (later - wall),
    gflops=work * rate,
    peak_gflops=peak(),
)
