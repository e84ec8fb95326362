"""What every kind of data offers: one object with the same verbs, whatever the data is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from torch import Tensor

from unfog.kinds.items import Items


class Codec(Protocol):
    """The invertible map between raw items and the state, fitted on the training split only."""

    @property
    def state_shape(self) -> tuple[int, ...]:
        """Shape of one item's state, without the batch axis."""

    @classmethod
    def fit(cls, items: Items) -> Self:
        """Learn the normalisation from the training items."""

    def encode(self, data: np.ndarray) -> Tensor:
        """Raw (B, ...) → float32 state (B, *state_shape)."""

    def decode(self, state: Tensor) -> np.ndarray:
        """State (B, *state_shape) → raw (B, ...) in the raw dtype."""

    def to_json(self) -> dict[str, Any]:
        """Everything but the tensors."""

    def tensors(self) -> dict[str, Tensor]:
        """The fitted numbers, for safetensors."""

    @classmethod
    def from_json(cls, config: dict[str, Any], tensors: dict[str, Tensor]) -> Self:
        """The inverse of `to_json` and `tensors`."""


@dataclass(frozen=True)
class Kind:
    """One kind of data: how it is read, encoded, looked at, written and given back.

    Attributes:
        augment: probability → (states, rng) -> states and, as `size` numbers each, what was done;
            None where the kind has no augmentation.
    """

    name: str
    read: Callable[..., Items]
    codec: type[Codec]
    defaults: Callable[[tuple[int, ...], int], dict[str, Any]]
    look: Callable[..., Any]
    save: Callable[..., Any]
    give_back: Callable[[np.ndarray, dict[str, Any]], Any]
    augment: Callable[[float], Any] | None = None
