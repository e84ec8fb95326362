"""Items as the model takes them, and what was drawn back at the user's own size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import ShapeError
from unfog.kinds.array.axes import channels_first
from unfog.kinds.image.decode import fit_size
from unfog.kinds.scale import to_dtype
from unfog.tasks.edit.sources import Source

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained


@dataclass(frozen=True)
class Fitted:
    """N items at the model's size.

    An image of another size is cut to the largest centred window of the model's proportions, and
    that is resized. What the model draws goes back into the window; outside nothing changes.

    Attributes:
        source: the items at their own size.     model: what will edit them.
        data: (N, *item) at the model's size, in the model's dtype.     holes: bool like data, NaN
            in an array, which reads as unknown; None where there are none.
    """

    source: Source
    model: Trained
    data: np.ndarray
    holes: np.ndarray | None = None

    @property
    def image(self) -> bool:
        return self.model.config.kind == "image"

    def encoded(self) -> Tensor:
        """(N, *state) float32 of the codec; holes as the mean."""
        data = self.data
        if self.holes is not None:
            data = np.where(self.holes, np.zeros((), data.dtype), data)
        encoded: Tensor = self.model.borders.codec.encode(data)
        return encoded

    def lost(self, encoded: Tensor) -> list[np.ndarray]:
        """What the space, the codec and the size can't hold of every item, at its own size, in raw
        units, float64: the item less what comes back of it unedited.
        """
        space, codec = self.model.borders.space, self.model.borders.codec
        device = self.model.device
        held = codec.decode(space.back(space.into(encoded.to(device))).cpu())
        return [
            item.astype(np.float64) - self._grown(place, one).astype(np.float64)
            for place, (item, one) in enumerate(zip(self.source.items, held))
        ]

    def _grown(self, place: int, drawn: np.ndarray) -> np.ndarray:
        """A drawn item at the size of the user's; the item itself outside the window."""
        item = self.source.items[place]
        if item.shape == drawn.shape:
            return drawn
        rows, columns = _window(item.shape, drawn.shape)
        out = item.copy()
        alpha = drawn.shape[2] in (2, 4)
        size = (rows.stop - rows.start, columns.stop - columns.start)
        out[rows, columns] = fit_size(drawn, size, "stretch", alpha=alpha)
        return out

    def back(
        self,
        place: int,
        drawn: np.ndarray,
        *,
        lost: np.ndarray | None = None,
        keep: np.ndarray | None = None,
    ) -> np.ndarray:
        """One drawn item, (*item), at the user's size and in the model's dtype.

        Args:
            lost: raw float64 to add, of the user's size.     keep: bool, entries that are to be
                the item's own, bit for bit.
        """
        item = self.source.items[place]
        out = self._grown(place, drawn)
        if lost is not None:
            out = to_dtype(out.astype(np.float64) + lost, item.dtype)
        if keep is not None:
            out = np.where(_wide(keep, item), item, out)
        return out

    def seen(self, place: int, keep: np.ndarray) -> np.ndarray:
        """`keep` of the user's size at the model's: known is what is made of known pixels only."""
        shape = self.data.shape[1:]
        item = self.source.items[place]
        if item.shape == shape:
            return _wide(keep, item)
        rows, columns = _window(item.shape, shape)
        holes = (~keep[rows, columns]).astype(np.float32)
        share = torch.nn.functional.interpolate(
            torch.from_numpy(holes)[None, None], shape[:2], mode="bilinear", antialias=True
        )[0, 0].numpy()
        return np.broadcast_to((share < 0.01)[..., None], shape)

    def states(self, keep: np.ndarray) -> Tensor:
        """(N, *item) bool at the model's size -> which numbers of the encoded items are known."""
        if self.image:
            return torch.from_numpy(np.ascontiguousarray(keep.transpose(0, 3, 1, 2)))
        codec = self.model.borders.codec
        grid = channels_first(keep, codec.channel)
        return torch.from_numpy(np.ascontiguousarray(grid[:, codec.owners]))


def _wide(keep: np.ndarray, item: np.ndarray) -> np.ndarray:
    return np.broadcast_to(keep.reshape(keep.shape + (1,) * (item.ndim - keep.ndim)), item.shape)


def _window(have: tuple[int, ...], want: tuple[int, ...]) -> tuple[slice, slice]:
    """The largest centred window of the proportions of `want`, as `fit_size` cuts it."""
    scale = min(have[0] / want[0], have[1] / want[1])
    height, width = max(1, round(want[0] * scale)), max(1, round(want[1] * scale))
    top, left = (have[0] - height) // 2, (have[1] - width) // 2
    return slice(top, top + height), slice(left, left + width)


def fitted(model: Trained, source: Source) -> Fitted:
    """The items at the model's size. Raises ShapeError for arrays of another shape."""
    shape = tuple(model.config.data.item)
    if model.config.kind == "image":
        size, alpha = shape[:2], shape[2] in (2, 4)
        seen = [fit_size(one, (size[0], size[1]), "crop", alpha=alpha) for one in source.items]
        return Fitted(source, model, np.stack(seen))
    data = np.stack(source.items)
    if data.shape[1:] != shape:
        raise ShapeError(f"the model's items have the shape {shape}; these have {data.shape[1:]}")
    holes = np.isnan(data) if data.dtype.kind == "f" else np.zeros(data.shape, bool)
    gone: Any = model.borders.codec.gone
    if gone is not None:
        from unfog.kinds.array.axes import as_given

        holes = holes & ~as_given(gone[None], model.borders.codec.channel)
    return Fitted(source, model, data, holes if holes.any() else None)
