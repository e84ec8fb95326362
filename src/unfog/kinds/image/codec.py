"""The image codec: pixels (B, H, W, C) ↔ state (B, C, H, W) in about [-1, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import DataError, RunError, ShapeError
from unfog.kinds.items import Items
from unfog.kinds.scale import Standard, to_dtype

DTYPES = ("uint8", "uint16", "float32", "float64")


@dataclass(frozen=True)
class ImageCodec:
    """Integers are scaled from [0, most] to [-1, 1]; floats to mean 0 and deviation 1 per channel.

    Attributes:
        shape: (H, W, C) of one image.      dtype: of the pixels.
        standard: per channel, fitted on the training images; None for integers.
    """

    shape: tuple[int, int, int]
    dtype: str
    standard: Standard | None = None

    @classmethod
    def fit(cls, items: Items) -> ImageCodec:
        """Learn the scale from training images (N, H, W, C)."""
        shape, dtype = items.data.shape[1:], items.data.dtype.name
        if len(shape) != 3 or dtype not in DTYPES:
            raise ShapeError(
                f"images of shape {shape} and type {dtype}; allowed: (H, W, C) of "
                f"{', '.join(DTYPES)}"
            )
        floats = dtype.startswith("float")
        return cls(shape, dtype, Standard.fit(items.data, keep=3) if floats else None)

    @property
    def state_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        height, width, channels = self.shape
        return (channels, height, width)

    @property
    def most(self) -> int:
        """The largest integer pixel."""
        return int(np.iinfo(self.dtype).max)

    def encode(self, data: np.ndarray) -> Tensor:
        """(B, H, W, C) pixels → (B, C, H, W) float32."""
        data = np.asarray(data)
        if data.shape[1:] != self.shape or data.dtype.name != self.dtype:
            raise ShapeError(
                f"images of shape {data.shape[1:]} and type {data.dtype.name}; this model takes "
                f"{self.shape} of {self.dtype}"
            )
        if self.standard is not None:
            values = torch.from_numpy(self.standard.into(data))
            return values.permute(0, 3, 1, 2).contiguous()
        values = torch.from_numpy(data.astype(np.float32)).permute(0, 3, 1, 2).contiguous()
        return values.mul_(2 / self.most).sub_(1)

    def decode(self, state: Tensor) -> np.ndarray:
        """(B, C, H, W) state → (B, H, W, C) pixels; integers are rounded and limited to [0, most].

        Raises: DataError for a state that is not finite; ShapeError for another shape.
        """
        if tuple(state.shape[1:]) != self.state_shape:
            raise ShapeError(
                f"states of shape {tuple(state.shape[1:])}; expected {self.state_shape}"
            )
        if not torch.isfinite(state).all():
            raise DataError(
                "the state holds NaN or infinite values, which no image has; sample again"
            )
        values = state.detach().cpu().permute(0, 2, 3, 1).numpy()
        if self.standard is not None:
            return self.standard.back(values).astype(self.dtype)
        return to_dtype((values.astype(np.float64) + 1) * (self.most / 2), np.dtype(self.dtype))

    def to_json(self) -> dict[str, Any]:
        """Shape and dtype."""
        return {"shape": list(self.shape), "dtype": self.dtype}

    def tensors(self) -> dict[str, Tensor]:
        """The scale of float images, float64 (1, 1, C)."""
        if self.standard is None:
            return {}
        return {
            "mean": torch.from_numpy(self.standard.mean),
            "std": torch.from_numpy(self.standard.std),
        }

    @classmethod
    def from_json(cls, config: dict[str, Any], tensors: dict[str, Tensor]) -> ImageCodec:
        """The inverse of `to_json` and `tensors`."""
        height, width, channels = (int(side) for side in config["shape"])
        if config["dtype"] not in DTYPES:
            raise RunError(f"the codec's dtype {config['dtype']!r} is none of {', '.join(DTYPES)}")
        standard = None
        if config["dtype"].startswith("float"):
            standard = Standard(tensors["mean"].numpy(), tensors["std"].numpy())
        return cls((height, width, channels), config["dtype"], standard)
