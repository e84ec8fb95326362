"""Which masked entries are revealed next: one decision over all discrete fields of a sample.

A masking path reveals every entry on its own. Here the loop is handed a path that counts how many
entries of a sample are due, and takes those that an order puts first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.maths.discrete import Masking
from unfog.maths.paths import ordered
from unfog.maths.product import Product
from unfog.maths.randomness import Rng, later
from unfog.maths.states import expand
from unfog.registry import Registry

reveals: Registry[type] = Registry("reveal order")


class Reveal(Protocol):
    """A frozen dataclass; what it puts first is revealed first.

    Attributes:
        drawn: whether the score looks at the categories that are drawn; if not, only those that are
            revealed are drawn.
    """

    @property
    def drawn(self) -> bool: ...

    def score(self, x_hat: Tensor, shown: Tensor, u: Tensor) -> Tensor:
        """(B, N), the highest first.

        Args:
            x_hat: (B, N, width) probabilities.     shown: (B, N) the categories drawn from them
                where `drawn`, else the state.
            u: (B, N) uniform numbers.
        """
        ...


@reveals.add("ancestral", aliases=("independent",), reference="Sahoo et al. 2024, MDLM, sec. 3")
@dataclass(frozen=True)
class Ancestral:
    """Every entry on its own: the masking path's own move."""

    drawn: ClassVar[bool] = False

    def score(self, x_hat: Tensor, shown: Tensor, u: Tensor) -> Tensor:
        return u


@reveals.add("random", reference="Austin et al. 2021, D3PM, sec. 3.1; counted, so less is random")
@dataclass(frozen=True)
class Random:
    """As many entries as are due, any of them.

    Entries revealed in one step don't see each other. Where each is revealed on its own, many meet
    in a step by chance; counted, as few as can be.
    """

    drawn: ClassVar[bool] = False

    def score(self, x_hat: Tensor, shown: Tensor, u: Tensor) -> Tensor:
        return u


@reveals.add(
    "confidence",
    aliases=("maskgit",),
    reference="Chang et al. 2022, MaskGIT, sec. 3.2 (drawn); Nie et al. 2025, LLaDA, sec. 2.4",
)
@dataclass(frozen=True)
class Confidence:
    """The entries first of which the prediction is surest.

    By the largest probability, the order looks at the state alone, so one entry a step is exact. By
    the probability of the category that was drawn, sure draws are preferred: samples are more
    often valid and less diverse.

    Args:
        drawn: judge by the drawn category.
    """

    drawn: bool = False

    def score(self, x_hat: Tensor, shown: Tensor, u: Tensor) -> Tensor:
        if not self.drawn:
            return x_hat.amax(-1)
        return x_hat.gather(-1, shown.clamp_max(x_hat.shape[-1] - 1)[..., None])[..., 0]


@reveals.add("forward", aliases=("left_to_right",), reference="an autoregressive model's order")
@dataclass(frozen=True)
class Forward:
    """From the first place to the last, place by place over all fields."""

    drawn: ClassVar[bool] = False

    def score(self, x_hat: Tensor, shown: Tensor, u: Tensor) -> Tensor:
        return -torch.arange(u.shape[1], dtype=u.dtype, device=u.device).expand(u.shape)


@dataclass(frozen=True)
class OrderedMasking(Masking):
    """A masking path whose reveals are decided together."""

    reveal: Any = field(default_factory=Random)

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
        """Reveal what is due; the arguments are those of `Masking.move`."""
        alone: dict[str, Masking] = {"": self}
        state, trusted, real = ({"": v} for v in (x_t, x_hat, mask))
        return _decide(self.reveal, alone, state, trusted, t, s, eta, rng, real)[""]


@dataclass(frozen=True)
class OrderedProduct(Product):
    """A product whose masked entries are decided together, over all its discrete fields."""

    reveal: Any = field(default_factory=Random)

    def move(
        self,
        x_t: Any,
        x_hat: Any,
        t: float | Tensor,
        s: float | Tensor,
        *,
        eta: float = 0.0,
        rng: Rng | None = None,
        mask: Any = None,
    ) -> dict[str, Tensor]:
        """Every other field moves by itself; the arguments are those of `Product.move`."""
        discrete: dict[str, Masking] = {}
        for name, path in self.fields.items():
            if isinstance(path, Masking):
                discrete[name] = path
        others = {name: p for name, p in self.fields.items() if name not in discrete}
        real = {name: None if mask is None else mask.get(name) for name in self.fields}
        moved: dict[str, Tensor] = {}
        for name, other in others.items():
            moved[name] = other.move(
                x_t[name], x_hat[name], t, s, eta=eta, rng=rng, mask=real[name]
            )
        moved |= _decide(self.reveal, discrete, x_t, x_hat, t, s, eta, rng, real)
        return {name: moved[name] for name in self.fields}


def revealing(path: Any, reveal: Reveal) -> Any:
    """The path for the loop, with reveals decided by `reveal`; `path` itself for `ancestral`.

    Raises: ArgumentError if no field of the path is masked.
    """
    members = path.fields.values() if isinstance(path, Product) else (path,)
    masked = any(isinstance(member, Masking) for member in members)
    if isinstance(reveal, Ancestral):
        return path
    if isinstance(path, Masking):
        return OrderedMasking(path.sizes, path.schedule, reveal)
    if isinstance(path, Product) and masked:
        return OrderedProduct(path.fields, reveal)
    raise ArgumentError(
        f"a reveal order is for masked categories, and this state has none ({path!r}); leave it out"
    )


def _decide(
    reveal: Reveal,
    fields: Mapping[str, Masking],
    x_t: Any,
    x_hat: Any,
    t: float | Tensor,
    s: float | Tensor,
    eta: float,
    rng: Rng | None,
    mask: Mapping[str, Any],
) -> dict[str, Tensor]:
    """All discrete fields at s: so many entries stay masked that the expected share is the paths'.

    Per sample: still = floor(sum over masked entries of their chance to stay + u), u uniform; a
    revealed entry is masked again with its own chance, as the paths do.
    """
    t, s = ordered(t, s)
    if rng is None or not 0 <= eta <= 1:
        raise ArgumentError(f"masked entries need an rng, and eta in [0, 1]; got {rng}, {eta}")
    hidden, picks, shown, again, scores, stays = {}, {}, {}, {}, [], []
    for name, path in fields.items():
        state, real = x_t[name], mask[name]
        hidden[name] = path.hidden(state, real)
        chance, picks[name] = later(rng, state), later(rng, state)
        stay, back = path.chances(t, s, eta)
        if eta:
            open_ = ~hidden[name] if real is None else ~hidden[name] & real.bool()
            again[name] = open_.masked_scatter(open_, chance(open_) < _at(back, state, open_))
        shown[name] = state
        if reveal.drawn:
            u = picks[name](hidden[name])
            shown[name] = path.revealed(state, x_hat[name], hidden[name], u)
        tie = rng.uniform(state)
        score = reveal.score(x_hat[name].to(tie), shown[name], tie)
        scores.append(score.masked_fill(~hidden[name], torch.inf))
        stays.append((hidden[name] * expand(stay, state)).sum(1))
    whole = torch.cat(scores, 1)
    u = rng.uniform(whole[:, :1])[:, 0]
    still = (torch.stack(stays).sum(0) + u).floor().long()
    kept = (_rank(whole) < still[:, None]).split([v.shape[1] for v in hidden.values()], 1)
    moved = {}
    for (name, path), stays_masked in zip(fields.items(), kept):
        due = hidden[name] & ~stays_masked
        x_s = shown[name]
        if not reveal.drawn:
            x_s = path.revealed(x_t[name], x_hat[name], due, picks[name](due))
        masked = hidden[name] & ~due
        if name in again:
            masked = masked | again[name]
        x_s = torch.where(masked, path.mask_token(x_s), x_s)
        moved[name] = torch.where(expand(t == s, x_s), x_t[name], x_s)
    return moved


def _at(value: Tensor, like: Tensor, where: Tensor) -> Tensor:
    """What a value for every row, or entry, of `like` is at `where`."""
    return expand(value, like).expand(like.shape)[where]


def _rank(score: Tensor) -> Tensor:
    """(B, N) places of the scores in their row, from the lowest up; equals in order."""
    order = score.argsort(dim=1, stable=True)
    place = torch.arange(score.shape[1], device=score.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, place)
