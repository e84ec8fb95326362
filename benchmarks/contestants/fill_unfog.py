"""unfog fills holes: its defaults, one model for all patterns; its budget is CPU time (see
`unfog_table`).
"""

from __future__ import annotations

import threading  # noqa: F401  (it keeps the real clock)
import time

from benchmarks.contestants.child import Child
from benchmarks.contestants.fill_parts import Work

child = Child()
with child.phase("import"):
    import numpy as np
    import pandas as pd
    import torch

    import unfog
work = Work(child)
torch.set_num_threads(child.asked["threads"])
time.monotonic = time.process_time
with child.phase("fit"):
    model = unfog.fit(
        child.asked["train"],
        out=child.asked.get("keep"),
        budget=child.asked["budget"],
        seed=child.asked["seed"],
        settings=child.asked.get("settings"),
        quiet=True,
    )


def fill(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Draws of numbers; of categories the chances that it says."""
    path = child.folder / "holes.csv"
    rows.to_csv(path, index=False)
    filled = model.fill(
        path, draws=work.draws, seed=child.asked["seed"], chances=True, unknown="as-missing",
        show=False,
    )  # fmt: skip
    tables = [filled.table(number).columns for number in range(work.draws)]
    made = {}
    for name in work.train.columns:
        values = np.stack([table[name].values for table in tables])
        if name in work.numbers:
            made[f"draws/{name}"] = values.astype(float)
        elif name in filled.likely:
            known, chances = filled.chances(name)
            shares = np.zeros((len(rows), len(work.levels[name])))
            at = work.codes(name, known.astype(str).astype(object))
            shares[np.ix_(filled.values(name)[0], at)] = chances
            made[f"shares/{name}"] = shares
        else:
            made[f"draws/{name}"] = work.codes(name, values.astype(str))
    return made


work.answer(fill)
child.answer("torch")
