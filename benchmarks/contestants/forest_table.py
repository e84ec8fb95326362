"""ForestDiffusion on a table: its defaults, shrunk to the CPU-seconds (see `forest_parts`)."""

from __future__ import annotations

import warnings

from benchmarks.contestants.child import Child

child = Child()
warnings.filterwarnings("ignore")
with child.phase("import"):
    import numpy as np
    import pandas as pd
    from ForestDiffusion import ForestDiffusionModel

    from benchmarks.contestants.forest_parts import TIMES, affordable

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
