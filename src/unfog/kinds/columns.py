"""Columns that the caller asks for or brings along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from unfog.errors import ArgumentError
from unfog.kinds.given import resolve
from unfog.kinds.items import Items


def with_given(items: Items, given: Sequence[str] | Mapping[str, Any] | None) -> Items:
    """The items, with a dict's columns added; names must be columns that are there.

    Raises: UnknownName for a name that no column has; ArgumentError for a column of another length.
    """
    if given is None:
        return items
    if not isinstance(given, Mapping):
        for name in [given] if isinstance(given, str) else given:
            resolve(name, items.columns)
        return items
    added: dict[str, Any] = {}
    for name, values in given.items():
        if hasattr(values, "detach"):
            values = values.detach().cpu().numpy()
        elif hasattr(values, "to_numpy"):
            values = values.to_numpy()
        if isinstance(values, np.ndarray) and values.dtype == object:
            values = values.tolist()
        if isinstance(values, str) or not hasattr(values, "__len__") or len(values) != len(items):
            raise ArgumentError(f"given {name!r} needs one value per item, {len(items)} in all")
        added[name] = values if isinstance(values, np.ndarray) else list(values)
    return replace(items, columns={**items.columns, **added})
