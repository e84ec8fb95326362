"""ForestDiffusion fills holes, as its authors do: trained on noise like VP's, as `impute` wants it.

Its defaults (50 times, 100 copies of every row, 100 trees for each column and time) take hours, so
they are shrunk to the CPU-seconds. With one or two copies a row its draws run far off, on abalone
to five times the error of a column's own values, as the trees learn the noise by heart. So there
are five copies and 25 trees, which leaves 1 - 0.7^25 of what they are fitted to, and as many rows
as the time allows, 200 at least.

Rows to learn from have no holes. `impute` asks the trees twice for each step and takes the second
answer; the first is not computed here. Categories of more than two levels come last, as the package
takes the indicators of column 13 for some of column 3.
"""

from __future__ import annotations

import warnings

from benchmarks.contestants.child import Child, cpu
from benchmarks.contestants.fill_parts import Work

child = Child()
warnings.filterwarnings("ignore")
with child.phase("import"):
    import numpy as np
    import pandas as pd
    from ForestDiffusion import ForestDiffusionModel

work = Work(child)
asked = child.asked
TIMES, COPIES, TREES, LEAST = 50, 5, (25, 12), 200
LATE = 5
"""It is not begun where the smallest fit would take so many times the CPU-seconds."""
np.random.seed(asked["seed"])
wide = [name for name, levels in work.levels.items() if len(levels) > 2]
binary = [name for name in work.levels if name not in wide]
order = [*work.numbers, *binary, *wide]
width = len(work.numbers) + len(binary) + sum(len(work.levels[name]) - 1 for name in wide)
whole = [name for name in work.numbers if (work.train[name] % 1 == 0).all()]


def places(names: list[str]) -> list[int]:
    return [order.index(name) for name in names]


def coded(rows: pd.DataFrame) -> np.ndarray:
    """Numbers, and levels as places; NaN in holes."""
    parts = [rows[work.numbers].to_numpy(float)]
    for name in (*binary, *wide):
        codes = work.codes(name, rows[name].to_numpy()).astype(float)
        parts.append(np.where(rows[name].isna(), np.nan, codes)[:, None])
    return np.concatenate(parts, 1)


def into(model: ForestDiffusionModel, x: np.ndarray) -> np.ndarray:
    """As the model has its own rows: indicators of levels but the first, scaled; NaN in holes."""
    parts = [x[:, : len(order) - len(wide)]]
    for name, column in zip(wide, x[:, len(order) - len(wide) :].T):
        known = column[:, None] == levels[name][None, 1:]
        parts.append(np.where(np.isnan(column)[:, None], np.nan, known))
    return model.scaler.transform(np.concatenate(parts, 1))


class Once(ForestDiffusionModel):
    """The same, but for the answers that `impute` throws away."""

    calls = 0

    def my_model_imputation(self, t, y, **options):
        self.calls += 1
        if self.calls % 2 and self.calls < 2 * self.n_t - 2:
            return np.zeros_like(y)
        return super().my_model_imputation(t, y, **options)


def learnt(x: np.ndarray, times: int, trees: int) -> Once:
    return Once(
        x, n_t=times, duplicate_K=COPIES, n_estimators=trees, diffusion_type="vp",
        n_jobs=asked["threads"], bin_indexes=places(binary), cat_indexes=places(wide),
        int_indexes=places(whole), seed=asked["seed"],
    )  # fmt: skip


def affordable(x: np.ndarray) -> tuple[int, int]:
    """Rows and trees, by learning one of the times from more and more of them."""
    learnt(x[:100], 1, 1)  # what is loaded at first use
    rows, each = LEAST, asked["budget"] / TIMES
    while True:
        begun = cpu()
        learnt(x[:rows], 1, TREES[0])
        taken = cpu() - begun
        if rows == LEAST and taken > 2 * each:
            taken *= TREES[1] / TREES[0]
            if taken > LATE * each:
                raise SystemExit(
                    f"the smallest fit would take some {taken * TIMES:.0f} CPU-seconds: {rows} "
                    f"rows, {TREES[1]} trees for each of {TIMES} times and {width} columns"
                )
            return LEAST, TREES[1]
        if taken > each / 2 or rows == len(x):
            return max(LEAST, int(min(len(x), rows * each / taken))), TREES[0]
        rows = min(2 * rows, len(x))


with child.phase("fit"):
    x = coded(work.train)[np.random.permutation(len(work.train))]
    rows, trees = affordable(x)
    chosen = x[:rows]
    levels = {name: np.unique(chosen[:, place]) for name, place in zip(wide, places(wide))}
    model = learnt(chosen, TIMES, trees)


def fill(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """All draws at once, as further rows."""
    holes = into(model, coded(rows))
    model.calls = 0
    made = model.impute(k=1, X=np.tile(holes, (work.draws, 1)))
    made = made.reshape(work.draws, len(rows), len(order))
    found = {}
    for place, name in enumerate(order):
        found[f"draws/{name}"] = made[..., place]
        if name in wide:
            found[f"draws/{name}"] = levels[name][made[..., place].round().astype(int)]
    return found


work.answer(fill)
child.answer("ForestDiffusion", "xgboost", rows_learnt=rows, trees=trees)
