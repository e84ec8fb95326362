"""How long a run's default sampling takes, at several numbers of samples at once."""

from __future__ import annotations

import statistics
import time

from benchmarks.contestants.child import Child

child = Child()
import torch  # noqa: E402

import unfog  # noqa: E402

torch.set_num_threads(child.asked["threads"])
model = unfog.load(child.asked["run"])
found = {}
for size in child.asked["sizes"]:
    model.sample(size, batch=size, show=False)  # what is loaded at first use
    taken = []
    for seed in range(child.asked["draws"]):
        begun, spent = time.perf_counter(), time.process_time()
        model.sample(size, batch=size, seed=seed, show=False)
        taken.append((time.perf_counter() - begun, time.process_time() - spent))
    found[size] = [statistics.median(part) for part in zip(*taken, strict=True)]
config = model.config
child.answer(
    "torch", latency=found, steps=config.sampling_steps, solver=config.solver["name"],
    net=config.net["name"], width=config.net.get("width"),
)  # fmt: skip
