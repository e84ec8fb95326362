"""Masking of categories: data becomes mask tokens, and is revealed on the way back.

    P(x_t = mask) = m(t),     m(0) = 0 is data, m(1) = 1 is all masked

An entry is its category 0 … K-1 or its mask token K. The state is a long tensor (B, N).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError, ShapeError
from unfog.maths.paths import Noised, as_time, ordered
from unfog.maths.randomness import Rng
from unfog.maths.states import expand

SCHEDULES = ("linear", "cosine")
SHORT = 8
"""Categories up to which probabilities are made with the rows last, ten times as quick on a CPU;
beyond, where the logits lie so already.
"""


@dataclass(frozen=True)
class Masking:
    """Each entry is masked on its own with probability m(t), and never changes otherwise.

    Args:
        sizes: categories of each column, (N numbers); one number serves every place of a sequence.
        schedule: "linear" m = t, or "cosine" m = sin(pi t / 2), which keeps more masked for longer.
    Ref: Sahoo et al. 2024, MDLM, sec. 3; Shi et al. 2024, MD4 (cosine).
    """

    sizes: tuple[int, ...]
    schedule: str = "linear"

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(self.sizes))
        if not self.sizes or any(type(size) is not int or size < 1 for size in self.sizes):
            raise ArgumentError(
                f"sizes are the positive numbers of categories, per column; got {self.sizes}"
            )
        if self.schedule not in SCHEDULES:
            raise ArgumentError(f"schedule must be one of {SCHEDULES}; got {self.schedule!r}")

    @property
    def affine(self) -> bool:
        return False

    @property
    def width(self) -> int:
        """K of the largest column: the last axis of logits and of x_hat."""
        return max(self.sizes)

    def masked_share(self, t: Tensor) -> Tensor:
        """m(t), the probability that an entry is masked at t."""
        return t if self.schedule == "linear" else torch.sin(t * (math.pi / 2))

    def weight(self, t: Tensor) -> Tensor:
        """m'(t) / m(t): the masked entries' cross-entropy times this, summed, and averaged over t,
        bounds the negative log-likelihood in nats. Grows without bound as t -> 0.

        Ref: Sahoo et al. 2024, MDLM, sec. 3 (continuous-time bound), alpha = 1 - m.
        """
        if self.schedule == "linear":
            return 1 / t
        return math.pi / 2 / torch.tan(t * (math.pi / 2))

    def mask_token(self, like: Tensor) -> Tensor:
        """The mask token of every column: long, (N,) or (1,), on `like`'s device."""
        return torch.tensor(self.sizes, device=like.device)

    def answer(self, logits: Tensor) -> Tensor:
        """Logits (B, N, width) to probabilities; no mass on a column's mask token or beyond."""
        if logits.ndim != 3 or logits.shape[-1] != self.width or not self._fits(logits):
            raise ShapeError(
                f"logits must be (B, {self._places()}, {self.width}); got {tuple(logits.shape)}"
            )
        if self.width > SHORT and logits.stride(-1) == 1:
            return torch.softmax(logits.masked_fill(self._beyond(logits), -torch.inf), -1)
        # a short last axis is worked through entry by entry, one in front by many entries at once
        front = logits.permute(2, 1, 0).masked_fill(self._beyond(logits).t()[..., None], -torch.inf)
        return torch.softmax(front, 0).permute(2, 1, 0)

    def prior(
        self, like: Any, *, rng: Rng, mask: Any = None, cond: dict[str, Tensor] | None = None
    ) -> Tensor:
        """The state at t = 1: every real entry masked, padding 0. Nothing is random."""
        if like.ndim != 2 or not self._fits(like):
            raise ShapeError(f"a state is (B, {self._places()}); got {tuple(like.shape)}")
        return _padded(self.mask_token(like).expand(like.shape), mask).clone()

    def corrupt(
        self,
        x: Tensor,
        t: float | Tensor,
        *,
        rng: Rng,
        z: Tensor | None = None,
        mask: Tensor | None = None,
        keep: Tensor | None = None,
    ) -> Noised:
        """Mask each entry of x with probability m(t).

        Args:
            x: (B, N) whole numbers, column n below sizes[n].     t: (), (B,) or (B, N).
            z: (B, N) bool, which entries to mask; drawn if None.
            mask: (B, N) 1 = a real entry; padding becomes 0.     keep: (B, N) 1 = known, stays.
        Returns: x_t, long (B, N); z, bool (B, N): the masked entries, those that a loss counts.
        Raises: ShapeError for a wrong shape or category.
        """
        t = as_time(t)
        x = self._checked(x, mask, data=True)
        if z is None:
            z = rng.uniform(x) < expand(self.masked_share(t), x)
        elif z.shape != x.shape or z.dtype != torch.bool:
            raise ShapeError(f"z says which entries to mask, bool {tuple(x.shape)}; got {z.dtype}")
        for known in (None if mask is None else ~mask.bool(), keep):
            z = z if known is None else z & ~expand(known.bool(), x)
        return Noised(torch.where(z, self.mask_token(x), x), z, t)

    def move(
        self,
        x_t: Tensor,
        x_hat: Tensor,
        t: float | Tensor,
        s: float | Tensor,
        *,
        eta: float = 0.0,
        rng: Rng | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Reveal masked entries from x_hat, so that the share m(s) stays masked on average.

            P(x_s = mask | x_t = mask)     = (m_s - r (1 - m_t)) / m_t,   else x_s ~ x_hat
            P(x_s = mask | x_t revealed)   = r = eta min(1, m_s / (1 - m_t))

        Args:
            x_t: long (B, N) state at t.     x_hat: (B, N, width) probabilities.
            t, s: (), (B,) or (B, N) times, s <= t.
            eta: share of the largest re-masking that keeps the marginals; at 0 a revealed entry
                never changes again. Entries revealed in one move don't see each other, so much
                re-masking needs many steps.
            rng: always needed.
        Ref: Sahoo et al. 2024, MDLM, sec. 3; Wang et al. 2025, ReMDM, sec. 3 (re-masking).
        """
        t, s = ordered(t, s)
        if rng is None:
            raise ArgumentError("moving on a masking path draws categories and needs an rng")
        if not 0 <= eta <= 1:
            raise ArgumentError(f"eta must lie in [0, 1], 0 = never mask again; got {eta}")
        x_t = self._checked(x_t, mask, data=False)
        stay, again = self.chances(t, s, eta)
        chance, pick = rng.uniform(x_t), rng.uniform(x_t)
        hidden, shown = self.proposal(x_t, x_hat, pick, mask=mask)
        still = chance < torch.where(hidden, expand(stay, x_t), expand(again, x_t))
        x_s = _padded(torch.where(still, self.mask_token(x_t), shown), mask)
        return torch.where(expand(t == s, x_t), x_t, x_s)

    def chances(self, t: Tensor, s: Tensor, eta: float) -> tuple[Tensor, Tensor]:
        """From t to s: the chance that a masked entry stays so, and that a revealed one is masked
        again.
        """
        m_t, m_s = self.masked_share(t), self.masked_share(s)
        again = eta * (m_s / (1 - m_t).clamp_min(1e-12)).clamp_max(1)
        return (m_s - again * (1 - m_t)) / m_t.clamp_min(1e-12), again

    def proposal(
        self, x_t: Tensor, x_hat: Tensor, pick: Tensor, *, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(which real entries are masked, bool (B, N); x_t with each of them drawn from x_hat).

        Args:
            x_t: long (B, N).     x_hat: (B, N, width) probabilities.     pick: (B, N) uniform.
        """
        hidden = self.hidden(x_t, mask)
        return hidden, self.revealed(x_t, x_hat, hidden, pick[hidden])

    def hidden(self, x_t: Tensor, mask: Tensor | None = None) -> Tensor:
        """Which real entries are masked, bool (B, N)."""
        masked = x_t == self.mask_token(x_t)
        return masked if mask is None else masked & expand(mask, x_t).bool()

    def revealed(self, x_t: Tensor, x_hat: Tensor, where: Tensor, pick: Tensor) -> Tensor:
        """x_t with the entries at `where`, bool (B, N), drawn from x_hat by `pick`, uniform (M,).

        Raises: ShapeError, ArgumentError if x_hat is not a distribution at every one of them.
        """
        return x_t.masked_scatter(where, _draw(self._cumulative(x_hat, where), pick))

    def renoise(
        self,
        x_s: Tensor,
        s: float | Tensor,
        t: float | Tensor,
        *,
        rng: Rng,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Go up from s to t >= s: mask a revealed entry with chance (m_t - m_s) / (1 - m_s)."""
        t, s = ordered(t, s)
        x_s = self._checked(x_s, mask, data=False)
        m_t, m_s = self.masked_share(t), self.masked_share(s)
        share = (m_t - m_s) / (1 - m_s).clamp_min(1e-12)
        hit = rng.uniform(x_s) < expand(share, x_s)
        return _padded(torch.where(hit, self.mask_token(x_s), x_s), mask)

    def _places(self) -> str:
        return "N" if len(self.sizes) == 1 else str(len(self.sizes))

    def _fits(self, state: Tensor) -> bool:
        return len(self.sizes) == 1 or state.shape[1] == len(self.sizes)

    def _beyond(self, like: Tensor) -> Tensor:
        """(N or 1, width) bool: categories that a column does not have."""
        return torch.arange(self.width, device=like.device) >= self.mask_token(like)[:, None]

    def _checked(self, x: Tensor, mask: Tensor | None, *, data: bool) -> Tensor:
        """x as long with padding 0. Raises ShapeError."""
        if x.ndim != 2 or not self._fits(x) or x.is_floating_point() or x.is_complex():
            raise ShapeError(
                f"a state of categories is whole numbers (B, {self._places()}); got {x.dtype} "
                f"{tuple(x.shape)}"
            )
        x = _padded(x.long(), mask)
        wrong = (x < 0) | (x > self.mask_token(x) - int(data))
        if bool(wrong.any()):
            column = int(wrong.any(0).nonzero()[0])
            size = self.sizes[column if len(self.sizes) > 1 else 0]
            raise ShapeError(
                f"column {column} holds {int(x[wrong][0])}; allowed are 0 to {size - 1}"
                + ("" if data else f", and {size} for masked")
            )
        return x

    def _cumulative(self, x_hat: Tensor, where: Tensor) -> Tensor:
        """The cumulative probabilities (M, width) of x_hat (B, N, width) at `where` (B, N).

        Raises: ShapeError, ArgumentError if x_hat is not a distribution at every one of them.
        """
        if x_hat.shape != (*where.shape, self.width):
            raise ShapeError(
                f"x_hat must be probabilities {(*where.shape, self.width)}; got "
                f"{tuple(x_hat.shape)}"
            )
        rows, columns = where.nonzero(as_tuple=True)
        chosen = x_hat[rows, columns]
        below = chosen.cumsum(-1)
        if not len(below):
            return below
        # one pass over all acquits nearly always; only then is each entry looked at
        fine = ((below[:, -1] - 1).abs().amax() < 1e-3) & (chosen.min() >= 0)  # NaN fails both
        if len(set(self.sizes)) > 1:
            fine &= ~((chosen != 0) & self._beyond(x_hat)[columns]).any()
        if not bool(fine):
            self._check_entries(x_hat, where)
        return below

    def _check_entries(self, x_hat: Tensor, hidden: Tensor) -> None:
        """Raise at the first hidden entry that is no distribution over its column's categories."""
        total, least = x_hat.sum(-1), x_hat.amin(-1)
        good = ((total - 1).abs() < 1e-3) & (least >= 0)  # NaN fails both
        if len(set(self.sizes)) > 1:
            good &= x_hat.masked_fill(~self._beyond(x_hat), 0).amax(-1) == 0
        bad = hidden & ~good
        if bool(bad.any()):
            row, column = bad.nonzero()[0].tolist()
            raise ArgumentError(
                f"x_hat of row {row}, column {column} is {x_hat[row, column].tolist()[:8]}, which "
                "is not a distribution over the column's categories: finite, not negative, sum "
                "1, none on the mask token; pass logits through Masking.answer"
            )


def _padded(x: Tensor, mask: Tensor | None) -> Tensor:
    """x with padding set to 0."""
    return x if mask is None else torch.where(expand(mask, x).bool(), x, 0)


def _draw(below: Tensor, u: Tensor) -> Tensor:
    """A category of each distribution, cumulative (M, K), by uniform numbers (M,); never one of
    mass 0.
    """
    total = below[:, -1]
    # just under the total keeps the last category safe where u · total rounds up to the total
    limit = torch.minimum(u.to(below) * total, torch.nextafter(total, torch.zeros_like(total)))
    # compared straight into numbers: adding truth values up is several times slower
    passed = torch.empty(below.shape, dtype=torch.float32, device=below.device)
    return torch.le(below, limit[:, None], out=passed).sum(-1).long()
