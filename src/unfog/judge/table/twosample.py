"""Two-sample classifier of tables: can boosted trees tell samples from held-out rows?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from unfog.judge.figure import Figure
from unfog.judge.states import rng
from unfog.judge.table.case import TableCase, table_metrics
from unfog.judge.table.features import Rows
from unfog.judge.twosample import Auc, area, area_figure, dealt

MOST = 5000
FOLDS = 5
DRAWS = 500
# Trees that learnt on fold j are tried on fold k and the other way round, and under one law both
# areas follow the same chance likeness of the two folds. Counting it twice doubles the variance
# that resampling rows sees, so half-widths grow by the root of 2.
WIDER = 2**0.5


def tree_auc(x: Rows, y: Rows, *, seed: int, folds: int = FOLDS, rounds: int = 100) -> Auc:
    """How well boosted trees tell held-out rows of x from those of y; 0.5 = not at all.

    Cross-fitted: every row is scored by trees that did not learn from it. Missing cells and
    categories enter as they are. The area counts pairs within a fold only, which makes it 0.5 on
    average under one law; the interval resamples rows, and is then widened. Rows that one side
    repeats are a difference, and count as such.

    Ref: Lopez-Paz and Oquab 2017, Revisiting classifier two-sample tests; Friedman 2001.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    generator = rng(seed, "trees")
    inputs, marks = x.with_other(y).matrix()
    side = np.concatenate([np.ones(len(x)), np.zeros(len(y))])
    fold = torch.cat([dealt(len(part), folds, generator) for part in (x, y)])
    scores = torch.empty(len(side), dtype=torch.float64)
    for k in range(folds):
        learn = (fold != k).numpy()
        trees = HistGradientBoostingClassifier(
            max_iter=rounds,
            categorical_features=marks,
            early_stopping=True,
            validation_fraction=0.15,
            random_state=generator.initial_seed() % 2**32,
        )
        trees.fit(inputs[learn], side[learn])
        scores[~torch.from_numpy(learn)] = torch.from_numpy(
            trees.predict_proba(inputs[~learn])[:, 1]
        )
    n = len(x)
    found = area(scores[:n], scores[n:], fold[:n], fold[n:], DRAWS, generator)
    return replace(
        found,
        low=max(0.0, found.value - WIDER * (found.value - found.low)),
        high=min(1.0, found.value + WIDER * (found.high - found.value)),
    )


@table_metrics.add("c2st_auc", reference="Lopez-Paz and Oquab 2017", aliases=("detection",))
def tree_auc_figure(case: TableCase) -> list[Figure]:
    """Two-sample classifier (boosted trees); 0.5 = can't be told from real rows."""
    samples, real, other, notes = case.equal(MOST)
    n = len(samples)
    value = tree_auc(samples, real, seed=case.seed)
    floor = case.floor(
        ("c2st_auc", n, samples.names), lambda: tree_auc(other, real, seed=case.seed)
    )
    return [area_figure("c2st_auc", value, floor, n, notes)]
