"""Numbers as features: noise levels for every net, grid positions for those that lose them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from unfog.errors import ShapeError


def sinusoids(value: Tensor, frequencies: Tensor) -> Tensor:
    """cos and sin of value × frequency, scaled to unit second moment.

    Args:
        value: (*,) any numbers.    frequencies: (F,) radians per unit.
    Returns: (*, 2F).
    """
    angle = value[..., None] * frequencies
    return torch.cat([angle.cos(), angle.sin()], dim=-1) * math.sqrt(2)


class TimeEmbedding(nn.Module):
    """One or two noise levels as a vector: geometric sinusoids, then a two-layer perceptron.

    With `two_times` the distance t - s is embedded beside t, and a missing `s` means s = t, where a
    flow map is an ordinary velocity. It computes in float32 under autocast: bfloat16 has only 256
    levels between 0.5 and 1, too few to tell near times apart.

    Args:
        width: W of the result.    two_times: embed s as well.
        features: sinusoids per time, even.
        top, top_gap: highest frequencies, radians per unit of t, and of t - s. Moderate on purpose:
            the derivative of the net in both, which flow maps need, grows with them.
    """

    frequencies: Tensor
    gaps: Tensor

    def __init__(
        self,
        width: int,
        two_times: bool = False,
        features: int = 64,
        top: float = 128.0,
        top_gap: float = 8.0,
    ) -> None:
        super().__init__()
        self.two_times = two_times
        for name, highest in (("frequencies", top), ("gaps", top_gap)):
            row = torch.logspace(0, math.log10(highest), features // 2)
            self.register_buffer(name, row, persistent=False)
        self.inner = nn.Linear(features * (2 if two_times else 1), width)
        self.outer = nn.Linear(width, width)

    def initialise(self) -> None:
        """Gain such that a unit-variance input gives a unit-variance result."""
        for layer, gain in ((self.inner, 1.0), (self.outer, 1.68)):  # 1.68 = 1 / rms(silu(normal))
            nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.in_features))
            nn.init.zeros_(layer.bias)

    def forward(self, t: Tensor, s: Tensor | None, batch: int) -> Tensor:
        """(B, W) from t, s: () or (B,) noise levels in [0, 1]; (1, W) where all rows share them."""
        with torch.autocast(t.device.type, enabled=False):
            t = self._checked("t", t, batch)
            if self.two_times:
                gap = torch.zeros_like(t) if s is None else t - self._checked("s", s, batch)
                t = t.expand_as(gap)
            features = sinusoids(t, self.frequencies)
            if self.two_times:
                features = torch.cat([features, sinusoids(gap, self.gaps)], dim=-1)
            return self.outer(nn.functional.silu(self.inner(features)))

    def _checked(self, name: str, time: Tensor, batch: int) -> Tensor:
        if tuple(time.shape) not in ((), (1,), (batch,)):
            raise ShapeError(f"{name} has shape {tuple(time.shape)}; a net takes () or ({batch},)")
        return time.to(self.inner.weight.dtype).reshape(-1)


def positions(
    grid: Sequence[int], width: int, *, device: torch.device | str = "cpu", base: float = 1e4
) -> Tensor:
    """Fixed position vectors of a 1-, 2- or 3-D grid: each axis has its share of the width.

    Args:
        grid: the number of places along each axis.    width: W.
    Returns: (prod(grid), W), the last axis running fastest, unit second moment.
    Ref: Vaswani et al. 2017, Attention Is All You Need, section 3.5.
    """
    half = width // 2 // len(grid)
    parts = []
    for axis, places in enumerate(grid):
        frequencies = base ** -(torch.arange(half, device=device) / max(half, 1))
        line = sinusoids(torch.arange(places, device=device, dtype=torch.float32), frequencies)
        shape = [1] * len(grid) + [2 * half]
        shape[axis] = places
        parts.append(line.view(shape).expand(*grid, 2 * half))
    made = torch.cat(parts, dim=-1).reshape(math.prod(grid), -1)
    return nn.functional.pad(made, (0, width - made.shape[1]))
