"""A run's default solver and grid, untuned, at several numbers of calls, and far beyond."""

from __future__ import annotations

import numpy as np

from benchmarks.contestants.child import Child

child = Child()
import torch  # noqa: E402

import unfog  # noqa: E402

torch.set_num_threads(child.asked["threads"])
model = unfog.load(child.asked["run"])
solver, grid = model.config.solver["name"], model.config.grid["name"]
for steps in child.asked["calls"]:
    with child.phase(f"calls_{steps}"):
        drawn = model.sample(
            child.asked["count"], steps=steps, seed=child.asked["seed"], show=False
        )
    images = np.asarray(drawn.data)
    np.savez(
        f"{child.asked['folder']}/calls-{steps}.npz", images=images.reshape(len(images), 28, 28)
    )
child.answer("torch", solver=solver, grid=grid)
