"""Given: the user's condition values ↔ the tensors that the nets read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from unfog.errors import ArgumentError, RunError, UnknownName
from unfog.kinds.fields import FIELDS, Field, TensorField, plain_values
from unfog.registry import unknown

TYPES = ("class", "number", "text", "tensor")
Columns = Mapping[str, Any]


def find(name: str, columns: Iterable[str]) -> str | None:
    """The column called `name`, or its plural or singular; None if there is none."""
    columns = set(columns)
    for known in (name, f"{name}s", name.removesuffix("s")):
        if known in columns:
            return known
    return None


def resolve(name: str, columns: Iterable[str]) -> str:
    """The column meant by `name` (`label` finds `labels` and back). Raises UnknownName."""
    columns = list(columns)
    found = find(name, columns)
    if found is None:
        if not columns:
            raise UnknownName(
                f"unknown column {name!r}: this data has no columns to be given; sub-folders make "
                "labels, and metadata.csv or further arrays in an .npz make columns"
            )
        raise UnknownName(unknown("column", name, columns))
    return found


@dataclass(frozen=True)
class GivenCodec:
    """All the values that a model can be given, by name."""

    fields: dict[str, Field]

    @classmethod
    def fit(
        cls, columns: Columns, names: Iterable[str], types: Mapping[str, str] | None = None
    ) -> GivenCodec:
        """Learn vocabularies and scales from the training items' columns.

        Args:
            columns: name → N values.
            names: the columns to be given; `label` and `labels` find each other.
            types: name → "class", "number", "text" or "tensor", where the guess is not wanted.
        Raises: UnknownName for a name or type that isn't there; DataError for a column without
            values.
        """
        types = dict(types or {})
        fields: dict[str, Field] = {}
        for name in names:
            values = columns[resolve(name, columns)]
            said = types.pop(name, None) or guess(values)
            if said not in FIELDS:
                raise UnknownName(unknown("type of given", said, TYPES))
            if said == "tensor":
                fields[name] = TensorField.fit(name, values)
            else:
                fields[name] = FIELDS[said].fit(name, plain_values(values))
        if types:
            raise UnknownName(unknown("name in the types of given", next(iter(types)), fields))
        return cls(fields)

    @property
    def specs(self) -> dict[str, dict[str, Any]]:
        """name → what the nets must know, for example {"type": "class", "size": 10}."""
        return {name: field.spec for name, field in self.fields.items()}

    def pick(self, columns: Columns) -> dict[str, Any]:
        """The values of this codec's names among `columns`; absent ones are left out."""
        found = {name: find(name, columns) for name in self.fields}
        return {name: columns[column] for name, column in found.items() if column is not None}

    def encode(self, given: Mapping[str, Any] | None, n: int) -> dict[str, Tensor]:
        """n condition values per name: one value for all, or a list or array of n; None is missing.

        Returns: class long (n,), number float (n, 1), text long (n, length), tensor float
            (n, *shape).
        Raises: UnknownName for a name or class that was not in training; ArgumentError for a
            wrong count.
        """
        asked: dict[str, Any] = {}
        for name, value in (given or {}).items():
            found = find(name, self.fields)
            if found is None:
                if not self.fields:
                    raise UnknownName(
                        f"unknown given {name!r}: this model was fitted without given"
                    )
                raise UnknownName(unknown("given", name, self.fields))
            asked[found] = value
        return {
            name: field.encode(name, _rows(name, field, asked.get(name), n))
            for name, field in self.fields.items()
        }

    def decode(self, cond: Mapping[str, Tensor]) -> dict[str, list[Any]]:
        """The inverse of `encode`: name → n of the user's values, None where missing."""
        return {name: self.fields[resolve(name, self.fields)].decode(t) for name, t in cond.items()}

    def to_json(self) -> dict[str, Any]:
        """Vocabularies and scales by name."""
        return {name: field.to_json() for name, field in self.fields.items()}

    @classmethod
    def from_json(cls, config: Mapping[str, Any]) -> GivenCodec:
        """The inverse of `to_json`."""
        try:
            return cls({name: FIELDS[c["type"]].from_json(c) for name, c in config.items()})
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"the vocabulary of given is damaged ({error}); fit again") from error


def guess(values: Any) -> str:
    """Which type of condition a column is.

    Arrays of rank 2 or more are tensors; floats are numbers; strings are text where most have a
    space and few repeat, else classes; integers are classes unless there are more than 20 that
    occur fewer than 5 times each.
    """
    first = next((value for value in values if value is not None), None)
    if first is not None and np.ndim(first) >= 1:
        return "tensor"
    plain = [value for value in plain_values(values) if value is not None]
    distinct = set(plain)
    repeats = len(plain) / max(len(distinct), 1)
    if any(isinstance(value, str) for value in plain):
        spaced = sum(" " in str(value).strip() for value in distinct)
        prose = spaced > len(distinct) / 2 and repeats < 5 and len(distinct) > 2
        return "text" if prose else "class"
    if any(isinstance(value, float) for value in plain):
        return "number"
    return "number" if len(distinct) > 20 and repeats < 5 else "class"


def _rows(name: str, field: Field, value: Any, n: int) -> list[Any]:
    """One value repeated n times, or the n values of a list or array."""
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    rank = len(field.shape) if isinstance(field, TensorField) else 0
    several = isinstance(value, list | tuple) or getattr(value, "ndim", 0) > 0
    holes = several and any(one is None for one in value)  # only a list of n has them
    if not several or (not holes and np.ndim(value) == rank):
        if isinstance(value, np.ndarray) and rank == 0:
            value = value.item()
        return [value] * n
    rows = list(value) if isinstance(field, TensorField) else plain_values(value)
    if len(rows) != n:
        raise ArgumentError(
            f"given {name!r} has {len(rows)} values for {n} items; give one value, or {n}"
        )
    return rows
