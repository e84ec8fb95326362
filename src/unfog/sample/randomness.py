"""Per-sample randomness: a sample depends on its seed and index, not on its batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor


class SampleRng:
    """One counter-based stream per sample (Philox), drawn on the CPU so that every device agrees.

    Args:
        seed: the user's seed.     indices: (B,) the samples' own numbers.     step: which sampling
            step.
    """

    def __init__(self, seed: int, indices: Sequence[int], step: int = 0):
        self.seed, self.indices, self.step = seed, list(indices), step
        self._draws = 0

    def _streams(self) -> list[np.random.Generator]:
        draw, self._draws = self._draws, self._draws + 1
        key = self.seed & ((1 << 64) - 1)
        return [
            np.random.Generator(
                np.random.Philox(
                    key=np.array([key, index], np.uint64),
                    counter=np.array([0, draw, self.step, 0], np.uint64),
                )
            )
            for index in self.indices
        ]

    def normal(self, like: Tensor) -> Tensor:
        return self._drawn(like, lambda stream, shape: stream.standard_normal(shape, np.float32))

    def uniform(self, like: Tensor) -> Tensor:
        return self._drawn(like, lambda stream, shape: stream.random(shape, np.float32))

    def _drawn(self, like: Tensor, draw: Callable[..., np.ndarray]) -> Tensor:
        out = np.empty(like.shape, np.float32)
        for row, stream in zip(out, self._streams(), strict=True):
            row[...] = draw(stream, row.shape)
        dtype = like.dtype if like.is_floating_point() else torch.float32
        return torch.from_numpy(out).to(like.device, dtype)

    def at(self, step: int) -> SampleRng:
        return SampleRng(self.seed, self.indices, step)
