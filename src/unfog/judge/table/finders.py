"""Finders of rows: is a row nearer to a training row than rows are, in ranks, in numbers, or by
coincidences that are too many for chance?
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from unfog.judge.finders import NEXT, Near, enough, joined, ratio
from unfog.judge.table.features import Rows
from unfog.judge.table.records import Places, places

CELLS = 5_000_000
"""Pairs of rows that are compared at once."""
ROUNDING = 1e-10
"""Squared distances below which rows are equal."""
AROUND = 32
"""Rows around, by which `Spreads` measures: more than ranks need, as numbers have lonely values."""


@dataclass
class OfRows:
    """What all finders of rows have: the training rows."""

    train: Rows
    twins: float = field(default=0.0, init=False)

    @property
    def count(self) -> int:
        return len(self.train)

    def take(self, index: Tensor) -> Rows:
        return self.train[index.numpy()]


@dataclass
class Records(OfRows):
    """Training rows by the distance of closest records: gaps in rank, categories that differ."""

    _places: Places = field(init=False, repr=False)

    def __post_init__(self) -> None:
        enough(len(self.train))
        self._places = places(self.train, self.train)

    def near(self, x: Rows, own: Tensor | None = None) -> Near:
        """Nearness: the distance to the nearest training row over that to the next ones."""
        own_too = own is not None
        count = min(NEXT + 1 + own_too, self.count)
        parts, size = [], max(1, CELLS // self.count)
        where = places(x, self.train)
        for at in range(0, len(x), size):
            gaps = where[at : at + size].gaps(self._places).clamp(min=0)
            gaps = torch.where(gaps < 1e-5, torch.zeros_like(gaps), gaps)  # rounding is no distance
            least, index = gaps.topk(count, largest=False)
            parts.append(ratio(least, index, None if own is None else own[at : at + size]))
        return joined(parts)


@dataclass
class Spreads(OfRows):
    """Training rows by their distance in numbers, each in units of its column's spread.

    A category that differs, or a cell that only one of both lacks, is one spread. Ranks tell the
    change from 0 to 1 of a column that is 0 in nine rows of ten as half of all there is; here it
    is nothing, so that a row whose numbers were all changed a little is still found.
    """

    _middle: np.ndarray = field(init=False, repr=False)
    _spread: np.ndarray = field(init=False, repr=False)
    _points: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        enough(len(self.train))
        known = ~np.isnan(self.train.numbers)
        count = np.maximum(known.sum(0), 1)
        self._middle = np.where(known, self.train.numbers, 0).sum(0) / count
        away = np.where(known, self.train.numbers - self._middle, 0)
        spread = np.sqrt((away**2).sum(0) / count)
        self._spread = np.where(spread > 0, spread, 1.0)
        self._points = self._place(self.train)

    def near(self, x: Rows, own: Tensor | None = None) -> Near:
        """Nearness: the distance to the nearest training row over that to the rows around."""
        own_too = own is not None
        count = min(AROUND + 1 + own_too, self.count)
        parts, size = [], max(1, CELLS // self.count)
        points, lengths = self._place(x), self._points.square().sum(1)
        for at in range(0, len(x), size):
            part = points[at : at + size]
            square = torch.addmm(lengths, part, self._points.T, alpha=-2)
            square += part.square().sum(1, keepdim=True)
            least, index = square.topk(count, largest=False)
            # rounding is no distance
            gaps = torch.where(least < ROUNDING, torch.zeros_like(least), least).sqrt()
            mine = None if own is None else own[at : at + size]
            parts.append(ratio(gaps.float(), index, mine, AROUND))
        return joined(parts)

    def _place(self, x: Rows) -> Tensor:
        """(N, D) float64: numbers, whether they are missing, and corners for categories."""
        gone = np.isnan(x.numbers)
        numbers = np.where(gone, 0.0, (x.numbers - self._middle) / self._spread)
        corners = [
            (codes[:, None] == np.arange(levels)) / np.sqrt(2)
            for codes, levels in zip(x.codes.T, x.levels)
        ]
        return torch.from_numpy(np.concatenate([numbers, gone, *corners], 1))


@dataclass
class Coincidences(OfRows):
    """Training rows by how unlikely it is to agree with them so well.

    A training row t is evidence, in nats, for being the original of x:

        e(x, t) = sum over columns of -log P(a training row is at least as near to x as t is)

    A rare category that agrees is worth more than a usual one, one that differs is worth nothing,
    so that a row with one cell changed is still found. Nearness is the evidence of the next rows,
    in the mean, minus that of the best.
    """

    _sorted: list[np.ndarray] = field(init=False, repr=False)
    _ranks: Tensor = field(init=False, repr=False)
    _shares: list[np.ndarray] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        enough(len(self.train))
        numbers = self.train.numbers.T
        self._sorted = [np.sort(column[~np.isnan(column)]) for column in numbers]
        self._ranks = self._rank(self.train)[0]
        self._shares = [
            np.bincount(codes, minlength=levels) / len(self.train)
            for codes, levels in zip(self.train.codes.T, self.train.levels)
        ]

    def near(self, x: Rows, own: Tensor | None = None) -> Near:
        parts, size = [], max(1, CELLS // self.count)
        for at in range(0, len(x), size):
            part = slice(at, at + size)
            found = self._evidence(x[part])
            if own is not None:
                found[torch.arange(len(found)), own[part]] = -1.0
            best, index = found.topk(min(NEXT + 1, self.count - (own is not None)))
            next_ones = best[:, 1:].mean(1) if best.shape[1] > 1 else torch.zeros(len(best))
            parts.append(Near(next_ones - best[:, 0], index[:, 0], -best[:, 0]))
        return joined(parts)

    def _rank(self, x: Rows) -> tuple[Tensor, Tensor]:
        """(N, P) mid-ranks in [0, 1], NaN where missing, and the shares of equal training rows."""
        ranks, equal = np.zeros(x.numbers.shape), np.zeros(x.numbers.shape)
        for j, known in enumerate(self._sorted):
            column = x.numbers[:, j]
            low, high = np.searchsorted(known, column), np.searchsorted(known, column, "right")
            size = max(1, len(known))
            ranks[:, j] = np.where(np.isnan(column), np.nan, (low + high) / (2 * size))
            equal[:, j] = np.maximum(high - low, 1) / size
        return torch.from_numpy(ranks).float(), torch.from_numpy(equal).float()

    def _evidence(self, x: Rows) -> Tensor:
        """(N, T) nats."""
        total = torch.zeros(len(x), self.count)
        ranks, equal = self._rank(x)
        for j in range(ranks.shape[1]):
            share = (equal[:, j, None] + 2 * (ranks[:, j, None] - self._ranks[:, j]).abs()).clamp(
                max=1
            )
            gone = ranks[:, j].isnan()
            if bool(gone.any()):  # missing is a level of its own
                theirs = self._ranks[:, j].isnan()
                share[gone] = torch.where(theirs, theirs.float().mean().clamp(min=1e-9), 1.0)
            total -= share.nan_to_num(1.0).log()
        for j, shares in enumerate(self._shares):
            mine, theirs = x.codes[:, j], torch.from_numpy(self.train.codes[:, j])
            unknown = mine >= len(shares)
            usual = np.where(unknown, 1.0, shares[np.where(unknown, 0, mine)])
            worth = torch.from_numpy(-np.log(np.maximum(usual, 1 / self.count))).float()
            total += worth[:, None] * (torch.from_numpy(mine)[:, None] == theirs)
        return total
