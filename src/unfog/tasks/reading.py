"""Reading the items of a run, and fitting the codec to those that it learns from."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

from unfog.errors import ArgumentError
from unfog.kinds.given import find
from unfog.kinds.items import Items
from unfog.kinds.kind import Kind
from unfog.kinds.splits import Splits
from unfog.kinds.table.cells import Table
from unfog.tasks.show import reporting


def known_reading(room: Kind, reading: dict[str, Any]) -> None:
    """Raise ArgumentError for an option that this kind's reader does not have."""
    options = set(inspect.signature(room.read).parameters) - {
        "source",
        "given",
        "progress",
        "least",
        "sample",
    }
    for name in reading:
        if name not in options:
            raise ArgumentError(
                f"{name}={reading[name]!r} is no option of reading {room.name}s; those are: "
                f"{', '.join(sorted(options))}"
            )


def read(room: Kind, source: Any, given: list[str], reading: dict[str, Any]) -> Items:
    """The items of a source, or some that stand for more than memory is to hold; with a bar where
    that takes long.
    """
    options = inspect.signature(room.read).parameters
    asked: dict[str, Any] = {"sample": True} if "sample" in options else {}
    with reporting(f"reading {room.name}s") as progress:
        return room.read(source, given=given or None, progress=progress, **asked, **reading)


def fitted_codec(
    room: Kind, items: Items, training: Items, splits: Splits, given: list[str]
) -> Any:
    """The codec of the training items; of tables beyond memory, with a place for every value."""
    if items.rest is None:
        return room.codec.fit(training, **_beside(items, splits, given))
    # whether a column follows from others was not looked for in all rows: it is learnt
    training = replace(training, origin={**training.origin, "functions": "learn"})
    codec = room.codec.fit(training, **_beside(items, splits, given))
    return items.rest.widened(codec, training.data)


def _beside(items: Items, splits: Splits, given: list[str]) -> dict[str, Any]:
    """What a table's codec must know besides its rows: conditions are not computed from others, and
    what is computed has to hold in rows that are not learnt from.
    """
    if not isinstance(items.data, Table):
        return {}
    held = items.data[splits.validation] if len(splits.validation) else None
    return {"kept": [find(name, items.columns) or name for name in given], "held": held}
