"""What all estimators share: parameters of learning, the seed, tags, pickling as files."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from unfog.kinds import kinds
from unfog.kinds.items import Items
from unfog.kinds.table.cells import Table
from unfog.sklearn.frames import Form, checked, tabled
from unfog.tasks.fit import fit
from unfog.tasks.load import load
from unfog.tasks.trained import Trained

LEFT = ("checkpoints",)


class Learning(BaseEstimator):
    """Parameters of learning a model of rows; every subclass names them in its own signature."""

    steps: int | None
    budget: str | float | None
    recipe: str
    settings: Mapping[str, Any] | None
    types: Mapping[str, Any] | None
    constraints: str | Sequence[str] | None = None
    device: str
    random_state: Any
    model_: Any
    form_: Form

    def _seed(self, random_state: Any = None) -> int:
        """The seed: the number itself, or one drawn from what is given."""
        state = self.random_state if random_state is None else random_state
        if isinstance(state, Integral):
            return int(state)
        return int(check_random_state(state).randint(2**31 - 1))

    def _learn(self, items: Items, form: Form, held: float = 0.0) -> Trained:
        """A model of all rows but those held out, given y where there is one."""
        return fit(
            kinds["table"].give_back(items.data, items.origin),
            kind="table",
            given=[form.target] if form.target else [],
            recipe=self.recipe,
            steps=self.steps,
            budget=self.budget,
            settings=self.settings,
            reading={"types": items.origin["types"]},
            constraints=self.constraints,
            seed=self._seed(),
            device=self.device,
            held=held,
            quiet=True,
            show=False,
        )

    def _asked(self, X: Any) -> tuple[Any, Form]:
        """Rows that are asked about, one or more, as the model takes them, and their form."""
        check_is_fitted(self)
        X = checked(self, X, reset=False, least=1)
        items, form = tabled(X, None, self.form_.origin["types"], least=1)
        return kinds["table"].give_back(items.data, items.origin), form

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = False
        tags.non_deterministic = False
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        model = state.get("model_")
        if isinstance(model, Trained):
            state["model_"] = {
                str(path.relative_to(model.folder)): path.read_bytes()
                for path in sorted(model.folder.rglob("*"))
                if path.is_file() and path.relative_to(model.folder).parts[0] not in LEFT
            }
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        kept = state.get("model_")
        super().__setstate__(state)
        if isinstance(kept, dict):
            keeper = tempfile.TemporaryDirectory(prefix="unfog-")
            for name, content in kept.items():
                path = pathlib.Path(keeper.name) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            self.model_ = load(keeper.name, device=self.device)
            self.model_.keeper = keeper


def rows_of_codec(model: Trained, items: Items) -> Table:
    """The rows in the codec's order and types."""
    return model.borders.codec.check(items.data)
