"""A generator: learns rows, draws new ones, alone or given y."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from unfog.errors import ArgumentError, DataError
from unfog.judge.states import np_rng
from unfog.judge.table.features import encode, roles_of
from unfog.judge.table.twosample import tree_auc
from unfog.kinds.table.read import plain
from unfog.sklearn.estimator import Learning
from unfog.sklearn.frames import checked, tabled

FEWEST = 20


class Generator(Learning):
    """Draws new rows like those it was fitted on: mixed columns, missing cells, given y.

    Args:
        steps: updates of training; or `budget`, wall-clock time such as "90s" (5m if neither).
        recipe: see `unfog recipes`.      settings: dotted configuration keys.
        types: column → role, where the guess is not wanted ("x0", "x1", … for arrays).
        constraints: what every drawn row obeys, such as "x0 <= x1".
        device: "auto", "cpu", "cuda".      random_state: seed of training and of the draws.

    Attributes: model_ (a `Trained`), n_features_in_, feature_names_in_ (of frames).
    """

    def __init__(
        self,
        *,
        steps: int | None = None,
        budget: str | float | None = None,
        recipe: str = "flow",
        settings: Mapping[str, Any] | None = None,
        types: Mapping[str, Any] | None = None,
        constraints: str | Sequence[str] | None = None,
        device: str = "auto",
        random_state: Any = None,
    ):
        self.steps = steps
        self.budget = budget
        self.recipe = recipe
        self.settings = settings
        self.types = types
        self.constraints = constraints
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn rows X (N, D), given y (N,) where there is one.

        Args:
            X: array or frame; NaN is a missing cell, which is learnt too.
        Raises: DataError (a ValueError) for a table that can't be learnt.
        """
        if y is None:
            X = checked(self, X)
        else:
            X, y = checked(self, X, y)
        items, self.form_ = tabled(X, y, dict(self.types or {}))
        self.model_ = self._learn(items, self.form_)
        target = self.form_.target
        self.conditions_ = np.empty(0) if target is None else plain(items.data.columns[target])
        return self

    def sample(self, n_samples: int = 1, y: Any = None, random_state: Any = None) -> Any:
        """Draw rows: X in the form it was fitted on, and with it y (a pair) if fitted with y.

        Args:
            y: one value for all rows, or `n_samples` of them; drawn as in training where None.
            random_state: seed of the draws; the estimator's own where None.
        """
        check_is_fitted(self)
        table = self._rows(n_samples, y, self._seed(random_state))
        drawn = self.form_.x(table)
        return drawn if self.form_.target is None else (drawn, self.form_.y(table))

    def _rows(self, count: int, y: Any, seed: int) -> Any:
        target = self.form_.target
        if target is None:
            if y is not None:
                raise ArgumentError("this generator was fitted without y, so it can't be given one")
            return self.model_.sample(count, seed=seed, show=False).raw
        if y is None:
            dice = np_rng(seed, "conditions")
            y = self.conditions_[dice.integers(len(self.conditions_), size=count)]
        asked = list(np.asarray(y).tolist()) if np.ndim(y) else y
        return self.model_.sample(count, given={target: asked}, seed=seed, show=False).raw

    def score(self, X: Any, y: Any = None) -> float:
        """1 − the area under the curve of boosted trees that tell as many drawn rows from X.

        About 0.5 where they can't be told apart, 0 where they always can: higher is better, so that
        grid search can choose. Needs 20 rows.
        """
        check_is_fitted(self)
        X = checked(self, X, reset=False)
        if len(X) < FEWEST:
            raise DataError(f"{len(X)} rows are too few to be judged against; give {FEWEST}")
        given = None if self.form_.target is None else y
        if given is not None:
            X, given = checked(self, X, given, reset=False)
        items, _ = tabled(X, None, {})
        table = items.data
        drawn = self._rows(len(table), given, self._seed())
        roles = roles_of(table)
        if all(role == "skip" for role in roles.values()):
            raise DataError("every column is constant or a key; there is nothing to compare")
        real, new = encode([table, drawn], roles)
        return 1.0 - tree_auc(new, real, seed=self._seed()).value
