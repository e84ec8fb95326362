"""Vary: noise an item in part, and draw it anew from there (image to image)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from unfog.errors import ArgumentError
from unfog.tasks.edit.conditions import conditions
from unfog.tasks.edit.edited import Edited, named
from unfog.tasks.edit.fitted import fitted
from unfog.tasks.edit.sources import Source
from unfog.tasks.generate import generate
from unfog.tasks.held import Begin

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained


def vary(
    model: Trained,
    source: Source,
    *,
    strength: float = 0.5,
    draws: int = 1,
    given: dict[str, Any] | None = None,
    **choices: Any,
) -> Edited:
    """Variations of items: the same in outline, the more anew the higher the strength.

    An item is noised to the angle `strength` pi/2 of its path, atan2(sigma, alpha), and sampled
    from there. What the space and the size can't hold of it is added with the weight that the item
    still has in the noised state, cos(strength pi/2).

    Args:
        strength: 0 gives the item back bit-equal, 1 a fresh sample, which is that of
            `model.sample` with the same seed and conditions.
        draws: of every item.     given: another class makes it image-to-image translation.
        choices: of `generate`: scale, steps, solver, eta, seed, batch, show.
    Ref: Meng et al. 2022, SDEdit, alg. 1.
    """
    if not 0 <= strength <= 1:
        raise ArgumentError(f"strength lies in [0, 1], 0 = unchanged, 1 = anew; got {strength}")
    fit = fitted(model, source)
    if fit.holes is not None:
        raise ArgumentError("items with missing values can't be varied; fill draws these")
    count = len(source)
    names = named(source.names, count, draws)
    asked = conditions(model, source.columns, given, draws)
    if strength == 0:
        items = [one.copy() for one in source.items for _ in range(draws)]
        return Edited(items, names, model.config.kind, {}, source.origin, {"strength": 0.0})
    encoded = fit.encoded()
    begin = None
    if strength < 1:
        state = model.borders.space.into(encoded.to(model.device)).cpu()
        path = model.net.path
        angle = torch.tensor(strength, dtype=torch.float64) * path.angle(
            torch.ones((), dtype=torch.float64)
        )
        begin = Begin(state.repeat_interleave(draws, 0), float(path.time_at_angle(angle)))
    samples = generate(model, count * draws, given=asked, begin=begin, **choices)
    left = math.cos(strength * math.pi / 2)
    lost = fit.lost(encoded) if strength < 1 and plain(model) else None
    items = [
        fit.back(place, one, lost=None if lost is None else left * lost[place])
        for place, one in zip((i for i in range(count) for _ in range(draws)), samples.raw)
    ]
    facts = {"strength": strength, "t": 1.0 if begin is None else begin.t}
    return Edited(items, names, model.config.kind, samples.given, source.origin, facts)


def plain(model: Trained) -> bool:
    """Whether raw numbers may be added: not where they are angles or may be missing."""
    codec = model.borders.codec
    return not (getattr(codec, "angles", ()) or getattr(codec, "missing", ()))
