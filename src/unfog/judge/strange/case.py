"""What a detector sees: rows as a model's states and as points, and who owns which coordinate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from unfog.errors import DataError, ShapeError
from unfog.maths.states import State, each, lead
from unfog.registry import Registry


def _same(x: Any) -> Any:
    return x


@dataclass(frozen=True)
class Rows:
    """N rows of C columns.

    Attributes:
        state: as the model takes them, (N, D) or a dict of such fields.
        points: (N, P) float32 coordinates for distances, in units of each column's spread; far
            values are far.
        odd: (N, C) bool: cells of a kind that training never had (an unseen level, a missing cell
            where none was); their states and points hold a filler.
        beyond: (N, C) float32, how far, in spreads, a number lies from the nearest one that its
            state can stand for; mostly 0.
        own: (N,) long, where the row itself stands among the training rows, -1 where it does not;
            None: nowhere. Detectors that look at training rows leave a row's own out.
    """

    state: State
    points: Tensor
    odd: Tensor
    beyond: Tensor
    own: Tensor | None = None

    def __post_init__(self) -> None:
        count = len(self.points)
        if len(lead(self.state)) != count or self.odd.shape != self.beyond.shape:
            raise ShapeError(
                f"states of {len(lead(self.state))} rows, points {tuple(self.points.shape)}, odd "
                f"{tuple(self.odd.shape)} and beyond {tuple(self.beyond.shape)} must fit"
            )
        if not bool(torch.isfinite(self.points).all() and torch.isfinite(self.beyond).all()):
            raise DataError("points to compare must be finite")

    def __len__(self) -> int:
        return len(self.points)

    def take(self, index: Any) -> Rows:
        """The rows at these positions."""
        return Rows(
            each(lambda v: v[index], self.state),
            self.points[index],
            self.odd[index],
            self.beyond[index],
            None if self.own is None else self.own[index],
        )


@dataclass(frozen=True)
class Owners:
    """Whose the coordinates are: column numbers 0 … C-1.

    Attributes:
        names: of the C columns.     points: (P,) long.     state: (D,) long, or a dict of these.
    """

    names: tuple[str, ...]
    points: Tensor
    state: State

    def sums(self, values: Tensor, owners: Tensor) -> Tensor:
        """(N, P) values of coordinates → (N, C) sums over each column's own."""
        total = values.new_zeros(len(values), len(self.names))
        return total.index_add_(1, owners.to(values.device), values)

    def shared(self, values: Tensor, owners: Tensor, score: Tensor) -> Tensor:
        """(N, C): the score (N,), shared among the columns by the sums of values that are >= 0."""
        shares = self.sums(values, owners)
        return shares / shares.sum(1, keepdim=True).clamp_min(1e-30) * score[:, None]


@dataclass(frozen=True)
class Case:
    """A model with the rows that it was trained on.

    Attributes:
        predict: (x_t, t) -> x_hat, of the unconditional model, on the space's states.
        path: of the states.     into, back: from the codec's states to the space's and back.
        train: training rows.     seed: of all noise.     draws: noisings per level.
        device: what predict computes on.     batch: rows at once.
    """

    predict: Callable[..., Any]
    path: Any
    train: Rows
    owners: Owners
    seed: int = 0
    draws: int = 8
    into: Callable[[Any], Any] = _same
    back: Callable[[Any], Any] = _same
    device: torch.device | str = "cpu"
    batch: int = 2048


class Detector(Protocol):
    """How strange rows are, column by column: a frozen dataclass that holds no data."""

    def __call__(self, case: Case, rows: Rows) -> Tensor:
        """(N, C) parts, at least 0, whose sum is the row's score: higher = stranger. A row's parts
        depend on the seed and on the row, not on the rows beside it.
        """


detectors: Registry[Any] = Registry("detector")
