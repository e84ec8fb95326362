"""Rows of a table for comparing: states without chance, points where outliers stay far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unfog.kinds.table.cells import Cells, Table
from unfog.kinds.table.codec import TableCodec
from unfog.kinds.table.columns import Column
from unfog.kinds.table.derived import broken, lost

BROKEN = 4.0  # how far a row that breaks a function lies from those that don't, in that column


@dataclass(frozen=True)
class Located:
    """N rows. Attributes: as in `unfog.judge.strange.Rows`."""

    state: dict[str, Tensor]
    points: Tensor
    odd: Tensor
    beyond: Tensor


@dataclass(frozen=True)
class Points:
    """The map from rows to points, fitted on training rows.

    A number has two coordinates: its value in deviations from the mean, and its normal score,
    which goes on linearly beyond open ends. Numbers that are learnt as levels have the value only,
    other levels one coordinate each; a column that is computed from others has one that says
    whether it is otherwise. All are scaled so that two random training rows are 2 apart
    in squared distance in every column.

    Attributes:
        codec: of the run.     scales: column → centre and deviation of its numbers, or the unit of
            its levels.
    """

    codec: TableCodec
    scales: dict[str, tuple[float, float]]

    @classmethod
    def fit(cls, codec: TableCodec, table: Table) -> Points:
        """Learn the spreads from training rows."""
        table, scales = codec.check(table), {}
        for name, column in codec.columns.items():
            known = table.columns[name].known()
            if name in codec.functions:
                scales[name] = (0.0, 1.0)
            elif column.number is not None or _ordered(column):
                numbers = known.astype(np.float64)
                scales[name] = (float(numbers.mean()), float(numbers.std()) or 1.0)
            elif column.levels is not None:
                _, counts = np.unique(known.astype(str), return_counts=True)
                other = 1 - float(np.square(counts / counts.sum()).sum()) if len(known) else 1.0
                scales[name] = (0.0, other**-0.5 if other > 0 else 1.0)
            elif column.mark:
                scales[name] = (0.0, 1.0)  # an identifier: whether there is one
        return cls(codec, scales)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns compared: no free text; of identifiers with holes, whether there is one; of
        columns that are computed, whether they are as computed.
        """
        return tuple(self.scales)

    def owners(self) -> tuple[Tensor, dict[str, Tensor]]:
        """The column number of every coordinate of points, and of the state's fields."""
        names, points = self.names, []
        state: dict[str, list[int]] = {field: [] for field in self.codec.fields}
        for place, name in enumerate(names):
            column = self.codec.columns[name]
            points += [place] * _width(column)
            for field, _, _ in column.parts:
                state[field].append(place)
        return torch.tensor(points), {f: torch.tensor(places) for f, places in state.items()}

    def __call__(self, table: Table) -> Located:
        """Rows → states, points and marks. Raises: DataError for drift of columns or types."""
        table, codec = self.codec.check(table), self.codec
        state: dict[str, list[np.ndarray]] = {field: [] for field in codec.fields}
        points, odd, beyond = [], [], []
        own: np.ndarray
        wrong = broken(codec.functions, table)
        empty = lost(codec.functions, table)
        for name in self.names:
            column, cells = codec.columns[name], table.columns[name]
            # a constant has a level too, and another value is unheard of
            known = (column.levels or column).known(cells)
            if name in wrong:
                known = ~(wrong[name] | (empty.get(name, False) & np.bool_(not column.mark)))
                parts = [(~cells.present).astype(np.int64)][: len(column.parts)]
                own, away = BROKEN * ~known[:, None], np.zeros(len(cells))
            elif column.number is not None:
                scores, own, away = self._number(name, column, cells)
                parts = [scores, (~cells.present).astype(np.int64)][: len(column.parts)]
            elif column.levels is None:
                parts = [(~cells.present).astype(np.int64)]
                own, away = parts[0][:, None], np.zeros(len(cells))
            else:
                codes, away = _levels(name, column, cells, known), np.zeros(len(cells))
                parts = [codes][: len(column.parts)]
                own = self._level(name, column, cells, codes, known)
            odd.append(~known)
            for (field, _, _), values in zip(column.parts, parts):
                state[field].append(values)
            points.append(own)
            beyond.append(away)
        return Located(
            {f: torch.from_numpy(np.stack(found, 1)) for f, found in state.items()},
            torch.from_numpy(np.concatenate(points, 1).astype(np.float32)),
            torch.from_numpy(np.stack(odd, 1)),
            torch.from_numpy(np.stack(beyond, 1).astype(np.float32)),
        )

    def _level(
        self, name: str, column: Column, cells: Cells, codes: np.ndarray, known: np.ndarray
    ) -> np.ndarray:
        """Coordinates of levels: of numbers the value, an unheard-of one too; else one each."""
        assert column.levels is not None
        centre, scale = self.scales[name]
        if not _ordered(column):
            return (codes[:, None] == np.arange(column.levels.size)) * scale * known[:, None]
        values = np.where(cells.present, cells.values, 0).astype(np.float64)
        away = np.where(cells.present, (values - centre) / scale, 0)
        return np.stack([away, ~cells.present], 1)

    def _number(
        self, name: str, column: Column, cells: Cells
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Scores (0 where missing), coordinates, and how far beyond what a score can say."""
        assert column.number is not None
        there, (centre, spread) = cells.present, self.scales[name]
        scores, away = np.zeros(len(cells), np.float32), np.zeros(len(cells))
        own = np.zeros((len(cells), _width(column)))
        if there.any():
            values = cells.values[there]
            scores[there], taken = column.number.encode(values, np.full(len(values), 0.5))
            nearest = column.number.decode(scores[there]).astype(np.float64)
            numbers = values.astype(np.float64)
            away[there] = np.where(taken, 0, np.abs(numbers - nearest) / spread)
            own[there, 0] = (numbers - centre) / spread / np.sqrt(2)
            own[:, 1] = scores / np.sqrt(2)
        if column.mark:
            own[:, 2] = ~there
        return scores, own, away


def _width(column: Column) -> int:
    if column.number is not None:
        return 2 + column.mark
    if column.levels is None:
        return 1
    return 2 if _ordered(column) else column.levels.size


def _ordered(column: Column) -> bool:
    """Levels that are numbers or times: few whole numbers, say."""
    return column.levels is not None and column.dtype.kind in "fiMm"


def _levels(name: str, column: Column, cells: Cells, known: np.ndarray) -> np.ndarray:
    """Codes; 0 where a cell has none."""
    assert column.levels is not None
    filler = column.levels.decode(np.zeros(1, np.int64), np.full(1, 0.5)).values[0]
    filled = Cells(np.where(known, cells.values, filler), np.where(known, cells.present, True))
    return column.levels.encode(name, filled, "refuse")
