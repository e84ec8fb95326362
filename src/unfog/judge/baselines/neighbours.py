"""Baselines that move training items a little: neighbours with noise, and SMOTE."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from unfog.judge.baselines.columns import Ladder, ladders
from unfog.judge.baselines.registry import Baseline, baselines
from unfog.judge.novelty import nearest
from unfog.judge.states import np_rng, rng, subset
from unfog.kinds.table.cells import Cells, Table

NEAR = 5
NOISE = 0.5
BROAD = 60  # a category of more levels than this says little about which rows are near
MOST = 20_000  # neighbours are looked for among at most so many items


def neighbours_table(train: Table, count: int, seed: int) -> Table:
    """Training rows with noise: numbers move by half the gap to one of five neighbours times a
    normal draw, every other cell is that neighbour's in one case of two.

    Ref: Silverman and Young 1987, The bootstrap: to smooth or not to smooth?
    """
    dice = np_rng(seed, "neighbours")
    columns = ladders(train)
    row, crowd = _crowd(columns, len(train), count, seed)
    near = crowd[np.arange(count), dice.integers(crowd.shape[1], size=count)]
    out = {}
    for name, column in columns.items():
        if column.numeric:
            out[name] = _moved(column, row, near, NOISE * dice.standard_normal(count))
        else:
            out[name] = column.cells.take(np.where(dice.random(count) < 0.5, row, near))
    return Table(out)


def smote_table(train: Table, count: int, seed: int) -> Table:
    """SMOTE for mixed columns: a random point between a row and one of its five neighbours.

    Numbers lie on the line between the two; every other cell is what most of row and neighbours
    say.

    Ref: Chawla et al. 2002, SMOTE, section 6.1 (SMOTE-NC).
    """
    dice = np_rng(seed, "smote")
    columns = ladders(train)
    row, crowd = _crowd(columns, len(train), count, seed)
    near = crowd[np.arange(count), dice.integers(crowd.shape[1], size=count)]
    by = dice.random(count)
    everyone = np.concatenate([row[:, None], crowd], 1)
    return Table(
        {
            name: _moved(column, row, near, by)
            if column.numeric
            else column.cells.take(_majority(column, everyone))
            for name, column in columns.items()
        }
    )


def neighbours_tensor(train: Tensor, count: int, seed: int) -> Tensor:
    """Training items moved along the line to one of five neighbours, by half a normal draw."""
    generator = rng(seed, "neighbours")
    row = torch.randint(len(train), (count,), generator=generator)
    kept = subset(len(train), MOST, generator)
    near = _others(train[row], train[kept], row, kept)
    by = NOISE * torch.randn(count, *[1] * (train.ndim - 1), generator=generator)
    chosen = torch.randint(near.shape[1], (count, 1), generator=generator)
    other = train[near.gather(1, chosen)[:, 0]]
    return train[row] + by * (other - train[row])


def _crowd(
    columns: dict[str, Ladder], n: int, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows (count,) drawn at random, and the five rows (count, 5) nearest to each."""
    generator = rng(seed, "neighbours of rows")
    places = _places(columns, n)
    row = torch.randint(n, (count,), generator=generator)
    kept = subset(n, MOST, generator)
    return row.numpy(), _others(places[row], places[kept], row, kept).numpy()


def _others(x: Tensor, known: Tensor, row: Tensor, kept: Tensor) -> Tensor:
    """The items (count, 5) nearest to each of x, itself (number `row`) left out."""
    found = kept[nearest(x, known, k=NEAR + 1)[1]]
    own = found == row[:, None]
    own[~own.any(1), -1] = True  # it is not among them: the farthest goes
    if found.shape[1] == 1:
        return found
    return found[~own].view(len(x), -1)


def _places(columns: dict[str, Ladder], n: int) -> Tensor:
    """Rows as points: standardised numbers; categories one apart, as SMOTE-NC's median deviation
    is of standardised numbers; a mark where cells are missing.
    """
    parts = [np.zeros((n, 1))]
    for column in columns.values():
        present = column.cells.present
        if column.numeric and len(column.values):
            numbers = column.numbers
            known = numbers[present]
            scale = known.std() or 1.0
            parts.append(np.where(present, (numbers - known.mean()) / scale, 0.0)[:, None])
        elif 0 < len(column.values) <= BROAD:
            parts.append(np.eye(len(column.values))[column.index] * present[:, None] * np.sqrt(0.5))
        if not present.all():
            parts.append(~present[:, None])
    return torch.from_numpy(np.concatenate(parts, 1)).float()


def _moved(column: Ladder, row: np.ndarray, near: np.ndarray, by: np.ndarray) -> Cells:
    """Row's number plus `by` times the gap to the neighbour's; missing where the row's is."""
    present = column.cells.present
    start = column.numbers[row]
    gap = np.where(present[near], column.numbers[near] - start, 0.0)
    if len(column.values) == 0:
        return column.cells.take(row)
    return column.put(start + by * gap, present[row])


def _majority(column: Ladder, crowd: np.ndarray) -> np.ndarray:
    """Which row (count,) of each crowd (count, m) holds its commonest cell; the first of equals."""
    code = np.where(column.cells.present, column.index, -1)[crowd]
    votes = (code[:, :, None] == code[:, None]).sum(2)
    return crowd[np.arange(len(crowd)), votes.argmax(1)]


baselines.add(
    "neighbours",
    reference="Silverman and Young 1987",
    summary="Training items with noise of half the gap to a near neighbour.",
)(Baseline("training items with noise", neighbours_table, neighbours_tensor))
baselines.add(
    "smote",
    reference="Chawla et al. 2002",
    summary="SMOTE for mixed columns: points between a training row and a near neighbour.",
)(Baseline("SMOTE", table=smote_table, numbers=True))
