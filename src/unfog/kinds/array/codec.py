"""The array codec: raw numbers ↔ float32 state of the same shape, mean 0 and deviation 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import DataError, RunError, ShapeError
from unfog.kinds.items import Items
from unfog.kinds.scale import Standard, to_dtype


@dataclass(frozen=True)
class ArrayCodec:
    """Standardised per entry for items of rank 1, per first axis (channel) above.

    Attributes:
        shape: of one item.      dtype: of the raw numbers.
        standard: fitted on the training items.
    """

    shape: tuple[int, ...]
    dtype: str
    standard: Standard

    @classmethod
    def fit(cls, items: Items) -> ArrayCodec:
        """Learn the scales from training items (N, ...)."""
        return cls(items.data.shape[1:], items.data.dtype.name, Standard.fit(items.data, keep=1))

    @property
    def state_shape(self) -> tuple[int, ...]:
        """The shape of one item."""
        return self.shape

    def encode(self, data: np.ndarray) -> Tensor:
        """Raw (B, *shape) → float32 (B, *shape)."""
        if data.shape[1:] != self.shape:
            raise ShapeError(f"items of shape {data.shape[1:]}; this model takes {self.shape}")
        return torch.from_numpy(self.standard.into(data))

    def decode(self, state: Tensor) -> np.ndarray:
        """State (B, *shape) → raw numbers; integers rounded and limited to what their dtype holds.

        Raises: DataError for a state that is not finite; ShapeError for another shape.
        """
        if tuple(state.shape[1:]) != self.shape:
            raise ShapeError(f"states of shape {tuple(state.shape[1:])}; expected {self.shape}")
        if not torch.isfinite(state).all():
            raise DataError("the state holds NaN or infinite values; sample again")
        return to_dtype(self.standard.back(state.detach().cpu().numpy()), np.dtype(self.dtype))

    def to_json(self) -> dict[str, Any]:
        """Shape and dtype."""
        return {"shape": list(self.shape), "dtype": self.dtype}

    def tensors(self) -> dict[str, Tensor]:
        """Mean and deviation, float64."""
        return {
            "mean": torch.from_numpy(self.standard.mean),
            "std": torch.from_numpy(self.standard.std),
        }

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
        return cls(tuple(int(side) for side in config["shape"]), dtype, standard)
