"""A table with its holes filled: many draws of it, as one table, or as intervals."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unfog.errors import ArgumentError, DataError
from unfog.kinds import kinds
from unfog.kinds.table.cells import Cells, Table
from unfog.tasks.met import Met

DRAW = "draw"


@dataclass(frozen=True)
class Filled:
    """The rows as they were given, with every draw of their holes.

    `len(filled)` is the number of draws; iterating gives the filled tables, one per draw, each in
    the user's own type.

    Attributes:
        known: the table as read, with the empty cells that stay.
        holes: column -> (N,) bool, the cells that were drawn.
        drawn: per draw, column -> the values of its holes, in the order of rows.
        notes: sentences about cells that were filled otherwise or stay empty.
        origin: how to give the user's type back.     index: of the frame that was given, if any.
        met: how far what was asked of the drawn cells is met, known cells counted too.
        likely: column -> its levels and their chances, where these were asked for.
    """

    known: Table
    holes: dict[str, np.ndarray]
    drawn: list[dict[str, np.ndarray]]
    notes: list[str] = field(default_factory=list)
    origin: dict[str, Any] = field(repr=False, default_factory=dict)
    index: Any = field(repr=False, default=None)
    met: Met | None = None
    likely: dict[str, tuple[np.ndarray, np.ndarray]] = field(repr=False, default_factory=dict)

    def __len__(self) -> int:
        return len(self.drawn)

    def __iter__(self) -> Iterator[Any]:
        return (self.draw(number) for number in range(len(self)))

    def draw(self, number: int) -> Any:
        """The table of one draw, counted from 0, in the user's own type."""
        return self._back(self.table(number), 1)

    @property
    def data(self) -> Any:
        """The filled table in the user's own type; of several draws all of them, one below the
        other, with a column `draw` in front.
        """
        return self._back(self._long(), len(self))

    @property
    def count(self) -> int:
        """How many cells were drawn, in each draw."""
        return int(sum(hole.sum() for hole in self.holes.values()))

    @property
    def satisfied(self) -> dict[str, float]:
        """Condition -> share of the rows of all draws that meet it, known cells counted too."""
        return {} if self.met is None else dict(self.met.rates)

    @property
    def ess(self) -> float | None:
        """Effective number of candidates that each row was picked from; None where none were."""
        return None if self.met is None else self.met.ess

    def table(self, number: int) -> Table:
        """The rows of one draw as typed cells."""
        columns = dict(self.known.columns)
        for name, values in self.drawn[number].items():
            cells, hole = columns[name], self.holes[name]
            whole = cells.values.copy()
            whole[hole] = values
            columns[name] = Cells(whole, cells.present | hole)
        return Table(columns)

    def values(self, column: str) -> tuple[np.ndarray, np.ndarray]:
        """Rows (H,) of the column's holes, and what was drawn for them (draws, H)."""
        if column not in self.holes:
            raise ArgumentError(
                f"column {column!r} has no holes that were filled; those that have: "
                f"{', '.join(self.holes) or 'none'}"
            )
        rows = np.flatnonzero(self.holes[column])
        return rows, np.stack([one[column] for one in self.drawn])

    def chances(self, column: str) -> tuple[np.ndarray, np.ndarray]:
        """Levels (K,) of a column, and the chance (H, K) of each in every hole, in the order of
        `values`: the mean over draws of what the hole was drawn from.

        Raises: ArgumentError for columns without, and where `fill` was not asked for chances.
        """
        if column not in self.likely:
            raise ArgumentError(
                f"there are no chances of column {column!r}: fill(..., chances=True) keeps them, "
                f"for holes in columns of levels; now there are those of: "
                f"{', '.join(self.likely) or 'none'}"
            )
        return self.likely[column]

    def interval(self, level: float = 0.9) -> Any:
        """A frame with row, column, low, median and high of every hole in a column of numbers.

        The ends are order statistics, placed such that as many of the true values lie between as
        `level` says if they are distributed as the draws are, whatever the number of draws.

        Raises: ArgumentError where there are too few draws for the level.
        """
        import pandas as pd

        if not 0 < level < 1:
            raise ArgumentError(f"level lies between 0 and 1, for example 0.9; got {level!r}")
        least = int(np.ceil(2 / (1 - level) - 1 - 1e-9))
        if len(self) < least:
            raise ArgumentError(
                f"an interval of {level:g} needs {least} draws or more; got {len(self)}: fill "
                f"again with draws={least}"
            )
        frames = []
        for name in self.holes:
            rows, drawn = self.values(name)
            if drawn.dtype.kind not in "fi":
                continue
            ends = np.quantile(
                drawn, [(1 - level) / 2, 0.5, (1 + level) / 2], axis=0, method="weibull"
            )
            frames.append(
                pd.DataFrame(
                    {"row": rows, "column": name, **dict(zip(("low", "median", "high"), ends))}
                )
            )
        if not frames:
            return pd.DataFrame(columns=["row", "column", "low", "median", "high"])
        return pd.concat(frames, ignore_index=True)

    def save(self, out: str | pathlib.Path, *, overwrite: bool = False) -> pathlib.Path:
        """Write `data` to .csv, .tsv or .parquet; known cells are spelt as they were read."""
        return kinds["table"].save(self._long(), out, origin=self.origin, overwrite=overwrite)

    def save_chances(self, out: str | pathlib.Path, *, overwrite: bool = False) -> pathlib.Path:
        """Write row, column, level and chance of every hole in a column of levels, like `save`."""
        parts: dict[str, list[Any]] = {"row": [], "column": [], "level": [], "chance": []}
        for name, (levels, chances) in self.likely.items():
            rows = np.flatnonzero(self.holes[name])
            parts["row"].append(np.repeat(rows, len(levels)))
            parts["column"].append(np.full(chances.size, name, dtype=object))
            parts["level"].append(np.tile(levels.astype(str).astype(object), len(rows)))
            parts["chance"].append(chances.ravel().astype(np.float64))
        if not self.likely:
            raise ArgumentError("there are no chances: no hole is in a column of levels")
        cells = {name: np.concatenate(values) for name, values in parts.items()}
        table = Table({n: Cells(v, np.ones(len(v), dtype=bool)) for n, v in cells.items()})
        return kinds["table"].save(table, out, overwrite=overwrite)

    def facts(self) -> dict[str, Any]:
        """What was done, JSON-able."""
        any_hole = np.zeros(len(self.known), dtype=bool)
        for hole in self.holes.values():
            any_hole |= hole
        return {
            "rows": len(self.known),
            "rows_with_holes": int(any_hole.sum()),
            "holes": {name: int(hole.sum()) for name, hole in self.holes.items()},
            "draws": len(self),
            "notes": self.notes,
        } | ({} if self.met is None else {"given": self.met.facts()})

    def _long(self) -> Table:
        tables = [self.table(number) for number in range(len(self))]
        if len(tables) == 1:
            return tables[0]
        if DRAW in self.known.columns:
            raise DataError(
                f"the table has a column {DRAW!r} already, which would say which draw a row "
                "belongs to: rename it, or take one draw at a time"
            )
        number = np.repeat(np.arange(len(self)), len(self.known))
        columns = {DRAW: Cells(number, np.ones(len(number), dtype=bool))}
        for name in self.known.names:
            parts = [table.columns[name] for table in tables]
            columns[name] = Cells(
                np.concatenate([part.values for part in parts]),
                np.concatenate([part.present for part in parts]),
            )
        return Table(columns)

    def _back(self, table: Table, draws: int) -> Any:
        made = kinds["table"].give_back(table, self.origin)
        if self.index is not None:
            made.index = self.index.take(np.tile(np.arange(len(self.known)), draws))
        return made
