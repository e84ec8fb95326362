"""Filling holes beside scikit-learn's imputers: `python benchmarks/tables/fill.py TABLE.csv …`.

Prints a markdown table. Of every CSV file the rows without empty cells are used: four fifths to
learn from, and of the last fifth (at most `--rows`) a share of the cells is hidden, at random or
(`--how own`) by their own value: the higher a number or the rarer a category, the likelier, from 0
to twice the share. That is missing not at random, which no method here is told. All methods fill
the same cells, with as many draws; what they learn from is the same, except that a Bayesian chain
of regressions (IterativeImputer) learns from at most `--most` rows, for its time.

CRPS is of numbers in standard deviations of the training column, the fair estimate from draws; log
loss is of categories in nats: of chances where a method says them (unfog does), 0.001 at least,
else of shares (count + 1/2) / (draws + k/2); coverage is the share of
hidden numbers in the 90 % interval. A method without draws of its own (mean and mode, kNN) is a
point for numbers; kNN's mean of indicators serves as its shares.
"""

from __future__ import annotations

import argparse
import pathlib
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

import unfog

Drawn = dict[
    str, np.ndarray
]  # column -> (draws, rows) values; of categories maybe (rows, k) shares


@dataclass(frozen=True)
class Case:
    """One table with hidden cells.

    Attributes:
        train: rows without holes.     truth: held-out rows.     asked: the same with holes.
    """

    train: pd.DataFrame
    truth: pd.DataFrame
    asked: pd.DataFrame

    @property
    def numbers(self) -> list[str]:
        return list(self.train.select_dtypes("number").columns)

    @property
    def words(self) -> list[str]:
        return [name for name in self.train.columns if name not in self.numbers]

    def levels(self, name: str) -> list[str]:
        return sorted(set(self.train[name]) | set(self.truth[name]))


def case(path: pathlib.Path, share: float, rows: int, seed: int, how: str) -> Case:
    """The table in `path`, shuffled, cut and holed by the seed."""
    rng = np.random.default_rng(seed)
    frame = pd.read_csv(path).dropna()
    frame = frame.iloc[rng.permutation(len(frame))].reset_index(drop=True)
    cut = len(frame) * 4 // 5
    truth = frame[cut : cut + rows].reset_index(drop=True)
    chance = np.full(truth.shape, share)
    if how == "own":
        for place, name in enumerate(truth):
            column = truth[name]
            if not pd.api.types.is_numeric_dtype(column):
                column = -column.map(frame[name].value_counts())
            chance[:, place] = 2 * share * column.rank(pct=True)
    hidden = rng.random(truth.shape) < chance
    return Case(frame[:cut], truth, truth.mask(hidden))


def ours(budget: str, settings: dict[str, object]) -> Callable[[Case, int, int], Drawn]:
    def method(one: Case, draws: int, seed: int) -> Drawn:
        model = unfog.fit(one.train, budget=budget, settings=settings, seed=seed, quiet=True)
        filled = model.fill(one.asked, draws=draws, seed=seed, chances=True)
        tables = [filled.draw(number) for number in range(draws)]
        made = {name: np.stack([t[name].to_numpy() for t in tables]) for name in one.train}
        for name in set(one.words) & set(filled.likely):
            known, chances = filled.chances(name)
            shares = np.zeros((len(one.truth), len(one.levels(name))))
            places = [one.levels(name).index(level) for level in known]
            shares[np.ix_(filled.values(name)[0], places)] = chances
            made[name] = shares
        return made

    return method


def marginal(one: Case, draws: int, seed: int) -> Drawn:
    """Training cells of the same column, at random."""
    rng = np.random.default_rng(seed)
    shape = (draws, len(one.truth))
    return {name: rng.choice(one.train[name].to_numpy(), shape) for name in one.train}


def middle(one: Case, draws: int, seed: int) -> Drawn:
    """Mean and mode."""
    shape = (draws, len(one.truth))
    points = {name: one.train[name].mean() for name in one.numbers}
    points |= {name: one.train[name].mode()[0] for name in one.words}
    return {name: np.full(shape, point) for name, point in points.items()}


def coded(one: Case, frame: pd.DataFrame) -> np.ndarray:
    """Numbers in deviations, categories as indicators of all levels but the last, which would make
    regressions singular; NaN in holes.
    """
    parts = [(frame[one.numbers] - one.train[one.numbers].mean()) / one.train[one.numbers].std()]
    for name in one.words:
        indicator = pd.DataFrame(
            {k: (frame[name] == k).astype(float) for k in one.levels(name)[:-1]}
        )
        indicator[frame[name].isna().to_numpy()] = np.nan
        parts.append(indicator)
    return np.concatenate([part.to_numpy(dtype=float) for part in parts], 1)


def uncoded(one: Case, done: list[np.ndarray], shares: bool) -> Drawn:
    """The columns of `coded` tables, one per draw."""
    stack, at = np.stack(done), len(one.numbers)
    drawn = {}
    for place, name in enumerate(one.numbers):
        drawn[name] = stack[..., place] * one.train[name].std() + one.train[name].mean()
    for name in one.words:
        levels = np.array(one.levels(name), dtype=object)
        part = stack[..., at : at + len(levels) - 1]
        part = np.concatenate([part, 1 - part.sum(-1, keepdims=True)], -1)
        drawn[name] = part[0] if shares else levels[part.argmax(-1)]
        at += len(levels) - 1
    return drawn


def neighbours(one: Case, draws: int, seed: int) -> Drawn:
    """scikit-learn's KNNImputer, 5 neighbours."""
    from sklearn.impute import KNNImputer

    done = KNNImputer().fit(coded(one, one.train)).transform(coded(one, one.asked))
    found = uncoded(one, [done], shares=True)
    for name in one.words:  # smoothed as if by as many draws; five neighbours alone would say 0
        k = found[name].shape[1]
        found[name] = (found[name] * draws + 0.5) / (draws + k / 2)
    return found


def chained(most: int) -> Callable[[Case, int, int], Drawn]:
    """scikit-learn's IterativeImputer with draws from the posterior."""

    def method(one: Case, draws: int, seed: int) -> Drawn:
        from sklearn.experimental import enable_iterative_imputer  # noqa: F401
        from sklearn.impute import IterativeImputer

        rows = np.concatenate([coded(one, one.train[:most]), coded(one, one.asked)])
        done = []
        for number in range(draws):
            chain = IterativeImputer(sample_posterior=True, random_state=seed + number)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that a sampler has not converged
                done.append(chain.fit_transform(rows)[-len(one.asked) :])
        return uncoded(one, done, shares=False)

    return method


def judged(one: Case, drawn: Drawn, draws: int) -> tuple[float, float, float]:
    """CRPS, log loss and coverage over all hidden cells."""
    errors, losses, inside = [], [], []
    for name in one.numbers:
        hidden = one.asked[name].isna().to_numpy()
        values = drawn[name][:, hidden].astype(float) / one.train[name].std()
        true = one.truth[name].to_numpy()[hidden] / one.train[name].std()
        far = np.abs(values - true).mean(0)
        apart = np.abs(values[:, None] - values[None]).sum((0, 1))
        errors.append(far - apart / 2 / max(1, len(values) * (len(values) - 1)))
        ends = np.quantile(values, [0.05, 0.95], axis=0, method="weibull")
        inside.append((true >= ends[0] - 1e-9) & (true <= ends[1] + 1e-9))
    for name in one.words:
        hidden = one.asked[name].isna().to_numpy()
        levels = one.levels(name)
        code = np.array([levels.index(word) for word in one.truth[name][hidden]], dtype=int)
        if drawn[name].shape == (len(one.truth), len(levels)):  # shares
            share = np.maximum(drawn[name][hidden], 1e-3)
        else:
            counts = np.stack([(drawn[name][:, hidden] == k).sum(0) for k in levels], 1)
            share = (counts + 0.5) / (draws + len(levels) / 2)
        losses.append(-np.log(share[np.arange(len(code)), code]))
    loss = float(np.concatenate(losses).mean()) if losses else float("nan")
    return float(np.concatenate(errors).mean()), loss, float(np.concatenate(inside).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=pathlib.Path, nargs="+")
    parser.add_argument("--budget", default="40s")
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--how", choices=["random", "own"], default="random")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--most", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without", action="store_true", help="also a run with train.known = 0")
    asked = parser.parse_args()
    methods = {"unfog": ours(asked.budget, {})}
    if asked.without:
        methods["unfog, train.known 0"] = ours(asked.budget, {"train.known": 0})
    methods |= {
        "IterativeImputer, draws": chained(asked.most),
        "KNNImputer": neighbours,
        "marginal, draws": marginal,
        "mean and mode": middle,
    }
    print(
        "| table | method | CRPS | log loss | coverage of 90 % | seconds |\n"
        "|---|---|---|---|---|---|"
    )
    for path in asked.tables:
        one = case(path, asked.share, asked.rows, asked.seed, asked.how)
        for name, method in methods.items():
            begun = time.monotonic()
            drawn = method(one, asked.draws, asked.seed)
            spent = time.monotonic() - begun
            crps, loss, covered = judged(one, drawn, asked.draws)
            spread = "draws" in name or "unfog" in name
            print(
                f"| {path.stem} | {name} | {crps:.3f} | {loss:.3f} | "
                f"{f'{100 * covered:.1f} %' if spread else '–'} | {spent:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
