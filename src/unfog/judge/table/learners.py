"""Learners that rows are tried with: boosted trees and a linear model, and how good they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from unfog.judge.table.features import Rows

LEARNERS = ("boosted trees", "linear model")
ROUNDS = 100
METRICS = {
    True: ("average precision", "area under the curve", "balanced accuracy"),
    False: ("R squared",),
}
"""By whether the target has classes; the first one is what a choice is made by."""


def learnt_score(
    learner: str,
    learn: Rows,
    test: Rows,
    target: str,
    classes: np.ndarray,
    *,
    weights: bool = False,
    seed: int = 0,
) -> dict[str, float]:
    """How well a learner that saw `learn` answers for `test`, by metric.

    Args:
        learner: one of LEARNERS.
        classes: (K,) codes of the classes, the rarest last; empty for a number.
        weights: whether rarer classes count as much as common ones.
    Of two classes the rarer one is looked for; of more, each in turn, and the mean is taken.
    """
    inputs, marks = learn.matrix(without=target)
    asked, truth = test.matrix(without=target)[0], learn.column(target)
    model = _model(learner, marks, bool(len(classes)), weights, seed).fit(inputs, truth)
    if not len(classes):
        return {METRICS[False][0]: _r_squared(model.predict(asked), test.column(target))}
    chance = np.zeros((len(test), len(classes)))
    said = model.predict_proba(asked)
    for k, code in enumerate(classes):
        if code in model.classes_:
            chance[:, k] = said[:, list(model.classes_).index(code)]
    return _class_scores(chance, test.column(target), classes)


def _model(learner: str, marks: np.ndarray, classes: bool, weights: bool, seed: int) -> Any:
    """A learner of its own defaults, not fitted yet."""
    balance = {"class_weight": "balanced" if weights else None} if classes else {}
    if learner == "boosted trees":
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        trees = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
        return trees(
            max_iter=ROUNDS,
            categorical_features=marks,
            early_stopping=False,
            random_state=seed,
            **balance,
        )
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
    )
    ready = ColumnTransformer(
        [
            ("numbers", numbers, np.flatnonzero(~marks)),
            ("levels", OneHotEncoder(handle_unknown="ignore"), np.flatnonzero(marks)),
        ]
    )
    last = LogisticRegression(max_iter=1000, **balance) if classes else Ridge()
    return make_pipeline(ready, last)


def _class_scores(chance: np.ndarray, truth: np.ndarray, classes: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import average_precision_score, recall_score, roc_auc_score

    sides = [len(classes) - 1] if len(classes) == 2 else range(len(classes))
    found = [truth == classes[k] for k in sides]
    told = [chance[:, k] for k in sides]
    values = (
        np.mean([average_precision_score(yes, c) for yes, c in zip(found, told)]),
        np.mean([roc_auc_score(yes, c) for yes, c in zip(found, told)]),
        recall_score(truth, classes[chance.argmax(1)], average="macro", zero_division=0),
    )
    return {name: float(value) for name, value in zip(METRICS[True], values)}


def _r_squared(said: np.ndarray, truth: np.ndarray) -> float:
    return float(1 - ((truth - said) ** 2).sum() / max(((truth - truth.mean()) ** 2).sum(), 1e-300))
