"""Angles by declaration: numbers on a circle ↔ a point (cos, sin), which has no seam."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unfog.errors import ArgumentError, DataError

PERIODS = {"rad": 2 * math.pi, "deg": 360.0, "turn": 1.0}


@dataclass(frozen=True)
class Angle:
    """One channel of angles.

    Attributes:
        channel: where it is among the channels.      unit: "rad", "deg" or "turn".
        centred: whether it lies in (-half, half] of a period; otherwise in [0, whole).
    """

    channel: int
    unit: str
    centred: bool

    @property
    def period(self) -> float:
        return PERIODS[self.unit]

    def turn(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """cos and sin of these angles; NaN stays NaN."""
        whole = np.mod(values / self.period, 1.0) * (2 * math.pi)
        return np.cos(whole), np.sin(whole)

    def back(self, cos: np.ndarray, sin: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """The angle of a point, in `dtype` and in the data's own branch. Any length will do."""
        share = np.arctan2(sin, cos) / (2 * math.pi)  # (-1/2, 1/2]
        values = np.where(share == -0.5, 0.5, share) * self.period
        if not self.centred:
            values = np.where(values < 0, values + self.period, values)
        if dtype.kind in "iu":
            values = np.rint(values)
            if self.centred:
                values = np.where(values == -self.period / 2, self.period / 2, values)
        else:
            values = values.astype(dtype).astype(np.float64)  # rounding can reach the period
        return np.where(values >= self.period, 0.0, values)


def declared(
    angle: Mapping[int, str] | Sequence[Any] | str | int | None,
) -> dict[int, str]:
    """Channel → unit of a declaration: [2], {2: "deg"}, "0,3" or "2:deg".

    Raises: ArgumentError for what is no channel number or no unit.
    """
    if angle is None:
        return {}
    if isinstance(angle, Mapping):
        pairs: list[tuple[Any, str]] = list(angle.items())
    else:
        listed: list[Any] = [angle] if isinstance(angle, str | int) else list(angle)
        texts = [text for one in listed for text in str(one).split(",") if text.strip()]
        pairs = [(text.partition(":")[0], text.partition(":")[2] or "rad") for text in texts]
    found: dict[int, str] = {}
    for key, unit in pairs:
        try:
            channel = int(key)
        except ValueError:
            raise ArgumentError(
                f"angle={key!r} is no channel; give its number, counted from 0, for example 2 or "
                "2:deg"
            ) from None
        if unit not in PERIODS:
            raise ArgumentError(
                f"angle {channel} has the unit {unit!r}; allowed: {', '.join(PERIODS)}"
            )
        found[channel] = unit
    return found


def placed(grid: np.ndarray, units: Mapping[int, str], notes: list[str]) -> list[Angle]:
    """The declared angles of data (N, C, *grid), each with the branch that its values lie in.

    Raises: ArgumentError for a channel that isn't there; DataError for whole numbers in radians
        or turns.
    """
    found = []
    for channel, unit in sorted(units.items()):
        if not 0 <= channel < grid.shape[1]:
            raise ArgumentError(
                f"angle {channel} is no channel; there are {grid.shape[1]}, counted from 0"
            )
        if grid.dtype.kind not in "f" and unit != "deg":
            raise DataError(
                f"angle {channel} holds whole numbers ({grid.dtype}), which are no {unit}; say "
                f"{channel}:deg, or give floats"
            )
        values = grid[:, channel]
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        period = PERIODS[unit]
        centred = low < 0
        angle = Angle(channel, unit, centred)
        found.append(angle)
        bottom = -period / 2 if centred else 0.0
        if low < bottom - 1e-6 * period or high > bottom + period * (1 + 1e-6):
            hint = "; if these are degrees, say :deg" if unit == "rad" and high > 4 * period else ""
            notes.append(
                f"angle {channel} goes from {low:g} to {high:g}; it comes back between "
                f"{bottom:g} and {bottom + period:g} {unit}{hint}"
            )
    return found
