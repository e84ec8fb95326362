"""unfog on images, no options but data and budget; its clock is the CPU time (unfog_table)."""

from __future__ import annotations

import threading  # noqa: F401  (it keeps the real clock)
import time

import numpy as np

from benchmarks.contestants.child import Child

child = Child()
with child.phase("import"):
    import torch

    import unfog
torch.set_num_threads(child.asked["threads"])
time.monotonic = time.perf_counter = time.process_time
with child.phase("fit"):
    model = unfog.fit(
        child.asked["source"],
        kind="image",
        budget=child.asked["budget"],
        seed=child.asked["seed"],
        quiet=True,
    )
with child.phase("sample"):
    drawn = model.sample(child.asked["count"], seed=child.asked["seed"], show=False)
np.savez(f"{child.asked['folder']}/drawn.npz", images=np.asarray(drawn.data))
child.answer("torch", net=model.config.net["name"])
