"""ForestDiffusion fills holes, as its authors do: trained on noise like VP's, as `impute` wants it.

Trained on rows without holes, which is what there is to learn from. `impute` asks the trees twice
for each step and takes the second answer; the first is not computed here. Categories of more than
two levels come last, as the package takes the indicators of column 13 for some of column 3.
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
    from ForestDiffusion import ForestDiffusionModel

    from benchmarks.contestants.forest_parts import TIMES, affordable

work = Work(child)
asked = child.asked
np.random.seed(asked["seed"])
wide = [name for name, levels in work.levels.items() if len(levels) > 2]
binary = [name for name in work.levels if name not in wide]
order = [*work.numbers, *binary, *wide]
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


with child.phase("fit"):
    x = coded(work.train)
    width = len(work.numbers) + len(binary) + sum(len(work.levels[name]) - 1 for name in wide)
    count, copies = affordable(x, width, asked["budget"], asked["threads"])
    chosen = x[np.random.permutation(len(x))[:count]]
    levels = {name: np.unique(chosen[:, place]) for name, place in zip(wide, places(wide))}
    model = Once(
        chosen, n_t=TIMES, duplicate_K=copies, diffusion_type="vp", n_jobs=asked["threads"],
        bin_indexes=places(binary), cat_indexes=places(wide), int_indexes=places(whole),
        seed=asked["seed"],
    )  # fmt: skip


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
child.answer("ForestDiffusion", "xgboost", rows_learnt=count, copies=copies)
