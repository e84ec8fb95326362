"""Per-sample randomness: a sample depends on its seed and index, not on its batch.

    four numbers = Philox4x32-10(key = seed, counter = index 64 | step 24 | draw 16 | block 24 bits)

The counter is cut into fields that can't overlap, so two numbers never share one; a batch is one
pass of array arithmetic over all its counters.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from unfog.errors import ArgumentError, ShapeError

_STEP_BITS, _DRAW_BITS, _BLOCK_BITS = 24, 16, 24
_CHUNK = 12288  # blocks at once: the arrays of a round stay in the processor's cache
Words = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Numbers = Callable[[Words, np.ndarray], None]

_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox(c0: np.ndarray, c1: np.ndarray, c2: np.ndarray, c3: np.ndarray, key: int) -> Words:
    """Philox4x32-10, a bijection of 128-bit counters under a 64-bit key, whose output is random.

    Args:
        c0, c1, c2, c3: uint64 arrays that broadcast, each a 32-bit word of the counter, lowest
            first.
        key: 64 bits.
    Returns: four 32-bit words as uint64 arrays of the broadcast shape.
    Ref: Salmon et al. 2011, Parallel Random Numbers: As Easy as 1, 2, 3, sec. 3.3.
    """
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c2 = (p1 >> _HALF) ^ c1, (p0 >> _HALF) ^ c3
        c0 ^= np.uint64(k0)
        c2 ^= np.uint64(k1)
        c1, c3 = p1 & _LOW, p0 & _LOW
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


class SampleRng:
    """One counter-based stream per sample (Philox), drawn on the CPU so that every device agrees.

    A number depends on (seed, index, step, how many draws came before it, its place in the sample)
    and on nothing else.

    Args:
        seed: the user's seed, modulo 2^64.     indices: (B,) the samples' own numbers, 0 to
            2^64 - 1.
        step: which sampling step, below 2^24.
    Raises: ArgumentError for an index or step out of range, from the draw number 2^16 on in one
        step, and for a sample of more than 2^26 numbers.
    """

    def __init__(self, seed: int, indices: Sequence[int], step: int = 0):
        self.seed, self.step = seed & ((1 << 64) - 1), step
        try:
            self.indices = np.fromiter(map(int, indices), np.uint64, len(indices))
        except OverflowError:
            raise ArgumentError(
                f"a sample's index is a whole number from 0 to 2^64 - 1; got {min(indices)} to "
                f"{max(indices)}"
            ) from None
        self._draws = 0

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal numbers by Box and Muller's method, at most 6.8 in size."""
        return self._drawn(like, _gaussian)

    def uniform(self, like: Tensor) -> Tensor:
        """Uniform multiples of 2^-24 in [0, 1)."""
        return self._drawn(like, _even)

    def later(self, like: Tensor) -> Callable[[Tensor], Tensor]:
        """See `unfog.maths.randomness.later`."""
        size = self._size(like)
        low, high = self._counter(-(-size // 4))

        def some(where: Tensor) -> Tensor:
            rows, places = (v.cpu().numpy() for v in where.reshape(len(where), -1).nonzero().T)
            index = self.indices[rows]
            words = philox(low[places // 4], high, index & _LOW, index >> _HALF, self.seed)
            out = np.empty((len(rows), 4), np.float32)
            _even(words, out)
            chosen = out[np.arange(len(rows)), places % 4]
            dtype = like.dtype if like.is_floating_point() else torch.float32
            return torch.from_numpy(chosen).to(like.device, dtype)

        return some

    def at(self, step: int) -> SampleRng:
        """The same samples' fresh streams for this step."""
        fresh = copy.copy(self)
        fresh.step, fresh._draws = step, 0
        return fresh

    def _drawn(self, like: Tensor, numbers: Numbers) -> Tensor:
        size = self._size(like)
        low, high = self._counter(-(-size // 4))
        c2, c3 = (self.indices & _LOW)[:, None], (self.indices >> _HALF)[:, None]
        out = np.empty((len(like), len(low), 4), np.float32)
        wide = min(max(len(low), 1), _CHUNK)
        for row in range(0, len(like), _CHUNK // wide):
            rows = slice(row, row + _CHUNK // wide)
            for block in range(0, len(low), wide):
                part = slice(block, block + wide)
                numbers(philox(low[part], high, c2[rows], c3[rows], self.seed), out[rows, part])
        values = np.ascontiguousarray(out.reshape(len(like), 4 * len(low))[:, :size]).reshape(
            like.shape
        )
        dtype = like.dtype if like.is_floating_point() else torch.float32
        return torch.from_numpy(values).to(like.device, dtype)

    def _size(self, like: Tensor) -> int:
        """Numbers in one sample of `like`. Raises ShapeError unless it has a row for each."""
        if like.ndim == 0 or len(like) != len(self.indices):
            raise ShapeError(
                f"these are the streams of {len(self.indices)} samples, one per row; got a tensor "
                f"of shape {tuple(like.shape)}"
            )
        return like[0].numel() if len(like) else 0

    def _counter(self, blocks: int) -> tuple[np.ndarray, np.ndarray]:
        """Words 0 (blocks,) and 1 (1,) of this draw's counters: step, draw and block."""
        draw, self._draws = self._draws, self._draws + 1
        for name, value, bits in (
            ("step", self.step, _STEP_BITS),
            ("draw number of one step", draw, _DRAW_BITS),
            ("last block of four numbers in a sample", max(blocks - 1, 0), _BLOCK_BITS),
        ):
            if not 0 <= value < 1 << bits:
                raise ArgumentError(
                    f"the {name} must lie in [0, 2^{bits}) for samples' noise to be their own; "
                    f"got {value}"
                )
        place = ((self.step << _DRAW_BITS) + draw) << _BLOCK_BITS
        low = np.arange(blocks, dtype=np.uint64) + np.uint64(place & 0xFFFFFFFF)
        return low, np.array([place >> 32], np.uint64)


def _gaussian(words: Words, out: np.ndarray) -> None:
    """Four words to four standard normal numbers: radius sqrt(-2 ln u), angle in [-pi, pi)."""
    for pair in (0, 2):
        # u in [2^-33, 1]: the half keeps it from 0, whose logarithm is infinite
        u = (words[pair].astype(np.float32) + np.float32(0.5)) * np.float32(2**-32)
        radius = np.sqrt(np.float32(-2) * np.log(u))
        whole = words[pair + 1].astype(np.uint32).view(np.int32)
        angle = whole.astype(np.float32) * np.float32(np.pi / 2**31)
        np.multiply(radius, np.cos(angle), out=out[..., pair])
        np.multiply(radius, np.sin(angle), out=out[..., pair + 1])


def _even(words: Words, out: np.ndarray) -> None:
    """Four words to four multiples of 2^-24 in [0, 1): all that float32 holds evenly."""
    for place, word in enumerate(words):
        whole = (word.astype(np.uint32) >> 8).view(np.int32)  # signed: converts twice as fast
        np.multiply(whole.astype(np.float32), np.float32(2**-24), out=out[..., place])
