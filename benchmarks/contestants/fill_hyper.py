"""HyperImpute fills holes, with its defaults: for every column the best of four learners by trial.

It has no part that only learns: models are chosen and fitted on the rows to fill, beside the rows
to learn from, anew for each pattern. It gives one value for every hole, so all draws are alike. Its
time is what it takes, minutes for a thousand rows; the CPU-seconds of the others do not bind it.
"""

from __future__ import annotations

import warnings

from benchmarks.contestants.child import Child
from benchmarks.contestants.fill_parts import Work

child = Child()
warnings.filterwarnings("ignore")
with child.phase("import"):
    import numpy as np
    import pandas as pd
    from hyperimpute.plugins.imputers import Imputers

with child.phase("fit"):
    work = Work(child)


def coded(rows: pd.DataFrame) -> np.ndarray:
    """Numbers, and levels as places; NaN in holes."""
    parts = []
    for name in rows:
        cells = rows[name]
        if name in work.levels:
            codes = work.codes(name, cells.to_numpy()).astype(float)
            cells = np.where(cells.isna(), np.nan, codes)
        parts.append(np.asarray(cells, float))
    return np.stack(parts, 1)


def fill(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """One answer, repeated as often as draws are asked for."""
    imputer = Imputers().get("hyperimpute", random_state=child.asked["seed"])
    both = pd.DataFrame(np.concatenate([coded(work.train), coded(rows)]), columns=list(rows))
    made = np.asarray(imputer.fit_transform(both), float)[len(work.train) :]
    found = {}
    for place, name in enumerate(rows):
        cells = made[:, place]
        if name in work.levels:
            cells = cells.round().clip(0, len(work.levels[name]) - 1).astype(int)
        found[f"draws/{name}"] = np.tile(cells, (work.draws, 1))
    return found


work.answer(fill)
child.answer("hyperimpute", "scikit-learn")
