"""What every kind of data offers: one object with the same verbs, whatever the data is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, Self

from torch import Tensor

from unfog.kinds.items import Items


class Codec(Protocol):
    """The invertible map between raw items and the state, fitted on the training split only.

    A codec whose state is a dict of named fields says so by `fields`, name -> {"type": "number",
    "size": n} or {"type": "category", "sizes": [k, ...]}, and has no `state_shape`.
    """

    @property
    def state_shape(self) -> tuple[int, ...]:
        """Shape of one item's state, without the batch axis."""

    @classmethod
    def fit(cls, items: Items) -> Self:
        """Learn the normalisation from the training items."""

    def encode(self, data: Any) -> Any:
        """Raw (B, ...) → float32 state (B, *state_shape), or a dict of fields."""

    def decode(self, state: Any) -> Any:
        """State (B, *state_shape), or a dict of fields → raw (B, ...) in the raw dtype."""

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
        augment: probability, which=names (all where left out) → (states, rng) -> states and, as
            `size` numbers each, what was done; None where the kind has no augmentation.
    """

    name: str
    read: Callable[..., Items]
    codec: Any  # a class with the verbs of `Codec`
    defaults: Callable[..., dict[str, Any]]
    look: Callable[..., Any]
    save: Callable[..., Any]
    give_back: Callable[[Any, dict[str, Any]], Any]
    augment: Callable[..., Any] | None = None
