"""Bootstrap and independent columns: the two ends between copying and knowing nothing of pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from unfog.judge.baselines.registry import Baseline, baselines
from unfog.judge.states import np_rng, rng
from unfog.kinds.table.cells import Table


def bootstrap_table(train: Table, count: int, seed: int) -> Table:
    """Training rows, drawn again: every law of the data is right, and every row is a copy."""
    return train[np_rng(seed, "bootstrap").integers(len(train), size=count)]


def bootstrap_tensor(train: Tensor, count: int, seed: int) -> Tensor:
    """Training items, drawn again."""
    return train[torch.randint(len(train), (count,), generator=rng(seed, "bootstrap"))]


def independent_table(train: Table, count: int, seed: int) -> Table:
    """Each column drawn by itself: right columns, no association between them."""
    dice = np_rng(seed, "independent")
    return Table(
        {
            name: cells.take(dice.integers(len(train), size=count))
            for name, cells in train.columns.items()
        }
    )


def independent_tensor(train: Tensor, count: int, seed: int) -> Tensor:
    """Each entry of the item drawn by itself."""
    generator = rng(seed, "independent")
    flat = train.flatten(1)
    out = torch.empty(count, flat.shape[1])
    for j in range(flat.shape[1]):  # one entry at a time: the whole index table would be huge
        out[:, j] = flat[torch.randint(len(flat), (count,), generator=generator), j]
    return out.view(count, *train.shape[1:])


baselines.add("bootstrap", reference="Efron 1979", summary=bootstrap_table.__doc__ or "")(
    Baseline("drawing training items again", bootstrap_table, bootstrap_tensor)
)
baselines.add("independent", reference="", summary=independent_table.__doc__ or "")(
    Baseline("drawing each column by itself", independent_table, independent_tensor)
)
