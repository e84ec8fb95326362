"""Haar wavelets: a smaller grid with more channels, nothing lost."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unfog.errors import ArgumentError, ShapeError
from unfog.model.spaces.space import Space, parted, spaces, spread

ROOT = 2**-0.5


@spaces.add(
    "wavelet",
    aliases=("haar",),
    reference="Haar 1910; Hoogeboom et al. 2023, Simple Diffusion, sec. 3.1 (why a smaller grid)",
)
@dataclass(frozen=True, eq=False)
class Wavelet(Space):
    """Orthogonal Haar levels on (B, C, *spatial), 1 to 3 axes: C·2^(axes·levels) channels, half the
    size per level.

    Every band is split again (a wavelet packet): one latent pixel holds one block of data pixels.
    The first C channels are the blocks' means times sqrt(block size). The last entry of an odd axis
    goes into the low band as it is, with a detail of zero: a padding that keeps inner products.

    Args:
        levels: how often the grid is halved.
    """

    levels: int = 1

    @classmethod
    def fit(
        cls,
        x: Tensor,
        *,
        levels: int = 1,
        held_out: Tensor | None = None,
        std: float | None = 1.0,
        seed: int = 0,
    ) -> Wavelet:
        """Measure the scale on x, (N, C, *spatial); the bands need no fit.

        Args:
            held_out: (M, C, *spatial) rows for the error; without them some of x are set aside.
            std: the latent's standard deviation; None leaves units, so that norms are kept.
        Raises: ShapeError for no or more than 3 spatial axes; ArgumentError for too many levels.
        """
        if not 3 <= x.ndim <= 5:
            raise ShapeError(
                f"wavelets need (N, C, *spatial) with 1 to 3 spatial axes; got {tuple(x.shape)}"
            )
        most = (max(x.shape[2:]) - 1).bit_length()
        if not 1 <= levels <= most:
            raise ArgumentError(
                f"levels must lie in [1, {most}] for a grid of {tuple(x.shape[2:])}; got {levels}"
            )
        rows, held_out = parted(x, held_out, std, seed)
        channels, *grid = x.shape[1:]
        small = [-(-size // 2**levels) for size in grid]
        shape = (channels * 2 ** (len(grid) * levels), *small)
        space = cls(tuple(x.shape[1:]), shape, levels=levels)
        return space.measured(spread(space.into(rows)), held_out, std)

    def _sizes(self) -> list[tuple[int, int]]:
        """(axis, size before) of every halving, in order."""
        grid = self.data_shape[1:]
        return [
            (axis, -(-size // 2**level))
            for level in range(self.levels)
            for axis, size in enumerate(grid, 2)
        ]

    def analyse(self, x: Tensor) -> Tensor:
        for axis, _ in self._sizes():
            x = _split(x, axis)
        return x

    def synthesise(self, u: Tensor) -> Tensor:
        for axis, size in reversed(self._sizes()):
            u = _merge(u, axis, size)
        return u


def _split(x: Tensor, axis: int) -> Tensor:
    """(B, C, …, n, …) -> (B, 2C, …, ceil(n/2), …): low bands first, then details."""
    x = x.movedim(axis, -1)
    first, second = x[..., 0::2], x[..., 1::2]
    paired, alone = first[..., : second.shape[-1]], first[..., second.shape[-1] :]
    low = torch.cat([(paired + second) * ROOT, alone], -1)
    high = torch.cat([(paired - second) * ROOT, torch.zeros_like(alone)], -1)
    return torch.cat([low, high], 1).movedim(-1, axis)


def _merge(u: Tensor, axis: int, size: int) -> Tensor:
    """The inverse and the transpose of `_split`; `size` is n."""
    low, high = u.movedim(axis, -1).chunk(2, 1)
    pairs = size // 2
    first = (low[..., :pairs] + high[..., :pairs]) * ROOT
    second = (low[..., :pairs] - high[..., :pairs]) * ROOT
    x = torch.stack([first, second], -1).flatten(-2)
    return torch.cat([x, low[..., pairs:]], -1).movedim(-1, axis)
