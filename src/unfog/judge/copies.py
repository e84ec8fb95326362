"""Copies: which items are nearer to a training item than unseen real items come, by a rank among
these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.judge.finders import Finder, Near
from unfog.judge.states import np_rng

MOST = 400
"""Unseen, and left-out, items that a control rests on."""
ENOUGH = 100
"""Unseen items from which they are the control alone."""
LEVEL = 0.01


@dataclass(frozen=True)
class Control:
    """How near real items come that were not learnt from.

    Unseen items are the better control; where they are fewer than 100, training items stand in,
    each against all the others. Such an item has one item fewer to be near to: if a share q of
    them is nearer than a threshold, the share of unseen items is at most q T / (T - 1). Two items
    that are near to each other count twice, so each of these is worth half an item.

    Attributes:
        value: (m,) nearness, ascending.      worth: what the m are worth as independent items.
        note: what it rests on.      drawn: (m,) the same as the items came, for the controls of
            several finders to be compared item by item.
    """

    value: Tensor
    worth: float
    note: str
    drawn: Tensor

    @classmethod
    def of(cls, drawn: Tensor, worth: float, note: str) -> Control:
        """From nearness in any order."""
        return cls(drawn.sort().values, worth, note, drawn)

    def p_values(self, value: Tensor) -> Tensor:
        """(N,) conformal: the share of real items at most as near, the item itself with them."""
        below = torch.searchsorted(self.value, value, right=True)
        return (1 + below) / (1 + len(self.value))

    def own(self) -> Tensor:
        """(m,) the same of its own items, each among all, in the order that they came."""
        return torch.searchsorted(self.value, self.drawn, right=True) / (1 + len(self.value))

    def threshold(self, percent: float) -> tuple[float, int]:
        """The nearness that about `percent` % of real items reach, and how many of them do."""
        k = max(1, int(percent / 100 * (len(self.value) + 1)))
        value = float(self.value[k - 1])
        return value, int((self.value <= value).sum())  # ties, as discrete data has, all count


def control(
    finder: Finder, unseen: Any, *, most: int = MOST, enough: int = ENOUGH, seed: int = 0
) -> Control:
    """The control of a finder.

    Args:
        unseen: real items that were not learnt from, or None.
        most: the most of them, and of left-out training items, that are looked at.
    """
    given = 0 if unseen is None else len(unseen)
    chosen = np.sort(np_rng(seed, "unseen").permutation(given)[:most])
    values = [] if given == 0 else [finder.near(unseen[chosen]).value]
    if given >= enough:
        note = f"{len(chosen)} of {given} held-out items"
        return Control.of(torch.cat(values), len(chosen), note)
    left = np.sort(np_rng(seed, "left out").permutation(finder.count)[:most])
    index = torch.from_numpy(left)
    alone = finder.near(finder.take(index), own=index).value
    single = torch.ones_like(alone, dtype=torch.bool)
    if finder.twins:  # a source's own repeats are no control; nearness is a ratio there, above 0
        single = alone >= finder.twins * alone.median()
    values.append(alone[single])
    count, twins = int(single.sum()), int((~single).sum())
    note = f"{count} training items, each against the others, and {given} held-out items"
    if twins:
        note += f"; {twins} training items repeat one another and are left out"
    return Control.of(torch.cat(values), len(chosen) + count / 2, note)


@dataclass(frozen=True)
class Copies:
    """What a detector says of N items.

    Attributes:
        nearest: (N,) index of the nearest training item.      distance: (N,) to it.
        score: (N,) p-value: the share of real items at least as near, in (0, 1]; small = a copy.
        level: the p-value up to which an item counts as copied.
        note: what the p-values rest on.
    """

    nearest: Tensor
    distance: Tensor
    score: Tensor
    level: float
    note: str

    def __len__(self) -> int:
        return len(self.score)

    @property
    def copied(self) -> Tensor:
        """(N,) True where an item counts as a copy."""
        return self.score <= self.level


@dataclass(frozen=True)
class CopyDetector:
    """Finds copies by one finder or several; the least p-value over its finder's share counts.

    Of several finders that least one is ranked once more, among the same of the control's items.
    Real items that one finder suspects the others often do too, so that the p-values by themselves
    would promise too little (Bonferroni), and the level would not be used.

    A real item is called a copy with a chance of at most `level`; with too few real items to say
    so, of at most one in their number.
    """

    finders: tuple[Finder, ...]
    controls: tuple[Control, ...]
    shares: tuple[float, ...]
    level: float = LEVEL

    @classmethod
    def fit(
        cls,
        finders: Sequence[Finder],
        unseen: Any,
        *,
        shares: Sequence[float] = (1.0,),
        level: float = LEVEL,
        most: int = MOST,
        enough: int = ENOUGH,
        seed: int = 0,
    ) -> CopyDetector:
        """Calibrate finders of the same training items on unseen ones (or None).

        Args:
            shares: of the level, one for each finder; their sum is 1.
            most, enough: as of `control`.
        Raises: ArgumentError for other shares, and for several finders that leave out twins.
        """
        if len(shares) != len(finders) or not abs(sum(shares) - 1) < 1e-9 or min(shares) <= 0:
            raise ArgumentError(
                f"shares={tuple(shares)} for {len(finders)} finders; one above 0 for each, sum 1"
            )
        if len(finders) > 1 and any(finder.twins for finder in finders):
            raise ArgumentError(
                f"{len(finders)} finders of which one leaves out twins; their controls would not "
                "be of the same items: give one finder, or finders of rows"
            )
        found = [control(finder, unseen, most=most, enough=enough, seed=seed) for finder in finders]
        return cls(tuple(finders), tuple(found), tuple(shares), level)

    @cached_property
    def together(self) -> Control | None:
        """The control's items by their least p-value; None for one finder."""
        if len(self.finders) == 1:
            return None
        least = self._least([one.own() for one in self.controls])[0]
        return Control.of(least, self.controls[0].worth, self.controls[0].note)

    @property
    def resolved(self) -> float:
        """The level that is kept: the wanted one, or the least that the control can tell."""
        nearest = [torch.ones(1) / (1 + len(one.value)) for one in self.controls]
        return max(self.level, *(float(self._score(p / w)) for p, w in zip(nearest, self.shares)))

    def __call__(self, x: Any) -> Copies:
        """Judge N items, as the finders take them."""
        seen: list[Near] = [finder.near(x) for finder in self.finders]
        least, which = self._least([c.p_values(near.value) for c, near in zip(self.controls, seen)])
        pick = torch.arange(len(least))
        note = self.controls[0].note
        if self.resolved > self.level:
            note += f"; these resolve a false-alarm rate of {self.resolved:.2g}, not {self.level:g}"
        return Copies(
            torch.stack([near.index for near in seen])[which, pick],
            torch.stack([near.distance for near in seen])[which, pick],
            self._score(least),
            self.resolved + 1e-9,
            note,
        )

    def _least(self, p_values: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Of the finders' p-values over their shares the least, and which finder's it is."""
        return torch.stack([p / w for p, w in zip(p_values, self.shares)]).min(0)

    def _score(self, least: Tensor) -> Tensor:
        return least.clamp(max=1) if self.together is None else self.together.p_values(least)
