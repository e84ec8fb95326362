"""Finders: how near an item is to its nearest training item, beside how near the next ones are.

A blurred sample is near to many training items, a copy to one. So nearness is a ratio, small for
copies only, of the distance to the nearest training item and the mean distance to the next ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from unfog.errors import DataError
from unfog.judge.novelty import nearest, without
from unfog.judge.states import alike, states

NEXT = 8
"""The neighbours after the nearest that it is compared with."""
SIDE = 32
"""Larger images are compared at about this side."""
COARSE = 8
"""The side at which candidates are looked for."""
CANDIDATES = 24
REACH = 2
"""The shift, in pixels each way, that is undone; of a side below 16, one for each 8 pixels."""
CHUNK = 16
TWINS = 0.2
"""Training items nearer than this share of the usual nearness are two versions of one item."""
DIMENSIONS = 8
"""Numbers an item from which that does not happen by chance."""


@dataclass(frozen=True)
class Near:
    """Where N items stand to the training items.

    Attributes:
        value: (N,) nearness, smaller = nearer than what lies around; comparable within one finder.
        index: (N,) the nearest training item.      distance: (N,) to it.
    """

    value: Tensor
    index: Tensor
    distance: Tensor

    def __len__(self) -> int:
        return len(self.value)


class Finder(Protocol):
    """Knows the training items."""

    @property
    def count(self) -> int:
        """How many training items there are."""
        ...

    @property
    def twins(self) -> float:
        """Of the usual nearness, what two versions of one item are nearer than; 0 = can't say."""
        ...

    def near(self, x: Any, own: Tensor | None = None) -> Near:
        """How near the items x are; `own` (N,) are training items that are not to be found, each
        by the item that it is.
        """
        ...

    def take(self, index: Tensor) -> Any:
        """The training items at these positions, as `near` takes them."""
        ...


def ratio(gaps: Tensor, index: Tensor, own: Tensor | None, count: int = NEXT) -> Near:
    """Nearness from distances (N, K), ascending, to the training items `index` (N, K).

    Args:
        count: of the next ones, in whose mean the nearest is measured.
    """
    if own is not None:
        gaps, index = without(gaps, index, own)
    others = gaps[:, 1 : count + 1].mean(1) if gaps.shape[1] > 1 else torch.ones(len(gaps))
    value = torch.where(others > 0, gaps[:, 0] / others.clamp_min(1e-30), torch.ones_like(others))
    return Near(value, index[:, 0], gaps[:, 0])


@dataclass(frozen=True)
class Vectors:
    """Training items as rows of numbers, compared as they are.

    Args:
        train: (T, *D) states or features.
    """

    train: Tensor

    def __post_init__(self) -> None:
        enough(len(self.train))

    @property
    def count(self) -> int:
        return len(self.train)

    @property
    def twins(self) -> float:
        return TWINS if self.train[0].numel() >= DIMENSIONS else 0.0

    def take(self, index: Tensor) -> Tensor:
        return self.train[index]

    def near(self, x: Any, own: Tensor | None = None) -> Near:
        gaps, index = nearest(x, self.train, k=NEXT + 1 + (own is not None))
        return ratio(gaps, index, own)


@dataclass
class Images:
    """Training images, found up to a shift of two pixels, or one in small images, and a flip.

    Candidates are the training images that are nearest at 8 x 8 to the image, shifted and flipped;
    each of these is then compared pixel by pixel under every shift, inside a margin that no edge
    reaches. Sides above 32 are reduced first.

    Args:
        train: (T, C, H, W) states.
    """

    train: Tensor
    twins: float = field(default=TWINS, init=False)
    _reach: int = field(init=False, repr=False)
    _fine: Tensor = field(init=False, repr=False)
    _coarse: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        enough(len(self.train))
        self._fine = reduced(states(self.train, "train"))
        self._reach = min(REACH, min(self._fine.shape[2:]) // 8)
        self._coarse = coarse(window(self._fine, 0, 0, self._reach))
        self._half = self._coarse.square().sum(1) / 2

    @property
    def count(self) -> int:
        return len(self.train)

    def take(self, index: Tensor) -> Tensor:
        return self.train[index]

    def near(self, x: Any, own: Tensor | None = None) -> Near:
        x = reduced(states(x))
        alike(x, self._fine)
        parts = []
        for at in range(0, len(x), CHUNK):
            mine = None if own is None else own[at : at + CHUNK]
            parts.append(self._near(x[at : at + CHUNK], mine))
        return joined(parts)

    def _near(self, x: Tensor, own: Tensor | None) -> Near:
        far, flips = [], (False, True)
        shifts = list(product(range(-self._reach, self._reach + 1), repeat=2))
        for flip in flips:
            turned = x.flip(3) if flip else x
            moved = torch.stack(
                [coarse(window(turned, down, right, self._reach)) for down, right in shifts]
            )
            size = moved.square().sum(2) / 2
            gaps = torch.baddbmm(
                size[:, :, None], moved, self._coarse.T.expand(len(moved), -1, -1), alpha=-1
            )
            far.append(gaps.amin(0) + self._half)
        best = far[0].minimum(far[1])
        count = min(CANDIDATES, best.shape[1])
        index = best.topk(count, largest=False).indices
        gaps = self._refine(x, index, (far[1] < far[0]).gather(1, index))
        gaps, order = gaps.sort(1)
        return ratio(gaps, index.gather(1, order), own)

    def _refine(self, x: Tensor, index: Tensor, flips: Tensor) -> Tensor:
        """(N, K) distances inside the margin, least over all shifts of the training image."""
        out = torch.full(index.shape, torch.inf)
        high, wide = (side - 2 * self._reach for side in x.shape[2:])
        inside = window(x, 0, 0, self._reach)[:, None]
        turned = torch.where(flips[:, :, None, None, None], inside.flip(4), inside)
        theirs = self._fine[index]
        for up, left in product(range(2 * self._reach + 1), repeat=2):
            there = theirs[..., up : up + high, left : left + wide]
            out = out.minimum((turned - there).square().sum((2, 3, 4)))
        return out.sqrt()


def joined(parts: list[Near]) -> Near:
    """One answer from the answers about one chunk of items each."""
    return Near(
        torch.cat([one.value for one in parts]),
        torch.cat([one.index for one in parts]),
        torch.cat([one.distance for one in parts]),
    )


def enough(count: int) -> None:
    """Raises DataError for fewer than three training items."""
    if count < 3:
        raise DataError(f"{count} training items; telling copies needs at least 3")


def reduced(x: Tensor) -> Tensor:
    """(N, C, H, W) at a longer side of 32 at most, by means over areas."""
    longer = max(x.shape[2:])
    if longer <= SIDE:
        return x
    size = [max(1, round(side * SIDE / longer)) for side in x.shape[2:]]
    return F.interpolate(x, size=size, mode="area")


def coarse(x: Tensor) -> Tensor:
    """(N, C * h * w) at sides of 8 at most."""
    high, wide = (min(COARSE, side) for side in x.shape[2:])
    return F.adaptive_avg_pool2d(x, (high, wide)).flatten(1)


def window(x: Tensor, down: int, right: int, margin: int) -> Tensor:
    """What is inside the margin once the images have moved by so many pixels."""
    high, wide = (side - 2 * margin for side in x.shape[2:])
    return x[:, :, margin - down : margin - down + high, margin - right : margin - right + wide]
