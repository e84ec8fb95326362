"""Under which conditions an item is edited: what is asked for, else its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from unfog.errors import UnknownName
from unfog.kinds.given import find

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

Given = dict[str, Any] | None


def conditions(model: Trained, columns: dict[str, Any], given: Given, draws: int = 1) -> Given:
    """name -> values, one per item and draw; asked for in `given`, else the item's own column.

    A column that holds a value the model never saw counts as unknown, so that an item of a new
    class can be edited; a value in `given` that it never saw is an error.

    Args:
        given: one value for all items, or one per item.
    """
    codec = model.borders.given
    found: dict[str, Any] = {}
    for name, values in codec.pick(columns).items():
        found[name] = [one for one in values for _ in range(draws)]
        try:
            codec.encode({name: found[name]}, len(found[name]))
        except UnknownName:
            found.pop(name)
    for name, value in (given or {}).items():
        known = find(name, codec.fields) or name
        several = isinstance(value, list | tuple | np.ndarray) and np.ndim(value) > 0
        if several and codec.specs.get(known, {}).get("type") != "tensor":
            value = [one for one in value for _ in range(draws)]
        found[known] = value
    return found or None
