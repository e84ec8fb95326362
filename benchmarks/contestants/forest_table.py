"""ForestDiffusion on a table: its defaults, shrunk to the CPU-seconds.

Its defaults (50 times, 100 copies of every row, 100 trees of depth 7 for each column and time) take
hours on tables of thousands of rows. Times and trees stay as they are; copies of rows are
as many as the CPU-seconds allow by a timed tree, and where not even one copy fits, fewer rows. The
smallest fit there is may still take longer: what it took is in the record.
"""

from __future__ import annotations

import warnings

from benchmarks.contestants.child import Child, cpu

child = Child()
warnings.filterwarnings("ignore")
with child.phase("import"):
    import numpy as np
    import pandas as pd
    import xgboost
    from ForestDiffusion import ForestDiffusionModel

TIMES, COPIES, LEAST = 50, 100, 200


def affordable(x: np.ndarray, width: int, budget: float, threads: int) -> tuple[int, int]:
    """How many rows and copies of them: from the time of one model at two sizes."""
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


asked = child.asked
np.random.seed(asked["seed"])
rows = pd.read_csv(asked["train"])
categories = [c for c in rows.columns if c in asked["categories"]]
levels = {c: list(pd.unique(rows[c].astype(object))) for c in categories}
values = rows.copy()
for name in categories:
    values[name] = pd.Index(levels[name]).get_indexer(rows[name].astype(object))
x = np.array(values, float)
whole = [
    k for k, c in enumerate(rows.columns)
    if c not in categories and (rows[c].dropna() % 1 == 0).all()
]  # fmt: skip
places = [k for k, c in enumerate(rows.columns) if c in categories]
binary = [k for k in places if len(levels[rows.columns[k]]) == 2]
width = (
    x.shape[1]
    - len(places)
    + sum(1 if k in binary else len(levels[rows.columns[k]]) - 1 for k in places)
)
with child.phase("fit"):
    count, copies = affordable(x, width, asked["budget"], asked["threads"])
    chosen = x[np.random.permutation(len(x))[:count]]
    model = ForestDiffusionModel(
        chosen, n_t=TIMES, duplicate_K=copies, diffusion_type="flow", n_jobs=asked["threads"],
        bin_indexes=binary, cat_indexes=[k for k in places if k not in binary],
        int_indexes=whole, seed=asked["seed"],
    )  # fmt: skip
with child.phase("sample"):
    made = model.generate(batch_size=asked["rows"])
drawn = pd.DataFrame(made[:, : x.shape[1]], columns=rows.columns)
for name in categories:
    codes = drawn[name].round().clip(0, len(levels[name]) - 1).astype(int)
    drawn[name] = np.array(levels[name], object)[codes]
drawn.to_csv(f"{asked['folder']}/drawn.csv", index=False)
child.answer("ForestDiffusion", "xgboost", rows_learnt=count, copies=copies)
