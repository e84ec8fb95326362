"""unfog on points: data and budget; its clock is the CPU time (unfog_table).

All that is handed over is learnt from (held=0), as by the others: what judges was held out before.
Dino is judged by the very points that are learnt, so there copying them does not end the run.
"""

from __future__ import annotations

import threading  # noqa: F401  (it keeps the real clock)
import time

import numpy as np

from benchmarks.contestants.child import Child

child = Child()
with child.phase("import"):
    import torch

    from unfog import fit
torch.set_num_threads(child.asked["threads"])
time.monotonic = time.perf_counter = time.process_time
source = np.load(child.asked["source"])
with child.phase("fit"):
    model = fit(
        source,
        budget=child.asked["budget"],
        seed=child.asked["seed"],
        held=0,
        settings={"train.stop_at": "never"} if child.asked.get("own") else {},
        quiet=True,
    )
with child.phase("sample"):
    drawn = model.sample(child.asked["count"], seed=child.asked["seed"], show=False)
np.save(f"{child.asked['folder']}/drawn.npy", np.asarray(drawn.data))
child.answer("torch", net=model.config.net["name"])
