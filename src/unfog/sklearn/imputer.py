"""An imputer: learns rows with holes, draws what the holes of rows may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from sklearn.base import OneToOneFeatureMixin, TransformerMixin

from unfog.errors import ArgumentError
from unfog.sklearn.estimator import Learning
from unfog.sklearn.frames import checked, tabled


class Imputer(OneToOneFeatureMixin, TransformerMixin, Learning):
    """Draws missing cells given the known cells of their row; known cells stay as they are.

    `transform` gives one draw, which has the spread that the true cells have: a mean of draws would
    not. `multiple` gives several, for analyses that are to know how sure an imputation is.

    Args:
        unknown: "refuse" rows that hold levels which training did not have, or take them
            "as-missing".
        steps, budget, recipe, settings, types, constraints, device, random_state: as `Generator`
            takes them.

    Attributes: model_ (a `Trained`), n_features_in_, feature_names_in_ (of frames).
    """

    def __init__(
        self,
        *,
        unknown: str = "refuse",
        steps: int | None = None,
        budget: str | float | None = None,
        recipe: str = "flow",
        settings: Mapping[str, Any] | None = None,
        types: Mapping[str, Any] | None = None,
        constraints: str | Sequence[str] | None = None,
        device: str = "auto",
        random_state: Any = None,
    ):
        self.unknown = unknown
        self.steps = steps
        self.budget = budget
        self.recipe = recipe
        self.settings = settings
        self.types = types
        self.constraints = constraints
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn rows X (N, D), an array or frame; NaN and None are holes. y is not looked at."""
        X = checked(self, X)
        items, self.form_ = tabled(X, None, dict(self.types or {}))
        self.model_ = self._learn(items, self.form_)
        self.seed_ = self._seed()
        return self

    def transform(self, X: Any) -> Any:
        """X with its holes drawn once, in the form that it came in."""
        return self.multiple(X, 1)[0]

    def multiple(self, X: Any, draws: int = 5) -> list[Any]:
        """`draws` tables that differ where X has holes (Rubin's multiple imputations)."""
        if not isinstance(draws, int) or draws < 1:
            raise ArgumentError(f"draws is a whole number, 1 or more; got {draws!r}")
        source, form = self._asked(X)
        filled = self.model_.fill(
            source, draws=draws, seed=self.seed_, unknown=self.unknown, show=False
        )
        return [form.x(filled.table(number)) for number in range(draws)]
