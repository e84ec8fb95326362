"""What the axes of an array are: which one holds channels, which ones are closed to a ring."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unfog.errors import ArgumentError

GRID = 8  # both sides of what is taken for a grid of one channel, at least
LONG = 4  # and its longer side is at most so many times the shorter
FEW = 4  # so many channels at most may stand last without being declared


def channel_axis(shape: tuple[int, ...], layout: str | None, notes: list[str]) -> int | None:
    """Which axis of an item of this shape holds the channels; None where each entry is one number.

    A layout names the axes, the items' own N first: "NHW" is a grid of one channel, "NCL" channels
    of series, "NHWC" channels last. Without it the first axis holds channels, but for items (H, W)
    with both sides of 8 or more and alike, and items (H, W, C) with at most 4 channels; both are
    noted.
    Raises: ArgumentError for a layout that doesn't fit the shape.
    """
    if layout is not None:
        return _declared(shape, layout)
    if len(shape) == 2 and looks_like_grid(shape):
        notes.append(
            f"items of {shape[0]}×{shape[1]} are read as a grid of one channel; if they are "
            f"{shape[0]} channels of series, say layout NCL"
        )
        return None
    if len(shape) == 3 and shape[2] <= FEW and min(shape[:2]) >= GRID:
        notes.append(
            f"items of {shape[0]}×{shape[1]}×{shape[2]} are read as grids with the "
            f"{shape[2]} channels last; if the channels are first, say layout NCHW"
        )
        return 2
    return 0


def looks_like_grid(shape: Sequence[int]) -> bool:
    """Whether both sides are long enough, and alike enough, for a map rather than for channels."""
    return min(shape) >= GRID and max(shape) <= LONG * min(shape)


def _declared(shape: tuple[int, ...], layout: str) -> int | None:
    letters = layout[1:]
    fits = layout[:1] == "N" and len(letters) == len(shape) and set(letters) <= set("CDHWL")
    if not fits or len(set(letters)) < len(letters):
        raise ArgumentError(
            f"layout={layout!r} does not fit items of shape {shape}; name the axes with N first, "
            f"then one letter each of C (channels), D, H, W, L, for example "
            f"{'N' + ('C' + 'DHW'[-max(len(shape) - 1, 0) :])[: len(shape)]!r}"
        )
    return letters.index("C") if "C" in letters else None


def channels_first(data: np.ndarray, channel: int | None) -> np.ndarray:
    """(B, *item) → (B, C, *grid), without a copy."""
    return data[:, None] if channel is None else np.moveaxis(data, channel + 1, 1)


def as_given(data: np.ndarray, channel: int | None) -> np.ndarray:
    """The inverse of `channels_first`."""
    return data[:, 0] if channel is None else np.moveaxis(data, 1, channel + 1)


def rings(rank: int, channel: int | None, periodic: Sequence[int]) -> list[int]:
    """Axes of the array (0 = the items) that are closed to a ring → axes of the grid, from 0.

    Raises: ArgumentError for an axis that isn't there, or that holds items or channels.
    """
    found = []
    for axis in periodic:
        plain = axis + rank + 1 if axis < 0 else axis
        if not 1 <= plain <= rank or plain - 1 == channel:
            held = "the items" if plain == 0 else "the channels" if plain - 1 == channel else "none"
            others = [a for a in range(1, rank + 1) if a - 1 != channel]
            raise ArgumentError(
                f"periodic axis {axis} is {held} of an array of rank {rank + 1}; "
                + (f"allowed: {', '.join(map(str, others))}" if others else "items have no grid")
            )
        found.append(plain - 1 - (channel is not None and plain - 1 > channel))
    return sorted(set(found))
