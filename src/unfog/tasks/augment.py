"""Augment: new rows for the rare classes of a table, or for all of it, by conditioning."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unfog.errors import ArgumentError, DataError
from unfog.judge.states import np_rng
from unfog.kinds import kinds
from unfog.kinds.given import find, resolve
from unfog.kinds.items import Items
from unfog.kinds.table.balance import class_counts, joined, lacking, rows_of
from unfog.kinds.table.cells import Cells, Table
from unfog.kinds.table.read import plain
from unfog.tasks.trained import Trained

MOST_ROWS = 10_000_000


@dataclass(frozen=True)
class Augmentation:
    """New rows, and the real ones that they are for.

    Attributes:
        new, real: tables of the same columns and types.
        added: class -> new rows; empty where the whole table was augmented.
        notes: what a reader has to know, one sentence each.
    """

    new: Table
    real: Table
    added: Mapping[Any, int]
    notes: tuple[str, ...] = ()
    origin: dict[str, Any] = field(repr=False, default_factory=dict)

    def __len__(self) -> int:
        return len(self.new)

    @property
    def data(self) -> Any:
        """The new rows in the type that the table was given in."""
        return kinds["table"].give_back(self.new, self.origin)

    def marked(self, name: str) -> Table:
        """Real rows, then new ones, with a column that is true for the new ones.

        Raises: ArgumentError for the name of a column that is there.
        """
        if name in self.real.columns:
            raise ArgumentError(f"the table has a column {name!r} already; name the mark otherwise")
        both = joined([self.real, self.new])
        new = np.arange(len(both)) >= len(self.real)
        return Table({**both.columns, name: Cells(new, np.ones(len(both), bool))})

    def save(
        self, out: str | pathlib.Path, *, mark: str | None = None, overwrite: bool = False
    ) -> pathlib.Path:
        """Write the new rows, or with `mark` real and new ones and a column that tells them apart.

        The format goes by the suffix of `out`: .csv, .tsv, .parquet; a folder gets samples.csv.
        """
        table = self.new if mark is None else self.marked(mark)
        return kinds["table"].save(table, out, origin=self.origin, overwrite=overwrite)


def augment(
    model: Trained,
    source: Any,
    *,
    target: str,
    ratio: float = 1.0,
    classes: Sequence[Any] | None = None,
    whole: bool = False,
    seed: int = 0,
    steps: int | None = None,
    scale: float | None = None,
    show: bool | None = None,
) -> Augmentation:
    """Draw new rows that complete a table, from a model of tables.

    Rows of a class are drawn given the class, so the model has to be fitted with `given=target`.
    Whatever else it is given comes from real rows of the same class.

    Args:
        source: the table that is augmented, as `fit` reads one.
        target: the column that something is to be learnt about.
        ratio: rare classes get as many rows as bring them to `ratio` times the commonest class;
            with `whole`, that many new rows per real one.
        classes: the classes that get rows; all rarer ones where None.
        whole: rows of all kinds, in the proportions of the table, for any type of target.
        steps, scale: of sampling.
    Raises: ArgumentError for a model of another kind or one that was not given the target,
        UnknownName for a column or class that isn't there, DataError if no class lacks rows.
    """
    items = table_for(model, source)
    target = resolve(target, items.data.columns)
    if whole and classes is not None:
        raise ArgumentError("rows of all kinds, or of some classes: leave whole or classes out")
    wanted: dict[Any, int] | None = None
    if not whole:
        wanted = rare(model, items.data, target, ratio, classes)
    count = _count(len(items), ratio) if wanted is None else sum(wanted.values())
    gone = int((~items.data.columns[target].present).sum())
    notes = [f"{gone} rows have no {target!r}; they belong to no class"] if gone else []
    new = draw(
        model, items.data, target, wanted, count, seed=seed, steps=steps, scale=scale, show=show
    )
    return Augmentation(new, items.data, wanted or {}, tuple(notes), items.origin)


def table_for(model: Trained, source: Any) -> Items:
    """The source read as the model's data was, its columns and types checked to be the model's."""
    if model.config.kind != "table":
        raise ArgumentError(
            f"augment is for tables, and {model.folder} is a model of {model.config.kind}s; draw "
            "from it with `unfog sample`"
        )
    reading = dict(model.config.data.reading)
    if not isinstance(source, str | pathlib.Path):
        reading = {name: value for name, value in reading.items() if name == "types"}
    items = kinds["table"].read(source, **reading)
    table = model.borders.codec.check(items.data)
    return Items(
        "table",
        table,
        {n: plain(c) for n, c in table.columns.items()},
        notes=items.notes,
        origin=items.origin,
    )


def rare(
    model: Trained, table: Table, target: str, ratio: float, classes: Sequence[Any] | None
) -> dict[Any, int]:
    """class -> rows to add. Raises as `augment`."""
    cells = table.columns[target]
    wanted = lacking(class_counts(cells, target), target, ratio, classes)
    if not wanted:
        raise DataError(
            f"no class of {target!r} has fewer rows than {ratio:g} times the commonest one: there "
            "is nothing to add; give a larger ratio, other classes, or ask for rows of all kinds "
            "(whole=True, --whole)"
        )
    name = given_name(model, table, target)
    if name is None:
        raise ArgumentError(
            f"this model was fitted without given {target!r}, so it can't draw rows of a class: "
            "drawing rows of all kinds and keeping those of one is rejection, not conditioning; "
            f"fit again with given={target!r} (--given {target}), or ask for rows of all kinds "
            "(whole=True, --whole)"
        )
    said = model.borders.given.specs[name]["type"]
    if said != "class":
        raise ArgumentError(
            f"the model takes {target!r} as a {said}, not as classes; fit again with the type "
            f"category for it (--types {target}=category), or ask for rows of all kinds (--whole)"
        )
    return wanted


def given_name(model: Trained, table: Table, target: str) -> str | None:
    """What the model calls the target among its conditions; None if it is not one."""
    names = table.columns
    return next((name for name in model.borders.given.fields if find(name, names) == target), None)


def draw(
    model: Trained,
    table: Table,
    target: str,
    wanted: Mapping[Any, int] | None,
    count: int,
    *,
    seed: int = 0,
    steps: int | None = None,
    scale: float | None = None,
    show: bool | None = None,
) -> Table:
    """New rows, with conditions as they stand together in real rows.

    Args:
        table: real rows, as the model's codec takes them.
        wanted: class -> rows; `count` rows in the table's own proportions where None.
    """
    if not 1 <= count <= MOST_ROWS:
        raise ArgumentError(f"{count} new rows; between 1 and {MOST_ROWS} are possible at once")
    dice = np_rng(seed, "augment")
    if wanted is None:
        like = dice.integers(len(table), size=count)
    else:
        cells = table.columns[target]
        like = np.concatenate(
            [dice.choice(rows_of(cells, value), size=n) for value, n in wanted.items()]
        )
    columns = {name: plain(cells) for name, cells in table.columns.items()}
    asked = {name: list(values[like]) for name, values in model.borders.given.pick(columns).items()}
    samples = model.sample(
        count, given=asked or None, seed=seed, steps=steps, scale=scale, show=show
    )
    return _own_keys(model, samples.raw, table)


def _own_keys(model: Trained, new: Table, real: Table) -> Table:
    """New rows with identifiers that no real row has, held-out ones included."""
    columns = dict(new.columns)
    for name, column in model.borders.codec.columns.items():
        if column.identifiers is None:
            continue
        cells, taken = columns[name], real.columns[name].known()
        values, start = cells.values.copy(), len(new)
        while True:
            clash = np.flatnonzero(cells.present & np.isin(values, taken))
            if not len(clash):
                break
            values[clash] = column.identifiers.issue(start, len(clash))
            start += len(clash)
        columns[name] = Cells(values, cells.present)
    return Table(columns)


def _count(rows: int, ratio: float) -> int:
    if not ratio > 0:
        raise ArgumentError(f"ratio={ratio} new rows per real one; it is more than 0")
    return max(1, round(rows * ratio))
