"""Judge an augmentation: is anything learnt better with new rows than without?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unfog.errors import ArgumentError
from unfog.judge.baselines import baselines
from unfog.judge.table.gain import Deal, Gain, Maker, known_rows, measure_gain, pass_seconds
from unfog.kinds import kinds
from unfog.kinds.given import find, resolve
from unfog.kinds.items import Items
from unfog.kinds.table.balance import class_counts, joined, lacking, rows_of
from unfog.kinds.table.cells import Table
from unfog.tasks.augment import draw, rare, table_for
from unfog.tasks.config import seconds
from unfog.tasks.evaluate import JUDGED
from unfog.tasks.fit import fit
from unfog.tasks.show import bar, note
from unfog.tasks.trained import Trained

BUDGET = "10s"
OURS = "our rows"
RIVALS = {"smote": "SMOTE", "neighbours": "jitter"}


@dataclass(frozen=True)
class Wishes:
    """How many rows are wanted, as `augment` takes it."""

    ratio: float
    classes: Sequence[Any] | None
    whole: bool

    def rows(self, train: Table, target: str) -> dict[Any, int] | None:
        """class -> rows for these training rows; None for rows of all kinds."""
        if self.whole:
            return None
        counts = class_counts(train.columns[target], target)
        return lacking(counts, target, self.ratio, self.classes)

    def count(self, train: Table) -> int:
        """Rows of all kinds."""
        return max(1, round(self.ratio * len(train)))


def judge_gain(
    model: Trained,
    source: Any,
    *,
    target: str,
    ratio: float = 1.0,
    classes: Sequence[Any] | None = None,
    whole: bool = False,
    budget: str | float | None = None,
    steps: int | None = None,
    seeds: int = 5,
    folds: int = 3,
    seed: int = 0,
    show: bool | None = None,
    quiet: bool = False,
) -> Gain:
    """Measure by nested cross-validation what new rows gain, beside SMOTE, jitter, class weights.

    The model is learnt anew from every training set alone, by the run's recipe, so it has not seen
    what it is tested on. How long all of it takes is said before it starts.

    Args:
        source, target, ratio, classes, whole: as `augment` takes them.
        budget: of every learning (default 10s), or `steps`.
        seeds, folds: how often the rows are dealt, into how many parts.
    Raises: as `augment`; DataError for classes too rare to be judged.
    """
    if budget is not None and steps is not None:
        raise ArgumentError("give a budget or a number of steps, not both")
    items = table_for(model, source)
    target = resolve(target, items.data.columns)
    if not whole:
        rare(model, items.data, target, ratio, classes)  # what can't be done is refused now
    codec, deal = model.borders.codec, Deal(seeds, folds, seed)
    roles = {name: JUDGED[role.kind] for name, role in codec.roles.items()}
    if not whole:
        roles[target] = "category"
    roles = known_rows(items.data, target, roles, deal)[1]
    wishes = Wishes(ratio, classes, whole)
    applied = [name for name in RIVALS if baselines[name].applies(items.data)]
    makers: dict[str, Maker] = {OURS: _ours(model, items, target, wishes, budget, steps)}
    for name in applied:
        makers[RIVALS[name]] = _rival(name, target, wishes)
    begun = time.monotonic()
    note(_time(model, items, target, roles, deal, budget, steps, len(makers)), quiet=quiet)
    with bar("judging the gain", deal.seeds * deal.folds, show=show) as line:
        found = measure_gain(
            items.data,
            target,
            makers,
            roles=roles,
            deal=deal,
            progress=lambda done, total: line.to(done),
        )
    how = f"{steps} updates" if steps is not None else f"{seconds(budget or BUDGET):g} s"
    notes = (f"The model had {how} to learn in every fold.",)
    return Gain(
        found["trials"],
        target,
        found["classes"],
        found["rows"],
        OURS,
        time.monotonic() - begun,
        notes,
    )


def _ours(
    model: Trained,
    items: Items,
    target: str,
    wishes: Wishes,
    budget: str | float | None,
    steps: int | None,
) -> Maker:
    """Learns the model anew from training rows alone, and draws from it."""

    def make(train: Table, seed: int) -> Table:
        wanted = wishes.rows(train, target)
        count = wishes.count(train) if wanted is None else sum(wanted.values())
        if count == 0:
            return train[:0]
        fitted = _learnt(model, items, train, target, seed, budget, steps)
        return draw(
            fitted,
            fitted.borders.codec.check(train),
            target,
            wanted,
            count,
            seed=seed,
            show=False,
        )

    return make


def _learnt(
    model: Trained,
    items: Items,
    train: Table,
    target: str,
    seed: int,
    budget: str | float | None,
    steps: int | None,
    dry_run: bool = False,
) -> Any:
    """A model like this one, of these rows alone."""
    config, names = model.config, train.columns
    types = items.origin.get("types") or {}
    return fit(
        kinds["table"].give_back(train, items.origin),
        kind="table",
        given=[name for name in config.given if find(name, names) is not None],
        recipe=config.recipe,
        budget=None if steps is not None else seconds(BUDGET if budget is None else budget),
        steps=steps,
        reading={"types": {name: types[name] for name in types if name in names}},
        seed=seed,
        device=str(model.device),
        held=0.0,
        dry_run=dry_run,
        quiet=True,
        show=False,
    )


def _rival(name: str, target: str, wishes: Wishes) -> Maker:
    """A baseline that is fitted to the training rows of each class that lacks rows."""

    def make(train: Table, seed: int) -> Table:
        wanted = wishes.rows(train, target)
        row = baselines[name]
        if wanted is None:
            return row.fit_draw(train, wishes.count(train), seed)
        parts = [
            row.fit_draw(train[rows_of(train.columns[target], value)], count, seed)
            for value, count in wanted.items()
        ]
        return joined(parts) if parts else train[:0]

    return make


def _time(
    model: Trained,
    items: Items,
    target: str,
    roles: Mapping[str, str],
    deal: Deal,
    budget: str | float | None,
    steps: int | None,
    makers: int,
) -> str:
    """How long the judging will take."""
    table = known_rows(items.data, target, roles, deal)[0]
    if steps is None:
        each = seconds(BUDGET if budget is None else budget)
    else:
        plan = _learnt(model, items, table, target, deal.seed, None, steps, dry_run=True)
        each = plan["seconds"]["total"]
    learners = pass_seconds(items.data, target, roles, deal, makers)
    total = deal.fits * each + learners
    spoken = f"{total / 60:.0f} min" if total > 150 else f"{total:.0f} s"
    return (
        f"judging the gain takes about {spoken}: {deal.seeds} seeds x {deal.folds} folds x 2 "
        f"(outer and inner) = {deal.fits} times {each:.1f} s to learn, and {learners:.0f} s for "
        "trees and linear models; drawing rows comes on top"
    )
