"""Edits that draw what is not known: in-painting under any mask, out-painting."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from unfog.errors import ArgumentError, UnknownName
from unfog.guide import Measurement
from unfog.guide.operators import Mask
from unfog.maths.states import lead
from unfog.registry import unknown
from unfog.tasks.edit.conditions import conditions
from unfog.tasks.edit.edited import Edited, named
from unfog.tasks.edit.fitted import Fitted, fitted
from unfog.tasks.edit.keeps import keep_of
from unfog.tasks.edit.sources import Source
from unfog.tasks.generate import Bend, generate
from unfog.tasks.inpaint import REPLACE, RESAMPLE, replacing
from unfog.tasks.measure import METHODS

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

NOISE = 0.02
"""How closely drawn items meet what is known before it is put back, in encoded units, where the
space can hold the items."""


def inpaint(
    model: Trained,
    source: Source,
    *,
    keep: Any = None,
    method: str = "dps",
    noise: float | None = None,
    draws: int = 1,
    seed: int = 0,
    given: dict[str, Any] | None = None,
    **choices: Any,
) -> Edited:
    """Draw the unknown entries given the known ones, which come out bit-equal at the user's size.

    Any mask, another for every item; nothing is trained for it.

    Args:
        keep: see `keeps.keep_of`. NaN in arrays is unknown too, and may be all that is.
        method: dps, mmps, pigdm or diffpir, in any space; replace or resample (RePaint) where
            states are the data themselves.
        noise: how closely drawn items meet what is known before it is put back, in encoded units
            (pixels run from -1 to 1); 0.02 and what the space can't hold of it where None.
        draws: of every item.     choices: of `generate`: scale, steps, batch, show …
    """
    fit = fitted(model, source)
    keeps = _keeps(fit, keep, seed)
    return _completed(
        fit, keeps, method, noise, draws, seed=seed, given=given, choices=choices,
        names=named(source.names, len(source), draws),
    )  # fmt: skip


def _keeps(fit: Fitted, keep: Any, seed: int) -> list[np.ndarray]:
    """One mask per item, at its own size; NaN is unknown."""
    if keep is None and fit.holes is None:
        raise ArgumentError(
            "nothing is unknown: say what to keep, for example keep='left', or a mask of 0 and 1"
        )
    found = []
    for place, item in enumerate(fit.source.items):
        shape = item.shape[:2] if fit.image else item.shape
        if keep is None:
            mask = np.ones(shape, bool)
        else:
            mask = keep_of(keep, shape, image=fit.image, place=place, seed=seed)
        found.append(mask if fit.holes is None else mask & ~fit.holes[place])
    return found


def outpaint(
    model: Trained,
    source: Source,
    *,
    grow: Any = 0.25,
    method: str = "dps",
    noise: float | None = None,
    draws: int = 1,
    seed: int = 0,
    given: dict[str, Any] | None = None,
    **choices: Any,
) -> Edited:
    """Draw what may lie around images; the images come out bit-equal in their place.

    The whole, seen from further away, is what the model draws at its own size; the part around the
    image is then enlarged to the image's resolution.

    Args:
        grow: how much is added at each side, as a share of that side's length: one number, or
            "left:0.5,top:0.5", or a dict of such.
    Raises: ArgumentError where the grown image has not the model's proportions.
    """
    if model.config.kind != "image":
        raise ArgumentError(
            "out-painting is of images; of arrays keep a part, for example keep='first:0.5'"
        )
    sides = _sides(grow)
    height, width = model.config.data.item[:2]
    items, keeps = [], []
    for item in source.items:
        edges = [
            (round(item.shape[axis] * sides[one]), round(item.shape[axis] * sides[other]))
            for axis, (one, other) in enumerate((("top", "bottom"), ("left", "right")))
        ]
        canvas = np.pad(item, [*edges, (0, 0)], mode="edge")
        if abs(canvas.shape[0] * width - canvas.shape[1] * height) > max(height, width):
            raise ArgumentError(
                f"grown, the image is {canvas.shape[0]}×{canvas.shape[1]}, and the model draws "
                f"{height}×{width}; grow it to these proportions"
            )
        known = np.zeros(canvas.shape[:2], bool)
        (top, _), (left, _) = edges
        known[top : top + item.shape[0], left : left + item.shape[1]] = True
        if known.all():
            raise ArgumentError(f"grow={grow!r} adds less than a pixel")
        items.append(canvas)
        keeps.append(known)
    grown = Source(items, source.columns, source.names, source.origin)
    return _completed(
        fitted(model, grown), keeps, method, noise, draws, seed=seed, given=given, choices=choices,
        names=named(source.names, len(source), draws),
    )  # fmt: skip


def _sides(grow: Any) -> dict[str, float]:
    names = ("left", "right", "top", "bottom")
    if isinstance(grow, str) and ":" in grow:
        grow = dict([*part.split(":", 1), ""][:2] for part in grow.split(","))
    if not isinstance(grow, dict):
        grow = dict.fromkeys(names, grow)
    for name in grow:
        if name not in names:
            raise UnknownName(unknown("side", name, names))
    try:
        found = {name: float(grow.get(name, 0.0)) for name in names}
    except (TypeError, ValueError):
        raise ArgumentError(
            f"grow={grow!r} is a share, 0.25, or one for each side, left:0.5,top:0.5"
        ) from None
    if not all(0 <= share <= 4 for share in found.values()) or not any(found.values()):
        raise ArgumentError(f"shares to grow by lie in [0, 4], and one is above 0; got {found}")
    return found


def _completed(
    fit: Fitted,
    keeps: list[np.ndarray],
    method: str,
    noise: float | None,
    draws: int,
    *,
    seed: int,
    given: dict[str, Any] | None,
    choices: dict[str, Any],
    names: list[str],
) -> Edited:
    """Draw every item `draws` times given its known entries, and put these back."""
    model, source = fit.model, fit.source
    seen = fit.states(np.stack([fit.seen(i, one) for i, one in enumerate(keeps)]))
    encoded = fit.encoded().repeat_interleave(draws, 0)
    seen = seen.repeat_interleave(draws, 0)
    usual: dict[str, Any] = {}
    if method in METHODS:
        usual = {"solver": "euler", "eta": 1.0}  # fresh noise forgets a guide's errors
    noise = math.hypot(NOISE, model.borders.space.unheld) if noise is None else noise
    samples = generate(
        model,
        len(encoded),
        given=conditions(model, source.columns, given, draws),
        guide=_guide(model, encoded, seen, method, noise),
        seed=seed,
        **{**usual, **({"corrector": "resample"} if method == RESAMPLE else {}), **choices},
    )
    gap = ((lead(samples.state) - encoded) * seen).flatten(1).square().sum(1)
    misfit = (gap / seen.flatten(1).sum(1).clamp_min(1)).sqrt()
    items = [
        fit.back(place, one, keep=keeps[place])
        for place, one in zip((i for i in range(len(source)) for _ in range(draws)), samples.raw)
    ]
    facts = {
        "noise": noise,
        "known": float(np.mean([one.mean() for one in keeps])),
        "misfit": float(misfit.mean()),
    }
    return Edited(items, names, model.config.kind, samples.given, source.origin, facts)


def _guide(model: Trained, encoded: Tensor, seen: Tensor, method: str, noise: float) -> Bend:
    """Towards the known entries: rows of (N, *state) values and masks, one per sample."""
    if method not in (*METHODS, REPLACE, RESAMPLE):
        raise UnknownName(unknown("method", method, [*METHODS, REPLACE, RESAMPLE]))
    if method in (REPLACE, RESAMPLE):
        return replacing(model, encoded, seen, method)

    def measured(predict: Callable[..., Any], rows: range) -> Callable[..., Any]:
        part = slice(rows.start, rows.stop)
        known = seen[part].to(model.device)
        y = encoded[part].to(model.device) * known
        judged = Measurement(
            y, Mask(known), noise, model.borders.space.back, model.config.sigma_data
        )
        guided: Callable[..., Any] = METHODS[method](predict, model.net.path, judged)
        return guided

    return measured
