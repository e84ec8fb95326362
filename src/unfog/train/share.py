"""A process's share of a batch: contiguous rows of it, of its noise, of its times.

Noise is drawn for the whole batch in every process, and each keeps its rows. So the number of
processes changes nothing but speed: step k is the same step in one process and in eight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ShapeError
from unfog.maths.randomness import Rng
from unfog.maths.states import each


@dataclass(frozen=True)
class Share:
    """Rows start … stop of a batch of `total`."""

    start: int
    stop: int
    total: int

    @property
    def rows(self) -> int:
        return self.stop - self.start

    @property
    def whole(self) -> bool:
        return self.rows == self.total

    def within(self, outer: Share) -> Share:
        """These rows, counted among those of `outer`, which has them all."""
        return Share(self.start - outer.start, self.stop - outer.start, outer.rows)

    def of(self, values: Any) -> Any:
        """These rows of a tensor, an array, a state, or a dict of conditions."""
        return values if self.whole else each(lambda v: v[self.start : self.stop], values)

    def rng(self, rng: Rng) -> Rng:
        """An rng that draws for the whole batch and gives these rows."""
        return rng if self.whole else ShareRng(rng, self)

    def times(self, times: Any) -> Any:
        """A law of training times that draws for the whole batch and gives these rows."""
        return times if self.whole else ShareTimes(times, self)


@dataclass(frozen=True)
class ShareRng:
    """See `Share.rng`."""

    inner: Rng
    share: Share

    def normal(self, like: Tensor) -> Tensor:
        return self.share.of(self.inner.normal(self._whole(like)))

    def uniform(self, like: Tensor) -> Tensor:
        return self.share.of(self.inner.uniform(self._whole(like)))

    def at(self, step: int) -> ShareRng:
        return ShareRng(self.inner.at(step), self.share)

    def _whole(self, like: Tensor) -> Tensor:
        rows = self.share.stop - self.share.start
        if like.ndim == 0 or len(like) != rows:
            raise ShapeError(
                f"a share of {rows} rows was asked for noise of shape {tuple(like.shape)}; the "
                "first axis has to be the batch"
            )
        return torch.empty(
            (self.share.total, *like.shape[1:]), dtype=like.dtype, device=like.device
        )


@dataclass(frozen=True)
class ShareTimes:
    """See `Share.times`: strata are those of the whole batch."""

    inner: Any
    share: Share

    def draw(self, path: Any, batch: int, *, rng: Any, device: Any = "cpu") -> Tensor:
        inner = rng.inner if isinstance(rng, ShareRng) else rng
        return self.share.of(self.inner.draw(path, self.share.total, rng=inner, device=device))
