"""The judge of tables: gradient boosting and plain distances, nothing of unfog's.

* two_sample: area under the ROC curve of boosted trees that tell drawn from held-out rows, three
  folds, as many of each; 0.5 is best.
* columns: mean over the columns of the Kolmogorov-Smirnov distance (numbers) or the total
  variation (categories; a missing cell is a level), 0 is best.
* useful: what boosted trees that learnt the target from drawn rows score on held-out rows (ROC
  area or R2), over what those score that learnt from as many real training rows.
* nearer: share of drawn rows that lie nearer to training rows than to held-out ones, as many of
  each, ties half; one half where nothing is copied. Distance: ranks of numbers, mismatches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from scipy.stats import ks_2samp
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

LEVELS = 250
"""The trees take no more levels than 255 as categories; beyond, codes serve as numbers."""


@dataclass(frozen=True)
class Table:
    """A table on trial.

    Args:
        train, held: real rows that contestants learn from, and others.
        target: a number, or a category of two levels.     categories: columns that are no numbers.
    """

    train: pd.DataFrame
    held: pd.DataFrame
    target: str
    categories: tuple[str, ...]
    log: bool = False

    def coded(self, rows: pd.DataFrame) -> np.ndarray:
        """(N, columns) floats: numbers, and codes of categories, -1 where unknown or missing."""
        columns = []
        for name in self.train.columns:
            if name in self.categories:
                levels = self.levels(name)
                columns.append(levels.get_indexer(texts(rows[name])).astype(float))
            else:
                columns.append(pd.to_numeric(rows[name], errors="coerce").to_numpy(float))
        return np.stack(columns, axis=1)

    def levels(self, name: str) -> pd.Index:
        return pd.Index(texts(pd.concat([self.train[name], self.held[name]])).unique())

    @property
    def places(self) -> list[int]:
        """The columns that trees take as categories."""
        names = list(self.train.columns)
        return [names.index(n) for n in self.categories if len(self.levels(n)) <= LEVELS]


def texts(column: pd.Series) -> pd.Series:
    """Categories as one kind of text: 1, 1.0 and "1" are one level, as are the ways to be empty."""
    numbers = pd.to_numeric(column, errors="coerce") if column.dtype != bool else column
    if column.dtype != bool and numbers.notna().equals(column.notna()):
        column = numbers.map(lambda v: v if pd.isna(v) else f"{float(v):g}")
    return column.map(lambda v: "" if pd.isna(v) else str(v))


def judged(table: Table, drawn: pd.DataFrame, *, most: int, seed: int) -> dict[str, float]:
    """The four figures of drawn rows, at n = as many as there are on each side, at most `most`."""
    missing = [name for name in table.train.columns if name not in drawn.columns]
    if missing:
        raise ValueError(f"drawn rows lack the columns {missing}")
    rng = np.random.default_rng(seed)
    n = min(most, len(drawn), len(table.held), len(table.train))
    drawn = drawn[list(table.train.columns)].iloc[rng.permutation(len(drawn))[:n]]
    held = table.held.iloc[rng.permutation(len(table.held))[:n]]
    train = table.train.iloc[rng.permutation(len(table.train))[:n]]
    return {
        "n": n,
        "two_sample": two_sample(table, drawn, held, seed),
        "columns": columns(table, drawn, held),
        "useful": learnt(table, drawn, seed) / learnt(table, train, seed),
        "nearer": nearer(table, drawn, train, held),
    }


def floors(table: Table, *, most: int, seed: int) -> dict[str, float]:
    """The same figures of real training rows, as if they had been drawn; `nearer` has none."""
    half = table.train.iloc[np.random.default_rng(seed + 1).permutation(len(table.train))]
    found = judged(table, half, most=most, seed=seed)
    return {name: value for name, value in found.items() if name != "nearer"}


def two_sample(table: Table, drawn: pd.DataFrame, held: pd.DataFrame, seed: int) -> float:
    x = np.concatenate([table.coded(drawn), table.coded(held)])
    y = np.repeat([1, 0], [len(drawn), len(held)])
    folds = StratifiedKFold(3, shuffle=True, random_state=seed)
    trees = HistGradientBoostingClassifier(categorical_features=table.places, random_state=seed)
    said = cross_val_predict(trees, x, y, cv=folds, method="predict_proba")[:, 1]
    return float(roc_auc_score(y, said))


def columns(table: Table, drawn: pd.DataFrame, held: pd.DataFrame) -> float:
    return float(np.mean([distance(table, drawn[c], held[c]) for c in table.train.columns]))


def distance(table: Table, drawn: pd.Series, held: pd.Series) -> float:
    """KS of known numbers or the gap in the rates of missing cells, the larger; total variation."""
    if drawn.name in table.categories:
        p, q = (texts(one).value_counts(normalize=True) for one in (drawn, held))
        return float(p.sub(q, fill_value=0).abs().sum() / 2)
    p, q = (pd.to_numeric(one, errors="coerce") for one in (drawn, held))
    gap = abs(p.isna().mean() - q.isna().mean())
    if p.notna().sum() == 0:
        return 1.0
    return float(max(gap, ks_2samp(p.dropna(), q.dropna()).statistic))


def learnt(table: Table, rows: pd.DataFrame, seed: int) -> float:
    """The held-out score of trees that learn the target from these rows; 0 where they can't."""
    place = list(table.train.columns).index(table.target)
    at = [k - (k > place) for k in table.places if k != place]
    x, y = np.delete(table.coded(rows), place, 1), table.coded(rows)[:, place]
    test, truth = np.delete(table.coded(table.held), place, 1), table.coded(table.held)[:, place]
    if table.target in table.categories:
        if len(np.unique(y)) < 2:
            return 0.5
        trees = HistGradientBoostingClassifier(categorical_features=at, random_state=seed)
        good = y >= 0
        said = trees.fit(x[good], y[good]).predict_proba(test)[:, -1]
        return float(roc_auc_score(truth == trees.classes_[-1], said))
    if table.log:
        y, truth = (np.log1p(np.maximum(v, 0)) for v in (y, truth))
    known, there = ~np.isnan(y), ~np.isnan(truth)
    if known.sum() < 10:
        return 0.0
    trees = HistGradientBoostingRegressor(categorical_features=at, random_state=seed)
    said = trees.fit(x[known], y[known]).predict(test[there])
    return float(max(0.0, r2_score(truth[there], said)))


def nearer(table: Table, drawn: pd.DataFrame, train: pd.DataFrame, held: pd.DataFrame) -> float:
    """Share of drawn rows nearer to `train` than to `held`."""
    placed = [spread(table, rows) for rows in (drawn, train, held)]
    to_train, to_held = (cdist(placed[0], other, "cityblock").min(1) for other in placed[1:])
    tie = np.isclose(to_train, to_held, atol=1e-9)
    return float(np.mean(np.where(tie, 0.5, to_train < to_held)))


def spread(table: Table, rows: pd.DataFrame) -> np.ndarray:
    """(N, D): ranks of numbers among the training rows, halves for categories; for L1."""
    parts = []
    for name in table.train.columns:
        column = rows[name]
        if name in table.categories:
            codes = table.levels(name).get_indexer(texts(column))
            parts.append(np.eye(len(table.levels(name)) + 1)[codes] / 2)
            continue
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(float)
        known = np.sort(pd.to_numeric(table.train[name], errors="coerce").dropna().to_numpy(float))
        low, high = (np.searchsorted(known, numbers, side) for side in ("left", "right"))
        rank = (low + high) / 2 / len(known)
        gone = np.isnan(numbers)
        parts.append(np.where(gone, 0.5, rank)[:, None])
        parts.append(gone[:, None].astype(float))
    return np.concatenate(parts, axis=1)
