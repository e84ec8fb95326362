"""A detector of strange rows: learns usual ones, scores others, with calibrated p-values."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from sklearn.base import OutlierMixin

from unfog.errors import ArgumentError
from unfog.sklearn.estimator import Learning
from unfog.sklearn.frames import checked, tabled
from unfog.tasks.score import Scores


class Detector(OutlierMixin, Learning):
    """Finds rows unlike those it was fitted on: mixed columns, missing cells.

    A fifth of the rows is held out twice (validation and test) and not learnt: a row's p-value is
    the share of these that are at least as strange.

    Args:
        level: rows with a p-value of at most this are called strange (-1): the share of false
            alarms among usual rows.
        detector: a name of `unfog detectors`; nearest neighbours where None.
        held: share of the rows that is held out, twice.
        steps, budget, recipe, settings, types, device, random_state: as `Generator` takes them.

    Attributes: model_ (a `Trained`), offset_ (minus the score where
        rows begin to be strange), n_features_in_, feature_names_in_ (of frames).
    """

    def __init__(
        self,
        *,
        level: float = 0.05,
        detector: str | None = None,
        held: float = 0.2,
        steps: int | None = None,
        budget: str | float | None = None,
        recipe: str = "flow",
        settings: Mapping[str, Any] | None = None,
        types: Mapping[str, Any] | None = None,
        device: str = "auto",
        random_state: Any = None,
    ):
        self.level = level
        self.detector = detector
        self.held = held
        self.steps = steps
        self.budget = budget
        self.recipe = recipe
        self.settings = settings
        self.types = types
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn rows X (N, D), an array or frame; NaN is a missing cell. y is not looked at."""
        if not 0 < self.level < 1:
            raise ArgumentError(f"level lies between 0 and 1, for example 0.05; got {self.level!r}")
        X = checked(self, X)
        items, self.form_ = tabled(X, None, dict(self.types or {}))
        self.model_ = self._learn(items, self.form_, held=self.held)
        self.rows_ = self.model_.items  # compared with; a run of data in memory does not keep it
        self.offset_ = -self._threshold(self.scores(X[:1]).usual)
        return self

    def _threshold(self, usual: np.ndarray) -> float:
        """The score beyond which a row's p-value is at most the level."""
        allowed = math.floor(self.level * (len(usual) + 1) + 1e-9) - 1
        if allowed < 0:
            warnings.warn(
                f"{len(usual)} held-out rows give no p-value of {self.level:g} or less, so no row "
                f"is called strange; fit on more rows, or raise held={self.held:g} or the level",
                stacklevel=3,
            )
            return math.inf
        return float(np.sort(usual)[-1 - allowed])

    def scores(self, X: Any) -> Scores:
        """Scores, p-values, and the columns to blame with reasons."""
        source, _ = self._asked(X)
        self.model_.items = self.rows_
        return self.model_.score(source, detector=self.detector, seed=0)

    def score_samples(self, X: Any) -> np.ndarray:
        """(N,) minus the strangeness, in the detector's unit: higher is more usual."""
        return -self.scores(X).score

    def p_values(self, X: Any) -> np.ndarray:
        """(N,) share of held-out rows that are at least as strange."""
        return self.scores(X).p_value

    def decision_function(self, X: Any) -> np.ndarray:
        """(N,) score_samples - offset_: negative for strange rows, at the level."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """(N,) 1 for usual rows, -1 for strange ones."""
        return np.where(self.decision_function(X) < 0, -1, 1)
