"""States of several named fields stay as they are: their codec has scaled each already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Fields:
    """The identity on dicts of tensors, with the verbs of a `Space`."""

    shape: tuple[int, ...] = ()
    std: float = 1.0
    error: float = 0.0
    lossless: bool = True

    def into(self, x: Any) -> Any:
        """The state itself."""
        return x

    def back(self, u: Any) -> Any:
        """The state itself."""
        return u

    def config(self) -> dict[str, Any]:
        """Its name; `build` makes the space again."""
        return {"name": "fields"}

    def tensors(self) -> dict[str, Tensor]:
        """None."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Fields:
        """The inverse of `config`."""
        return cls()
