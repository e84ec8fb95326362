"""Rows that obey what was declared: drawn again where they don't, moved as a last resort."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unfog.errors import ArgumentError
from unfog.kinds.asked import Condition
from unfog.kinds.table.allowed import plain_cells
from unfog.kinds.table.cells import Table
from unfog.kinds.table.codec import TableCodec
from unfog.kinds.table.constraints import Constraint, texts_of
from unfog.kinds.table.derived import broken
from unfog.kinds.table.move import moved

if TYPE_CHECKING:
    from unfog.tasks.generate import Samples
    from unfog.tasks.trained import Trained

TRIES = 100
"""Draws of a row, at most, before its cells are moved."""
MOST_MOVED = 0.5
"""Share of the rows that may be moved; more would be no model's rows."""
HOPELESS, MANY = 8, 32
"""Draws after which a batch of so many rows is given up, if not one of them obeys."""
Again = Callable[[list[int], int], Any]


@dataclass
class Kept:
    """What obeying cost.

    Attributes:
        words: the constraints, as they were written.     rows: how many rows there are.
        again: rows that were drawn more than once.     draws: how many draws that took.
        moved: rows of which cells were moved.
    """

    words: list[str]
    rows: int = 0
    again: int = 0
    draws: int = 0
    moved: int = 0

    def facts(self) -> dict[str, Any]:
        """JSON-able."""
        return {"constraints": self.words, **{
            name: getattr(self, name) for name in ("rows", "again", "draws", "moved")
        }}  # fmt: skip

    def __str__(self) -> str:
        share = 100 * self.again / max(1, self.rows)
        return (
            f"{' and '.join(self.words)}: obeyed by all {self.rows} rows; {share:.1f} % of them "
            f"were drawn again ({self.draws} draws), {self.moved} moved"
        )


@dataclass
class Rules:
    """What rows have to obey.

    Attributes:
        constraints: without exception.     conditions: column -> what was asked of a column that
            is computed, as far as drawing again reaches it.
        kept: what that cost so far.
    """

    codec: TableCodec
    constraints: list[Constraint]
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    kept: Kept = field(default_factory=lambda: Kept([]))

    def obeyed(self, table: Table) -> np.ndarray:
        """(N,) bool; an equation that moving a column makes true is obeyed, as no draw meets it."""
        equations = [one for one in self.constraints if one.sign == "=="]
        if equations:
            rows = np.any([~one.obeyed(table.columns) for one in equations], axis=0)
            table = moved(self.codec, equations, table, rows) if rows.any() else table
        good = np.ones(len(table), dtype=bool)
        for one in self.constraints:
            good &= one.obeyed(table.columns)
        for name, condition in self.conditions.items():
            good &= condition.met(plain_cells(table.columns[name]))
        return good


def rules_of(
    model: Trained,
    constraints: Sequence[str] | str | None,
    conditions: Mapping[str, Condition] | None = None,
) -> Rules | None:
    """The run's constraints with further ones; None where nothing has to be obeyed.

    Raises: ArgumentError for what can't be read or contradicts the run's, or of other kinds.
    """
    more = texts_of(constraints)
    if model.config.kind != "table":
        if more:
            raise ArgumentError(
                f"constraints are of tables, and this is a model of {model.config.kind}s"
            )
        return None
    codec = model.borders.codec
    words = [*codec.constraints, *(text for text in more if text not in codec.constraints)]
    if not words and not conditions:
        return None
    rules = codec.read_constraints(words)
    return Rules(codec, rules, dict(conditions or {}), Kept([one.text for one in rules]))


def obey(
    rules: Rules, state: Any, first: int, given: Mapping[str, Any], again: Again
) -> dict[str, torch.Tensor]:
    """A batch of which rows that break a rule were drawn again, each by itself.

    Args:
        first: number of the batch's first row.     given: values that its rows will hold.
        again: (places, attempt) -> their states.
    """

    def bad(state: dict[str, torch.Tensor]) -> np.ndarray:
        table = rules.codec.with_given(rules.codec.decode(state, start=first), given)
        return np.flatnonzero(~rules.obeyed(table))

    left, whole = bad(state), len(next(iter(state.values())))
    rules.kept.again += len(left)
    for attempt in range(1, TRIES):
        hopeless = attempt > HOPELESS and len(left) == whole >= MANY
        if not len(left) or hopeless:
            break
        fresh = again(left.tolist(), attempt)
        rules.kept.draws += len(left)
        places = torch.from_numpy(left)
        state = {n: v.index_copy(0, places, fresh[n].to(v)) for n, v in state.items()}
        left = bad(state)
    return state


def finished(rules: Rules | None, samples: Samples, fixed: Collection[str] = ()) -> Samples:
    """Samples that obey every constraint, for certain: checked on the rows as users get them.

    Args:
        fixed: columns that must not be moved, because they are as asked.
    Raises: ArgumentError where rows break one and can't be moved.
    """
    if rules is None:
        return samples
    table, codec = samples.raw, rules.codec
    wrong = np.zeros(len(table), dtype=bool)
    for one in rules.constraints:
        wrong |= ~one.obeyed(table.columns)
    if wrong.any():
        far = int((~rules.obeyed(table)).sum()) if not rules.conditions else 0
        if far > MOST_MOVED * len(table):
            raise ArgumentError(
                f"{far} of {len(table)} rows break {' or '.join(map(repr, rules.kept.words))} "
                f"after {TRIES} draws each: the model hardly draws such rows; ask for less, or fit "
                "on rows that are so"
            )
        table = moved(codec, rules.constraints, table, wrong, frozenset(fixed))
        rules.kept.moved += int(wrong.sum())
    _certain(rules, table, fixed)
    kept, before = rules.kept, samples.kept
    kept.rows = len(table)
    if before is not None and before is not kept:  # of the draw that this one was made of
        kept.again, kept.draws = kept.again + before.again, kept.draws + before.draws
        kept.moved = max(kept.moved, before.moved)
    return dataclasses.replace(samples, raw=table, kept=rules.kept if rules.constraints else None)


def _certain(rules: Rules, table: Table, fixed: Collection[str]) -> None:
    """Raises ArgumentError for the first constraint or function that a row breaks."""
    for one in rules.constraints:
        count = int((~one.obeyed(table.columns)).sum())
        if count:
            among = f", among {', '.join(fixed)} as asked" if fixed else ""
            raise ArgumentError(
                f"{count} of {len(table)} rows still break {one.text!r} after {TRIES} draws "
                f"each{among}, and no column of it can be moved so that they don't: loosen it, "
                "or declare it when the model is fitted (unfog fit --constrain)"
            )
    for name, wrong in broken(rules.codec.functions, table).items():
        if wrong.any() and name not in fixed:
            raise ArgumentError(
                f"{int(wrong.sum())} rows break {rules.codec.functions[name].words(name)} beside "
                "what is asked; ask for less at once"
            )
