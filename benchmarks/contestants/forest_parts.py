"""ForestDiffusion's defaults, shrunk to the CPU-seconds.

Its defaults (50 times, 100 copies of every row, 100 trees of depth 7 for each column and time) take
hours on tables of thousands of rows. Times and trees stay as they are; copies of rows are
as many as the CPU-seconds allow by a timed tree, and where not even one copy fits, fewer rows. The
smallest fit there is may still take longer: what it took is in the record.
"""

from __future__ import annotations

import numpy as np
import xgboost

from benchmarks.contestants.child import cpu

TIMES, COPIES, LEAST = 50, 100, 200


def affordable(x: np.ndarray, width: int, budget: float, threads: int) -> tuple[int, int]:
    """How many rows and copies of them: from the time of one model at two sizes.

    Args:
        width: columns once categories are indicators.
    """
    taken = {}
    for n in (500, 2000):
        sample = x[np.random.choice(len(x), n)]
        begun = cpu()
        xgboost.XGBRegressor(
            n_estimators=100, max_depth=7, eta=0.3, tree_method="hist", reg_lambda=0.0,
            n_jobs=threads,
        ).fit(sample, np.random.randn(n))  # fmt: skip
        taken[n] = cpu() - begun
    slope = max(1e-7, (taken[2000] - taken[500]) / 1500)
    base = max(0.0, taken[500] - 500 * slope)
    entries = (budget / (TIMES * width) - base) / slope
    if entries >= len(x):
        return len(x), int(min(COPIES, entries // len(x)))
    return int(max(LEAST, entries)), 1
