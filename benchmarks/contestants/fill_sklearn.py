"""scikit-learn's imputers, and two floors: `method` is chained, neighbours, marginal or middle.

Categories are indicators of all levels but the last, which would make regressions singular.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

from benchmarks.contestants.child import Child
from benchmarks.contestants.fill_parts import Work

child = Child()
with child.phase("import"):
    import numpy as np
    import pandas as pd
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer, KNNImputer

work = Work(child)
MOST = 3000
"""Rows that a chain of regressions learns from, for its time: one regression each indicator."""
Made = dict[str, np.ndarray]


def coded(rows: pd.DataFrame) -> np.ndarray:
    """Numbers in deviations, then indicators; NaN in holes."""
    numbers = work.train[work.numbers]
    parts = [((rows[work.numbers] - numbers.mean()) / numbers.std()).to_numpy(float)]
    for name, levels in work.levels.items():
        told = np.stack([(rows[name] == level).to_numpy(float) for level in levels[:-1]], 1)
        told[rows[name].isna().to_numpy()] = np.nan
        parts.append(told)
    return np.concatenate(parts, 1)


def uncoded(stack: np.ndarray) -> Made:
    """From (draws, rows, ·): draws of numbers, and what each indicator came out as."""
    made, at = {}, len(work.numbers)
    for place, name in enumerate(work.numbers):
        column = work.train[name]
        made[f"draws/{name}"] = stack[..., place] * column.std() + column.mean()
    for name, levels in work.levels.items():
        part = stack[..., at : at + len(levels) - 1]
        made[name] = np.concatenate([part, 1 - part.sum(-1, keepdims=True)], -1)
        at += len(levels) - 1
    return made


def chained() -> Callable[[pd.DataFrame], Made]:
    """One chain of Bayesian regressions is learnt; every draw is a pass of it."""
    rng = np.random.default_rng(child.asked["seed"])
    some = work.train.iloc[rng.permutation(len(work.train))[:MOST]]
    chain = IterativeImputer(sample_posterior=True, random_state=child.asked["seed"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a sampler has not converged
        chain.fit(coded(some))

    def fill(rows: pd.DataFrame) -> Made:
        holes = coded(rows)
        made = uncoded(np.stack([chain.transform(holes) for _ in range(work.draws)]))
        drawn = {name: made.pop(name).argmax(-1) for name in work.levels}
        return made | {f"draws/{name}": codes for name, codes in drawn.items()}

    return fill


def neighbours() -> Callable[[pd.DataFrame], Made]:
    """Five of them; their mean is the number, and the shares, smoothed as counts of draws are."""
    imputer = KNNImputer().fit(coded(work.train))

    def fill(rows: pd.DataFrame) -> Made:
        made = uncoded(imputer.transform(coded(rows))[None])
        for name, levels in work.levels.items():
            shares = made.pop(name)[0]
            smooth = (shares * work.draws + 0.5) / (work.draws + len(levels) / 2)
            made[f"shares/{name}"] = smooth
        return made

    return fill


def marginal() -> Callable[[pd.DataFrame], Made]:
    """Training cells of the same column, at random."""
    rng = np.random.default_rng(child.asked["seed"])

    def fill(rows: pd.DataFrame) -> Made:
        shape = (work.draws, len(rows))
        made = {name: rng.choice(work.train[name].to_numpy(), shape) for name in work.train}
        return {
            f"draws/{name}": work.codes(name, cells) if name in work.levels else cells
            for name, cells in made.items()
        }

    return fill


def middle() -> Callable[[pd.DataFrame], Made]:
    """Mean and mode."""

    def fill(rows: pd.DataFrame) -> Made:
        shape = (work.draws, len(rows))
        made = {f"draws/{n}": np.full(shape, work.train[n].mean()) for n in work.numbers}
        for name in work.levels:
            cells = np.full(shape, work.train[name].mode()[0], object)
            made[f"draws/{name}"] = work.codes(name, cells)
        return made

    return fill


METHODS = {f.__name__: f for f in (chained, neighbours, marginal, middle)}
with child.phase("fit"):
    fill = METHODS[child.asked["method"]]()
work.answer(fill)
child.answer("scikit-learn")
