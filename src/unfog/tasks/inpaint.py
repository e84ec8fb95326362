"""Draw the unknown part of images and arrays given the known one, without training for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import ArgumentError, ShapeError
from unfog.guide import fill
from unfog.guide.operators import Mask
from unfog.maths.states import lead
from unfog.model.spaces.identity import Identity
from unfog.registry import unknown
from unfog.tasks.generate import Bend, Samples, generate
from unfog.tasks.measure import METHODS, measured

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

REPLACE, RESAMPLE = "replace", "resample"


def inpainted(
    model: Trained,
    data: Any,
    keep: Any,
    *,
    method: str = "dps",
    count: int | None = None,
    given: dict[str, Any] | None = None,
    scale: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    batch: int | None = None,
    noise: float = 0.05,
    show: bool | None = None,
) -> Samples:
    """Draw items that have the known entries of `data`, which come out bit-equal.

    Args:
        data: (count, *item) or one item, in the data's own type and shape.
        keep: of one item's shape, or left-aligned (an image's (H, W)), 1 = known.
        method: dps, mmps, pigdm or diffpir, in any space; replace or resample (RePaint) where
            states are the data themselves.
        count, given, scale, steps, seed, batch: as for `generate`.
        noise: of the first four, how closely the drawn items meet the known part before it is put
            back, in units of the encoded data (pixels run from -1 to 1).
    Raises: ArgumentError for tables (use fill) and for a method that the model's space can't do.
    """
    codec = model.borders.codec
    if model.config.fields or not hasattr(codec, "state_shape"):
        raise ArgumentError(
            f"this is a model of {model.config.kind}s; in-painting is of images and arrays, and "
            "fill takes tables"
        )
    if method not in (*METHODS, REPLACE, RESAMPLE):
        raise ArgumentError(unknown("method", method, [*METHODS, REPLACE, RESAMPLE]))
    item = tuple(model.config.data.item)
    known = np.asarray(data)
    known = known.reshape(-1, *item) if known.size % int(np.prod(item)) == 0 else known
    if known.shape[1:] != item:
        raise ShapeError(f"items have the shape {item}; got {np.asarray(data).shape}")
    held = np.asarray(keep, dtype=bool)
    if held.shape != item[: held.ndim]:
        raise ShapeError(f"keep has the shape {item} or a first part of it; got {held.shape}")
    held = np.broadcast_to(held.reshape(*held.shape, *(1,) * (len(item) - held.ndim)), item)
    count = len(known) if count is None else count
    if len(known) not in (1, count):
        raise ArgumentError(f"data holds {len(known)} items, for {count} samples; give 1 or all")
    known = np.broadcast_to(known, (count, *item))
    encoded = codec.encode(known.copy())
    seen = _like_state(model, held)
    samples = _drawn(
        model, encoded, seen, method, count,
        given=given, scale=scale, steps=steps, seed=seed, batch=batch, noise=noise, show=show,
    )  # fmt: skip
    raw = np.where(held, known, samples.raw)
    return dataclasses.replace(
        samples, raw=raw, state=torch.where(seen, encoded, lead(samples.state))
    )


def _like_state(model: Trained, held: np.ndarray) -> Tensor:
    """Which entries of an encoded item are known, bool: (H, W, C) becomes (C, H, W)."""
    if model.config.kind == "image":
        held = held.transpose(2, 0, 1)
    shape = tuple(model.borders.codec.state_shape)
    if held.shape != shape:
        raise ArgumentError(
            f"entries of items {held.shape} are not the entries of encoded items {shape}; "
            "measured() takes any operator on these"
        )
    return torch.from_numpy(held.copy())


def _drawn(
    model: Trained,
    encoded: Tensor,
    seen: Tensor,
    method: str,
    count: int,
    *,
    steps: int | None,
    noise: float,
    **choices: Any,
) -> Samples:
    if method in METHODS:
        y = encoded * seen
        found = measured(
            model, y, Mask(seen), noise=noise, method=method, count=count, steps=steps, **choices
        )
        return found.samples
    corrector = "resample" if method == RESAMPLE else None
    guide = replacing(model, encoded, seen, method)
    return generate(model, count, steps=steps, corrector=corrector, guide=guide, **choices)


def replacing(model: Trained, encoded: Tensor, seen: Tensor, method: str) -> Bend:
    """A guide that puts the known entries into the state: (N, *state) values, and which are known.

    Raises: ArgumentError where states are latents, which have no known entries.
    """
    space = model.borders.space
    if not isinstance(space, Identity):
        raise ArgumentError(
            f"{method} puts known entries into the state, and this model's states are latents "
            f"({type(space).__name__.lower()}); use mmps or dps"
        )
    state = space.into(encoded.to(model.device))
    keep = seen.to(model.device).expand(state.shape)

    def guide(predict: Callable[..., Any], rows: range) -> Callable[..., Any]:
        part = slice(rows.start, rows.stop)
        return fill(predict, state[part], keep[part])

    return guide
