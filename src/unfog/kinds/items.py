"""Items: raw data as read, in its own dtype, with everything it could be conditioned on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unfog.errors import ShapeError
from unfog.kinds.table.cells import Table
from unfog.train.spill import Mapped

Column = np.ndarray | list[Any]


@dataclass(frozen=True)
class Items:
    """N raw items and their columns.

    Attributes:
        kind: the registry name of the kind, for example "image".
        data: (N, ...) raw values in their own dtype; images are (N, H, W, C); or a Table of N rows.
        columns: name → N values (labels, captions, numbers, tensors); None or NaN is a missing
        value.
        names: N file names, or None where the source has none.
        notes: plain sentences about what was skipped, converted or resized.
        origin: JSON-able; what `give_back` and `save` need to return the user's own type.
        rest: where these items stand for more than memory is to hold: all of them, read in pieces.
    """

    kind: str
    data: Any
    columns: dict[str, Column] = field(default_factory=dict)
    names: list[str] | None = None
    notes: list[str] = field(default_factory=list)
    origin: dict[str, Any] = field(default_factory=dict)
    rest: Any = None

    def __post_init__(self) -> None:
        for name, values in self.columns.items():
            if len(values) != len(self.data):
                raise ShapeError(
                    f"column {name!r} has {len(values)} values for {len(self.data)} items; give "
                    "one value per item"
                )
        if self.names is not None and len(self.names) != len(self.data):
            raise ShapeError(f"{len(self.names)} names for {len(self.data)} items")

    def __len__(self) -> int:
        return len(self.data)

    def take(self, index: Any) -> Items:
        """The items at these positions (integers or a boolean mask), in this order."""
        index = np.asarray(index)
        if index.dtype == bool:
            index = np.flatnonzero(index)
        index = index.astype(np.int64)  # an empty list arrives as floats
        return Items(
            kind=self.kind,
            data=self.data.take(index) if isinstance(self.data, Mapped) else self.data[index],
            columns={name: pick(values, index) for name, values in self.columns.items()},
            names=None if self.names is None else [self.names[i] for i in index],
            notes=self.notes,
            origin=self.origin,
        )

    def keys(self) -> list[bytes]:
        """16 bytes per item, equal for equal items only."""
        if isinstance(self.data, Table):
            return self.data.keys()
        return [
            hashlib.blake2b(np.ascontiguousarray(row).tobytes(), digest_size=16).digest()
            for row in self.data
        ]

    def fingerprint(self) -> str:
        """SHA-256 (hex) of the data and the columns, in their order."""
        digest = hashlib.sha256(self.kind.encode())
        if isinstance(self.data, Table):  # its columns are the items' columns
            self.data.feed(digest)
            if self.rest is not None:
                digest.update(self.rest.fingerprint().encode())
            return digest.hexdigest()
        _feed(digest, self.data)
        for name in sorted(self.columns):
            digest.update(json.dumps(name).encode())
            _feed(digest, self.columns[name])
        return digest.hexdigest()


def pick(values: Column, index: np.ndarray) -> Column:
    """The values of one column at these positions."""
    return values[index] if isinstance(values, np.ndarray) else [values[i] for i in index]


def _feed(digest: Any, values: Column | Mapped) -> None:
    """Add values to a running hash, dtype and shape included, a slab at a time."""
    if isinstance(values, np.ndarray | Mapped) and values.dtype != object:
        digest.update(f"{values.dtype.str}{values.shape}".encode())
        for start in range(0, len(values), 1024):
            digest.update(np.ascontiguousarray(values[start : start + 1024]).tobytes())
    else:
        digest.update(json.dumps([str(value) for value in values]).encode())
