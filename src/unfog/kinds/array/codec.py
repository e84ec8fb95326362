"""The array codec: raw numbers ↔ float32 state (C', *grid) of about mean 0 and deviation 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import DataError, RunError, ShapeError
from unfog.kinds.array.angles import PERIODS, Angle
from unfog.kinds.array.axes import as_given, channels_first
from unfog.kinds.array.missing import always
from unfog.kinds.items import Items
from unfog.kinds.scale import Standard, to_dtype


@dataclass(frozen=True)
class ArrayCodec:
    """Standardised per entry for items of rank 1, per channel above; angles as points of a circle.

    The channels of the state, in this order: plain numbers; the cosines of the angles; their
    sines; for every channel in which some values are missing, +1 where there is a value and -1
    where there is none (the value is then the mean). Channels that were missing in all training
    items are not in the state. Decoding puts NaN where the ±1 is negative, and where all training
    items had NaN.

    Attributes:
        shape: of one item.      dtype: of the raw numbers.
        standard: of numbers, cosines and sines, fitted on the training items.
        channel: the axis of an item that holds channels; None = all is one channel.
        angles: the channels that are angles.
        missing: the channels in which values can be missing.
        gone: bool (C, *grid), where all training items had none; None = nowhere.
        periodic: axes of the grid that are closed to a ring.
    """

    shape: tuple[int, ...]
    dtype: str
    standard: Standard
    channel: int | None = 0
    angles: tuple[Angle, ...] = ()
    missing: tuple[int, ...] = ()
    gone: np.ndarray | None = None
    periodic: tuple[int, ...] = ()

    @classmethod
    def fit(cls, items: Items) -> ArrayCodec:
        """Learn the scales from training items (N, ...), read with their declarations."""
        origin = items.origin
        channel = origin.get("channel", 0)
        grid = channels_first(items.data, channel)
        gone = always(grid)
        angles = tuple(Angle(**one) for one in origin.get("angles", []))
        lost = set() if gone is None else set(np.flatnonzero(gone.reshape(len(gone), -1).all(1)))
        bare = cls(
            items.data.shape[1:],
            items.data.dtype.name,
            Standard(np.zeros(1), np.ones(1)),
            channel,
            angles,
            tuple(c for c in origin.get("missing", []) if c not in lost),
            gone,
            tuple(origin.get("periodic", [])),
        )
        if not angles and not lost:
            return bare._with(Standard.fit(grid, keep=1))
        plain, turned = bare._channels
        if not plain and not turned:
            raise DataError("all training values are missing (NaN); there is nothing to learn")
        parts = [_fitted(grid[:, plain])] if plain else []
        if turned:
            circle = _fitted(bare._circles(grid))
            both = circle.std.reshape(2, len(turned), *circle.std.shape[1:])
            one = np.sqrt((both**2).mean(axis=0))  # one scale: a circle stays a circle
            parts.append(Standard(circle.mean, np.concatenate([one, one])))
        mean = np.concatenate([part.mean for part in parts])
        return bare._with(Standard(mean, np.concatenate([part.std for part in parts])))

    def _with(self, standard: Standard) -> ArrayCodec:
        return ArrayCodec(**{**vars(self), "standard": standard})

    @property
    def _grid(self) -> tuple[int, ...]:
        """The shape of one item with its channels first."""
        if self.channel is None:
            return (1, *self.shape)
        rest = self.shape[: self.channel] + self.shape[self.channel + 1 :]
        return (self.shape[self.channel], *rest)

    @property
    def _channels(self) -> tuple[list[int], list[Angle]]:
        """The plain channels of the state, and its angles; those that are always missing left
        out.
        """
        count = self._grid[0]
        gone = None if self.gone is None else self.gone.reshape(count, -1).all(1)
        lost = set() if gone is None else set(np.flatnonzero(gone).tolist())
        turned = [angle for angle in self.angles if angle.channel not in lost]
        left_out = lost | {angle.channel for angle in self.angles}
        plain = [c for c in range(count) if c not in left_out]
        return plain, turned

    @property
    def state_shape(self) -> tuple[int, ...]:
        """(C', *grid): the channels of the state, see above."""
        plain, turned = self._channels
        return (len(plain) + 2 * len(turned) + len(self.missing), *self._grid[1:])

    @property
    def owners(self) -> list[int]:
        """The item's channel that each channel of the state speaks of."""
        plain, turned = self._channels
        return [*plain, *(angle.channel for angle in turned * 2), *self.missing]

    def _circles(self, grid: np.ndarray) -> np.ndarray:
        """(B, C, *grid) → the cosines and then the sines of all angles."""
        pairs = [
            angle.turn(grid[:, angle.channel].astype(np.float64)) for angle in self._channels[1]
        ]
        return np.stack([cos for cos, _ in pairs] + [sin for _, sin in pairs], axis=1)

    def encode(self, data: np.ndarray) -> Tensor:
        """Raw (B, *shape) → float32 (B, *state_shape).

        A value in an entry that was missing in all training items is left out.
        Raises: ShapeError for another shape; DataError for values that are missing where none was
            when the model was fitted.
        """
        if data.shape[1:] != self.shape:
            raise ShapeError(f"items of shape {data.shape[1:]}; this model takes {self.shape}")
        grid = channels_first(data, self.channel)
        plain, turned = self._channels
        parts = [grid[:, plain].astype(np.float64)] if plain else []
        if turned:
            parts.append(self._circles(grid))
        values = self.standard.into(np.concatenate(parts, axis=1))
        if data.dtype.kind != "f":
            return torch.from_numpy(values)
        self._check_missing(grid)
        flags = np.where(np.isnan(grid[:, list(self.missing)]), np.float32(-1), np.float32(1))
        values[np.isnan(values)] = 0
        return torch.from_numpy(np.concatenate([values, flags], axis=1) if self.missing else values)

    def _check_missing(self, grid: np.ndarray) -> None:
        absent = np.isnan(grid)
        if self.gone is not None:
            absent = absent & ~self.gone
        absent[:, list(self.missing)] = False
        if absent.any():
            channels = np.flatnonzero(absent.reshape(*absent.shape[:2], -1).any(axis=(0, 2)))
            raise DataError(
                f"{int(absent.sum())} values are missing (NaN) in channels "
                f"{', '.join(map(str, channels))}, where none was missing when the model was "
                "fitted; leave those items out"
            )

    def decode(self, state: Tensor) -> np.ndarray:
        """State (B, *state_shape) → raw numbers, NaN where missing; integers rounded and limited
        to what their dtype holds.

        Raises: DataError for a state that is not finite; ShapeError for another shape.
        """
        if tuple(state.shape[1:]) != self.state_shape:
            raise ShapeError(
                f"states of shape {tuple(state.shape[1:])}; expected {self.state_shape}"
            )
        if not torch.isfinite(state).all():
            raise DataError("the state holds NaN or infinite values; sample again")
        known = state.detach().cpu().numpy()
        plain, turned = self._channels
        dtype = np.dtype(self.dtype)
        held = len(plain) + 2 * len(turned)
        values = self.standard.back(known[:, :held])
        if len(plain) == self._grid[0]:
            grid = to_dtype(values, dtype)
        else:
            grid = np.full((len(known), *self._grid), math.nan if dtype.kind == "f" else 0, dtype)
            grid[:, plain] = to_dtype(values[:, : len(plain)], dtype)
        for place, angle in enumerate(turned, start=len(plain)):
            made = angle.back(values[:, place], values[:, place + len(turned)], dtype)
            grid[:, angle.channel] = to_dtype(made, dtype)
        for place, channel in enumerate(self.missing, start=held):
            grid[:, channel][known[:, place] < 0] = math.nan
        if self.gone is not None:
            grid[:, self.gone] = math.nan
        return np.ascontiguousarray(as_given(grid, self.channel))

    def to_json(self) -> dict[str, Any]:
        """Everything but the numbers; what is as usual is left out."""
        held: dict[str, Any] = {"shape": list(self.shape), "dtype": self.dtype}
        if self.channel != 0:
            held["channel"] = self.channel
        if self.angles:
            held["angles"] = [asdict(angle) for angle in self.angles]
        for name in ("missing", "periodic"):
            if getattr(self, name):
                held[name] = list(getattr(self, name))
        return held

    def tensors(self) -> dict[str, Tensor]:
        """Mean and deviation, float64; where all training items had no value, uint8."""
        held = {
            "mean": torch.from_numpy(self.standard.mean),
            "std": torch.from_numpy(self.standard.std),
        }
        if self.gone is not None:
            held["gone"] = torch.from_numpy(self.gone.astype(np.uint8))
        return held

    @classmethod
    def from_json(cls, config: dict[str, Any], tensors: dict[str, Tensor]) -> ArrayCodec:
        """The inverse of `to_json` and `tensors`."""
        dtype = str(config["dtype"])
        try:
            known = np.dtype(dtype).kind in "buif"
        except TypeError:
            known = False
        if not known:
            raise RunError(f"the codec's dtype {dtype!r} is no number type")
        standard = Standard(tensors["mean"].numpy(), tensors["std"].numpy())
        shape = tuple(int(side) for side in config["shape"])
        channel = config.get("channel", 0)
        angles = tuple(Angle(**one) for one in config.get("angles", []))
        gone = tensors["gone"].numpy().astype(bool) if "gone" in tensors else None
        made = cls(
            shape,
            dtype,
            standard,
            None if channel is None else int(channel),
            angles,
            tuple(int(c) for c in config.get("missing", [])),
            gone,
            tuple(int(axis) for axis in config.get("periodic", [])),
        )
        _check(made)
        return made


def _fitted(values: np.ndarray) -> Standard:
    return Standard.fit(values, keep=1)


def _check(codec: ArrayCodec) -> None:
    """Raise RunError for numbers of a saved codec that don't fit each other."""
    count = codec._grid[0] if codec.channel is None or codec.channel < len(codec.shape) else 0
    channels: Sequence[int] = [*codec.missing, *(angle.channel for angle in codec.angles)]
    if (
        not count
        or (codec.gone is None and count > max(1, len(codec.standard.mean.reshape(-1))))
        or not all(0 <= c < count for c in channels)
        or not all(angle.unit in PERIODS for angle in codec.angles)
        or (codec.gone is not None and codec.gone.shape != codec._grid)
        or (codec.missing and np.dtype(codec.dtype).kind != "f")
    ):
        raise RunError("the codec's channels, angles and missing values do not fit its shape")
