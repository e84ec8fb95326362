"""The denoising loss per noise level, with fixed noise: two checkpoints compare exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.maths.paths import Affine
from unfog.maths.product import Product
from unfog.maths.randomness import BatchRng, Rng
from unfog.maths.states import State, each, lead
from unfog.maths.times import Times
from unfog.maths.weights import Unit
from unfog.model.model import Model


@dataclass(frozen=True)
class At(Times):
    """A law of times that is one time."""

    time: float = 0.5

    def draw(
        self, path: Any, batch: int, *, rng: Rng, device: torch.device | str = "cpu"
    ) -> Tensor:
        """(batch,) float32, all the same."""
        return torch.full((batch,), self.time, device=device, dtype=torch.float32)


def levels(path: Any, count: int) -> Tensor:
    """(count,) rising float64 times, the middles of even shares of atan2(sigma, alpha); of t itself
    where the path has no affine clock.
    """
    if count < 1:
        raise ArgumentError(f"at least one noise level; got {count}")
    middles = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    clock = path.clock if isinstance(path, Product) else path
    if not isinstance(clock, Affine):
        return middles
    return clock.time_at_angle(clock.angle(torch.ones((), dtype=torch.float64)) * middles)


@torch.no_grad()
def level_losses(
    model: Model,
    x: State,
    cond: dict[str, Tensor] | None = None,
    *,
    times: Tensor,
    seed: int = 0,
    batch: int = 256,
) -> Tensor:
    """(len(times), N) unweighted losses of N items, each level with noise of its own.

    The noise depends on (seed, number of the level, item's place) only, so that losses of two
    models, or of one at two steps, can be taken from each other item by item.

    Args:
        x: N states, in the model's space.     cond: their conditions, (N, …) each.
    """
    device = next(model.parameters()).device
    rows = []
    for number, time in enumerate(times.tolist()):
        parts = []
        for at in range(0, len(lead(x)), batch):
            part = each(lambda v: v[at : at + batch].to(device), x)  # noqa: B023  (used at once)
            known = {name: v[at : at + batch].to(device) for name, v in (cond or {}).items()}
            rng = BatchRng(seed, 43, number, at)
            found, _ = model.loss(part, known or None, times=At(time), weight=Unit(), rng=rng)
            parts.append(found.cpu())
        rows.append(torch.cat(parts))
    return torch.stack(rows)
