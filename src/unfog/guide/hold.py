"""Particles that hold known entries: exact filling without retraining."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from unfog.guide.cfg import guides
from unfog.guide.steer import ancestral
from unfog.guide.tilt import check_path
from unfog.maths import views
from unfog.maths.affine import Affine
from unfog.maths.product import fieldwise
from unfog.maths.randomness import Rng
from unfog.maths.states import each, expand


@guides.add(
    "hold",
    aliases=("smcdiff",),
    reference="Trippe et al. 2023, Diffusion Probabilistic Modeling of Protein Backbones, alg. 2",
)
class Hold:
    """A walk for `particles` that draws the unknown entries given the known ones.

    Each group draws once how the known entries became noise. Its particles carry these noised
    values, and are weighted by how well each predicted them. Asymptotically exact; the known
    entries come out bit-equal. Many known entries need many particles: watch the effective number.

    Args:
        known: (B, *D) clean values, read where keep is 1, equal within a group.
        keep: (B, *D) or left-aligned, 1 = known; for dicts, fields may be left out of both.
        grid: the times that `particles` will visit.     size: particles per group.
        rng: of the noise on known entries; another stream than the walk's.
    Raises: ArgumentError on paths of angles or rotations.
    """

    def __init__(
        self,
        predictor: Callable[..., Any],
        path: Any,
        known: Any,
        keep: Any,
        grid: Tensor,
        *,
        size: int,
        rng: Rng,
        mask: Any = None,
    ):
        check_path(path, "particles")
        self.predictor, self.path, self.keep, self.size, self.mask = (
            predictor, path, keep, size, mask,
        )  # fmt: skip
        self.noised: dict[float, Any] = {}
        state = each(lambda value: value[::size], known)
        wide = known
        for number, (s, t) in enumerate(pairwise([None, *grid.flip(0)])):
            if s is not None:
                wide = path.renoise(wide, s, t, rng=rng.at(number), mask=mask)
                wide = each(lambda v: v[::size].repeat_interleave(size, 0), wide)
                state = each(lambda value: value[::size], wide)
            self.noised[float(t)] = state

    def look(self, x_t: Any, t: Tensor, s: Tensor | None) -> tuple[tuple[Any, ...], Tensor]:
        """The prediction at x_t with its known entries, and what it says of those at s."""
        x_t = self._put(x_t, t)
        if s is None:
            return (x_t,), self._none(x_t)
        x_hat = self.predictor(x_t, t, s)
        logs = fieldwise(
            self.path,
            lambda m, *values: _log_known(m, *values, t=t, s=s),
            x_t, x_hat, self._at(s), self.keep, self.mask,
        )  # fmt: skip
        parts = list(logs.values()) if isinstance(logs, dict) else [logs]
        return (x_hat,), torch.stack(parts).sum(0)

    def move(
        self, x_t: Any, seen: tuple[Any, ...], t: Tensor, s: Tensor, *, rng: Rng, mask: Any = None
    ) -> tuple[Any, Tensor]:
        """An ancestral move of the unknown entries; the known ones are put."""
        x_t = self._put(x_t, t)
        x_s = ancestral(self.path, x_t, seen[0], t, s, rng=rng, mask=mask)
        return self._put(x_s, s), self._none(x_s)

    def _at(self, t: Tensor) -> Any:
        return each(lambda v: v.repeat_interleave(self.size, 0), self.noised[float(t)])

    def _put(self, x_t: Any, t: Tensor) -> Any:
        def put(_: Any, x: Tensor, known: Tensor, keep: Tensor) -> Tensor:
            return torch.where(expand(keep, x).bool(), known, x)

        return fieldwise(self.path, put, x_t, self._at(t), self.keep)

    def _none(self, x: Any) -> Tensor:
        first = next(iter(x.values())) if isinstance(x, dict) else x
        return torch.zeros(len(first), dtype=torch.float64, device=first.device)


def _log_known(
    member: Any,
    x_t: Tensor,
    x_hat: Tensor,
    known: Tensor,
    keep: Tensor,
    mask: Tensor | None,
    *,
    t: Tensor,
    s: Tensor,
) -> Tensor:
    """log p(known entries at s | x_t), (B,); 0 for numbers at s = 0, up to a constant."""
    counted = expand(keep, x_t).bool().expand(x_t.shape)
    if mask is not None:
        counted = counted & expand(mask, x_t).bool()
    if isinstance(member, Affine):
        if not bool(s > 0):  # the last move has no spread to be judged by
            return x_t.new_zeros(len(x_t), dtype=torch.float64)
        mean, variance = views.posterior(member, x_t, x_hat, t, s)
        away = torch.where(counted, known - mean, 0.0).double()
        return -away.square().flatten(1).sum(1) / (2 * variance)
    token = member.mask_token(x_t)
    shown = (x_t == token) & (known != token) & counted
    code = torch.where(shown, known, 0).unsqueeze(-1)
    chance = x_hat.double().gather(-1, code).squeeze(-1)
    return torch.where(shown, chance, 1.0).log().sum(1)
