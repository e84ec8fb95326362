"""Vectors for comparing: the codec's standardised state, what is missing for once marked."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from unfog.kinds.array.codec import ArrayCodec
from unfog.kinds.array.missing import check_numbers


def located(codec: ArrayCodec, data: np.ndarray) -> tuple[Tensor, Tensor]:
    """Vectors (N, C) → states (N, D), and (N, C) bool: values that are missing where none was in
    training; their state is the mean.

    Raises: ShapeError for another length; DataError for infinite values.
    """
    odd = np.zeros(data.shape, bool)
    if data.dtype.kind == "f" and data.shape[1:] == codec.shape:
        check_numbers(data, "the vectors")
        odd = np.isnan(data)
        odd[:, list(codec.missing)] = False
        if codec.gone is not None:
            odd &= ~codec.gone.reshape(codec.shape)
        centres = codec.decode(torch.zeros(1, *codec.state_shape))[0]
        data = np.where(odd, centres, data)
    return codec.encode(data), torch.from_numpy(odd)
