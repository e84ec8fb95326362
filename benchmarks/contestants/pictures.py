"""Images as peers' nets take them, and back. Grey ones have no axis of channels, others last."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def channels_first(images: np.ndarray) -> Tensor:
    """(N, H, W) or (N, H, W, C) -> (N, C, H, W), the bytes as they are."""
    x = torch.from_numpy(images)
    return x[:, None] if x.ndim == 3 else x.permute(0, 3, 1, 2).contiguous()


def as_given(x: Tensor) -> np.ndarray:
    """(N, C, H, W) in [-1, 1] -> floats in [0, 1], the axes as in the data."""
    x = ((x + 1) / 2).clamp(0, 1)
    return (x[:, 0] if x.shape[1] == 1 else x.permute(0, 2, 3, 1)).numpy()
