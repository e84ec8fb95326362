"""A batch in pieces, one after the other, where memory does not hold it at once.

Every piece draws the noise and times of the whole batch and keeps its rows, and gradients add up.
So the update is that of the batch at once, up to rounding.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ResourceError
from unfog.failpoints import at
from unfog.maths.randomness import Rng
from unfog.train.share import Share


@dataclass
class Pieces:
    """How a process's rows of every batch are cut.

    Attributes:
        share: these rows.     size: number of processes; all cut into as many pieces.
        micro: rows of a piece, at most (one more where processes can't share evenly); None = all.
    """

    share: Share
    size: int = 1
    micro: int | None = None

    def cut(self) -> list[Share]:
        """The pieces, contiguous, in order."""
        start, rows, total = self.share.start, self.share.rows, self.share.total
        count = 1
        if self.micro is not None:
            count = min(-(-total // self.size // self.micro), total // self.size)
        ends = [start + i * rows // count for i in range(count + 1)]
        return [Share(a, b, total) for a, b in itertools.pairwise(ends)]

    def halve(self) -> str:
        """Smaller pieces from now on; says so. Raises ResourceError where nothing is left to halve,
        or several processes train.
        """
        largest = max(part.rows for part in self.cut())
        if largest == 1:
            raise ResourceError(
                "not enough memory for an update, even with one item at a time; use a smaller net "
                "(--set net.width=…), smaller items, or a machine with more memory"
            )
        if self.size > 1:  # the others wait inside this very update
            raise ResourceError(
                f"not enough memory for {largest} items at once; go on with --resume --set "
                f"train.micro={largest // 2}, which takes the same batch in smaller pieces"
            )
        self.micro = largest // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return (
            f"memory did not hold {largest} items at once; the batch of {self.share.total} now "
            f"comes in {len(self.cut())} pieces of {self.micro} at most, with the same noise"
        )


def backward(
    losses_of: Callable[..., tuple[Tensor, Tensor]],
    inputs: Sequence[Any],
    pieces: Pieces,
    rng: Callable[[], Rng],
    objective: Any,
    *,
    paired: bool,
    spoil: bool,
) -> tuple[Tensor, Tensor]:
    """Add the gradient of a batch, piece by piece; returns its losses and times, (b,) each.

    Args:
        inputs: x, cond, z, keep of this process's rows; with `paired` of the whole batch.
        rng: makes the whole batch's rng anew.     spoil: make the losses NaN.
    """
    parts = []
    for part in pieces.cut():
        at("train.rows", part.rows)
        inside = None if paired else part.within(pieces.share)
        x, cond, z, keep = [v if inside is None or v is None else inside.of(v) for v in inputs]
        losses, times = losses_of(x, cond, rng(), part, objective, z, keep)
        if spoil:
            losses = losses * torch.nan
        # gradients are averaged over processes, so each weighs by its share of the batch
        (losses.mean() * (len(losses) * pieces.size / part.total)).backward()
        parts.append((losses.detach(), times))
    losses, times = (torch.cat(side) for side in zip(*parts))
    return losses, times
