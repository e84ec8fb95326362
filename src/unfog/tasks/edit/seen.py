"""Edits that undo a measurement: enlarge (super-resolution), deblur, denoise."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import ArgumentError, ShapeError
from unfog.guide.operators import Blur, Downsample, Mask
from unfog.kinds.array.axes import as_given, channels_first
from unfog.maths.states import lead
from unfog.tasks.edit.conditions import conditions
from unfog.tasks.edit.edited import Edited, named
from unfog.tasks.edit.fitted import fitted
from unfog.tasks.edit.sources import Source
from unfog.tasks.measure import measured

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

ROUNDS = 50
"""Of shifting blocks and cutting off what no pixel can be; each leaves less than before."""


def enlarge(
    model: Trained,
    source: Source,
    *,
    noise: float = 0.02,
    method: str = "mmps",
    draws: int = 1,
    given: dict[str, Any] | None = None,
    **choices: Any,
) -> Edited:
    """Super-resolution: items of the model's size whose block means are the small items.

    The factor follows from the sizes. Draws meet the small item up to `noise`, and what is left of
    the difference is added evenly to each block, so that block means are right up to rounding.

    Args:
        source: images or grids 2, 3, 4 … times smaller than the model's along every axis.
        noise: in units of the encoded data: pixels run from -1 to 1.
        method: of `measured`.     draws: of every item.     choices: of `measured`.
    Raises: ShapeError for sizes that are not a whole factor below the model's.
    """
    codec = model.borders.codec
    if getattr(codec, "angles", ()) or getattr(codec, "missing", ()) or _gone(codec) is not None:
        raise ArgumentError("angles and missing values have no block means; enlarge plain numbers")
    factor = _factor(source, tuple(model.config.data.item), getattr(codec, "channel", 2))
    small = np.stack(source.items)
    y = dataclasses.replace(codec, shape=small.shape[1:]).encode(small)
    y = y.repeat_interleave(draws, 0)
    see = Downsample(factor)
    found = measured(
        model, y, see, noise=noise, method=method, count=len(y),
        given=conditions(model, source.columns, given, draws), **choices,
    )  # fmt: skip
    state = lead(found.samples.state)
    off = _rms(see(state) - y)
    raw = codec.decode(_met(model, state, y, factor))
    facts = {"factor": factor, "misfit": off, "misfit_after": _rms(see(codec.encode(raw)) - y)}
    names = named(source.names, len(source), draws)
    return Edited(list(raw), names, model.config.kind, found.samples.given, source.origin, facts)


def _gone(codec: Any) -> Any:
    return getattr(codec, "gone", None)


def _rms(away: Tensor) -> float:
    return float(away.square().mean().sqrt())


def _met(model: Trained, state: Tensor, y: Tensor, factor: int) -> Tensor:
    """The nearest encoded items with these block means; pixels stay within what they can be."""
    see = Downsample(factor)
    bounded = model.config.kind == "image" and np.dtype(model.borders.codec.dtype).kind == "u"
    for _ in range(ROUNDS if bounded else 1):
        if bounded:
            state = state.clamp(-1, 1)
        state = state + _repeated(y - see(state), factor)
    return state


def _repeated(small: Tensor, factor: int) -> Tensor:
    """(B, C, *grid) with every entry repeated along each axis of the grid."""
    for axis in range(2, small.ndim):
        small = small.repeat_interleave(factor, axis)
    return small


def _factor(source: Source, shape: tuple[int, ...], channel: int | None) -> int:
    """How many times smaller all items are along every axis but the channels'."""
    wanted = "give items 2, 3, 4 … times smaller along every axis"
    if len({one.shape for one in source.items}) > 1:
        raise ShapeError(f"items of several sizes, and the model draws {shape}; {wanted}")
    have = source.items[0].shape
    axes = [axis for axis in range(len(shape)) if axis != channel]
    if not axes:
        raise ArgumentError("items that are vectors have no neighbours, so nothing to enlarge")
    factors = {shape[axis] / have[axis] for axis in axes}
    factor = next(iter(factors))
    if len(factors) > 1 or factor < 2 or factor != int(factor):
        raise ShapeError(f"these items are {have} and the model draws {shape}; {wanted}")
    return int(factor)


def small(model: Trained, data: np.ndarray, factor: int) -> np.ndarray:
    """Block means of (N, *item), in the data's own dtype: what `enlarge` takes."""
    codec = model.borders.codec
    channel = 2 if model.config.kind == "image" else codec.channel
    grid = torch.from_numpy(channels_first(data, channel).astype(np.float64))
    means = as_given(Downsample(factor)(grid).numpy(), channel)
    if np.dtype(codec.dtype).kind in "iu":
        means = np.rint(means)
    return np.ascontiguousarray(means.astype(codec.dtype))


def deblur(
    model: Trained, source: Source, *, width: float = 1.5, noise: float = 0.02, **choices: Any
) -> Edited:
    """Draw sharp items that, blurred by a Gaussian, are the given ones.

    Args:
        width: standard deviation of the blur, in entries of the model's size.
        noise: of the given items, in encoded units (pixels run from -1 to 1).
        choices: method, draws, given, scale, steps, seed, batch, show.
    """
    return _undone(model, source, Blur(width), noise, {"width": width}, **choices)


def denoise(model: Trained, source: Source, *, noise: float = 0.2, **choices: Any) -> Edited:
    """Draw clean items that the given ones may be noisy copies of.

    Args:
        noise: standard deviation of the error, in encoded units (pixels run from -1 to 1).
        choices: as for `deblur`.
    """
    keep = torch.ones(tuple(model.borders.codec.state_shape))
    return _undone(model, source, Mask(keep), noise, {}, **choices)


def _undone(
    model: Trained,
    source: Source,
    operator: Any,
    noise: float,
    facts: dict[str, Any],
    *,
    method: str = "mmps",
    draws: int = 1,
    given: dict[str, Any] | None = None,
    **choices: Any,
) -> Edited:
    if not noise > 0:
        raise ArgumentError(f"noise is above 0: 8-bit pixels are rounded by 0.002; got {noise}")
    fit = fitted(model, source)
    if fit.holes is not None:
        raise ArgumentError("items with missing values: fill them first")
    y = fit.encoded().repeat_interleave(draws, 0)
    found = measured(
        model, y, operator, noise=noise, method=method, count=len(y),
        given=conditions(model, source.columns, given, draws), **choices,
    )  # fmt: skip
    places = (i for i in range(len(source)) for _ in range(draws))
    items = [fit.back(place, one) for place, one in zip(places, found.samples.raw)]
    told = {**facts, "noise": noise, "misfit": float(found.misfit.mean()) * noise}
    names = named(source.names, len(source), draws)
    return Edited(items, names, model.config.kind, found.samples.given, source.origin, told)
