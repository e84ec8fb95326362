"""An augmenter: adds drawn rows to rare classes; and an estimator that learns from such rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from unfog.errors import DataError
from unfog.kinds.table.balance import class_counts, lacking
from unfog.sklearn.estimator import Learning, rows_of_codec
from unfog.sklearn.frames import checked, stacked, tabled
from unfog.tasks.augment import draw


class Augmenter(Learning):
    """Adds rows of rare classes, drawn given the class, as imbalanced-learn's samplers do.

    Args:
        ratio: rare classes get as many rows as bring them to `ratio` times the commonest class;
            with `whole`, that many new rows per row.
        classes: the classes that get rows; all rarer ones where None.
        whole: rows of all kinds, in y's own proportions; y may be a number then.
        steps, budget, recipe, settings, types, constraints, device, random_state: as `Generator`
            takes them.

    Attributes: model_ (a `Trained`; None if no class lacks rows), added_ (class → rows, None with
        `whole`), n_features_in_, feature_names_in_ (of frames).
    """

    def __init__(
        self,
        *,
        ratio: float = 1.0,
        classes: Sequence[Any] | None = None,
        whole: bool = False,
        steps: int | None = None,
        budget: str | float | None = None,
        recipe: str = "flow",
        settings: Mapping[str, Any] | None = None,
        types: Mapping[str, Any] | None = None,
        constraints: str | Sequence[str] | None = None,
        device: str = "auto",
        random_state: Any = None,
    ):
        self.ratio = ratio
        self.classes = classes
        self.whole = whole
        self.steps = steps
        self.budget = budget
        self.recipe = recipe
        self.settings = settings
        self.types = types
        self.constraints = constraints
        self.device = device
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Learn rows X (N, D) given y (N,), unless no class lacks rows."""
        self._fit(X, y)
        return self

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, np.ndarray]:
        """X and y with the new rows behind them, in the form that they came in."""
        X, y, items = self._fit(X, y)
        if self.model_ is None:
            return X, y
        wanted = self.added_
        count = sum(wanted.values()) if wanted else max(1, round(self.ratio * len(y)))
        table = rows_of_codec(self.model_, items)
        target = str(self.form_.target)
        new = draw(self.model_, table, target, wanted, count, seed=self._seed(), show=False)
        return stacked(X, self.form_.x(new)), np.concatenate([y, self.form_.y(new)])

    def _fit(self, X: Any, y: Any) -> tuple[Any, np.ndarray, Any]:
        X, y = checked(self, X, y)
        types = dict(self.types or {})
        items, self.form_ = tabled(X, y, types)
        self.added_ = None
        if not self.whole:
            cells = items.data.columns[self.form_.target]
            self.added_ = lacking(class_counts(cells, "y"), "y", self.ratio, self.classes)
            if y.dtype.kind == "f":  # classes that are spelt as decimal numbers
                if (y != np.round(y)).any():
                    raise DataError(
                        "y holds decimal numbers, which are no classes; give whole numbers or "
                        "words, or whole=True for rows of all kinds"
                    )
                items, self.form_ = tabled(X, y.astype(np.int64), types)
        needed = self.added_ is None or bool(self.added_)
        self.model_ = self._learn(items, self.form_) if needed else None
        return X, y, items


def _has(name: str) -> Any:
    return lambda self: hasattr(getattr(self, "estimator_", self.estimator), name)


class Augmented(MetaEstimatorMixin, BaseEstimator):
    """An estimator that learns from augmented rows, and answers for rows as they are.

    A pipeline of scikit-learn can't change y, so an augmenter is no step of one; this is. Within
    cross-validation only training folds are augmented.

    Args:
        estimator: what learns.      augmenter: an `Augmenter`, or another with `fit_resample`.
    """

    def __init__(self, estimator: Any, augmenter: Any = None):
        self.estimator = estimator
        self.augmenter = augmenter

    def __sklearn_tags__(self) -> Any:
        tags, own = super().__sklearn_tags__(), get_tags(self.estimator)
        tags.estimator_type = own.estimator_type
        tags.classifier_tags, tags.regressor_tags = own.classifier_tags, own.regressor_tags
        tags.target_tags.required = True
        tags.input_tags.allow_nan = own.input_tags.allow_nan
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Augment, then fit the estimator to real and new rows."""
        self.augmenter_ = Augmenter() if self.augmenter is None else clone(self.augmenter)
        more, labels = self.augmenter_.fit_resample(X, y)
        self.estimator_ = clone(self.estimator).fit(more, labels)
        return self

    @property
    def classes_(self) -> Any:
        """The classes that the estimator saw."""
        return self.estimator_.classes_

    @property
    def n_features_in_(self) -> int:
        """How many columns X has."""
        return self.augmenter_.n_features_in_

    def predict(self, X: Any) -> Any:
        """What the estimator says."""
        check_is_fitted(self)
        return self.estimator_.predict(X)

    @available_if(_has("predict_proba"))
    def predict_proba(self, X: Any) -> Any:
        """The chances of the classes, if the estimator gives them."""
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    @available_if(_has("score"))
    def score(self, X: Any, y: Any) -> float:
        """The estimator's own score."""
        check_is_fitted(self)
        return self.estimator_.score(X, y)
