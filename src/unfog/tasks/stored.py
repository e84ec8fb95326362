"""Training states that memory does not hold: rows of a table on disk as the net reads them, or
items that are encoded when a batch asks for them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from unfog.errors import DataError
from unfog.kinds.given import find
from unfog.kinds.items import Items, pick
from unfog.kinds.splits import Splits
from unfog.kinds.table.cells import Table
from unfog.kinds.table.draws import contents
from unfog.kinds.table.read import plain
from unfog.maths.shuffle import shuffled
from unfog.maths.states import State, each
from unfog.tasks.runfolder import Borders
from unfog.tasks.show import bar
from unfog.train.spill import Mapped, Spill

States = tuple[State, dict[str, Tensor]]
ENCODED = 2**28
"""Bytes of states from which items are encoded batch by batch instead of being held as states."""
SOME = 20_000
"""States that are held then, for what looks at a few."""
LOOKED = 16
"""One piece in so many is asked for numbers that the codec has no place for."""


class Stored(Protocol):
    """All training items, by number."""

    def __len__(self) -> int: ...

    def fetch(self, index: np.ndarray) -> States:
        """(B,) numbers -> states (B, *D) and conditions."""


@dataclass(frozen=True)
class Lazy:
    """Items that are encoded when they are asked for."""

    items: Items
    places: np.ndarray
    borders: Borders
    cond: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.places)

    def fetch(self, index: np.ndarray) -> States:
        """See `Stored`."""
        codec, space = self.borders.codec, self.borders.space
        picked = torch.from_numpy(index)
        x = space.into(codec.encode(self.items.data[self.places[index]]))
        return x.float(), {name: value[picked] for name, value in self.cond.items()}


@dataclass(frozen=True)
class OnDisk:
    """Rows of named tensors in a file without a name."""

    rows: Mapped
    dtypes: dict[str, torch.dtype]

    def __len__(self) -> int:
        return len(self.rows)

    def fetch(self, index: np.ndarray) -> States:
        """See `Stored`."""
        found = self.rows[index]
        tensors = {
            name: torch.from_numpy(np.ascontiguousarray(found[name])).to(dtype)
            for name, dtype in self.dtypes.items()
        }
        fields = {n.removeprefix("x."): v for n, v in tensors.items() if n.startswith("x.")}
        return fields, {n.removeprefix("c."): v for n, v in tensors.items() if n.startswith("c.")}


def training_states(
    items: Items, splits: Splits, borders: Borders, most: int | None = None
) -> tuple[States, Stored | None, list[str]]:
    """States of the training part; of some, and where all of them are, if that is not memory; and
    sentences about it.

    Args:
        most: rows of a table on disk that the run can come to; no more are encoded.
    """
    if items.rest is not None:
        store, notes = on_disk(items, splits, borders, most)
        return encoded(items, splits, borders), store, notes
    lazy = lazily(items, splits, borders)
    if lazy is not None:
        return *lazy, ["items are held as they are and encoded batch by batch"]
    return encoded(items, splits, borders), None, []


def encoded(items: Items, splits: Splits, borders: Borders, part: str = "train") -> States:
    """States of a part of the items in the space, (N, *shape) float32 or a dict of fields, and
    their conditions.

    Args:
        part: train, validation or test; it must not be empty. Rows with a level that the training
            part lacks have no state, and are left out of the others.
    """
    places = getattr(splits, part)
    if part != "train" and isinstance(items.data, Table):  # a level may occur there alone
        places = places[borders.codec.known_rows(items.data[places])]
        if len(places) == 0:
            raise DataError(f"every row of the {part} part has a level that training lacks")
    chosen = items.take(places)
    # rows of a table are small, and equal rows get different draws when they are encoded together
    slab = len(chosen) if getattr(borders.codec, "fields", {}) else 1024
    parts = [
        borders.space.into(borders.codec.encode(chosen.data[at : at + slab]))
        for at in range(0, len(chosen), slab)
    ]
    states = each(lambda *pieces: torch.cat(pieces), *parts)
    states = each(lambda v: v.float() if v.is_floating_point() else v, states)
    picked = borders.given.pick(chosen.columns)
    return states, borders.given.encode(picked, len(chosen))


def lazily(items: Items, splits: Splits, borders: Borders) -> tuple[States, Stored] | None:
    """Some states and all, encoded when asked for; None where memory may hold them all.

    Tables are not: equal rows draw differently where they are encoded together.
    """
    codec, space, places = borders.codec, borders.space, splits.train
    entries = 0 if getattr(codec, "fields", {}) else math.prod(space.shape)
    if 4 * entries * len(places) <= ENCODED:
        return None
    columns = {name: pick(values, places) for name, values in items.columns.items()}
    cond = borders.given.encode(borders.given.pick(columns), len(places))
    store = Lazy(items, places, borders, cond)
    most = min(SOME, max(1000, ENCODED // (4 * entries)), len(places))
    some = np.sort(shuffled(np.arange(most), len(places), 2))
    return store.fetch(some), store


def on_disk(
    items: Items, splits: Splits, borders: Borders, most: int | None = None
) -> tuple[Stored, list[str]]:
    """All rows of a table that is read in pieces, but those equal to held-out ones, encoded into a
    file; and sentences about it.

    Args:
        most: rows to encode, about, chosen at random; None = all.
    Raises: ResourceError where the disk has no room.
    """
    rest, codec, given = items.rest, borders.codec, borders.given
    held = np.concatenate([splits.validation, splits.test])
    apart = np.unique(contents(items.data[held], 0)) if len(held) else np.empty(0, np.uint64)
    spill: Spill | None = None
    dtypes: dict[str, torch.dtype] = {}
    moved: dict[str, int] = {}
    looked = 0
    share = 1.0 if most is None else min(1.0, most / len(rest))
    with bar(f"encoding {round(share * len(rest))} rows", len(rest)) as line:
        for number, (begun, table) in enumerate(rest.tables(share)):
            line.to(begun)
            table = table[~np.isin(contents(table, 0), apart)]
            if len(table):
                state = codec.encode(table, piece=number + 1)
                named = {find(name, table.names) for name in given.fields}
                asked = {name: plain(table.columns[name]) for name in named if name is not None}
                cond = given.encode(given.pick(asked), len(table))
                if spill is None:
                    wanted = round(share * len(rest))
                    spill = Spill(_packed(codec, state, cond, dtypes), (), wanted)
                packed = np.empty(len(table), spill.dtype)
                for name in packed.dtype.names or ():
                    home = state if name.startswith("x.") else cond
                    packed[name] = home[name[2:]].numpy()
                spill.append(packed)
                if number % LOOKED == 0:
                    looked += len(table)
                    for name, count in codec.moved(table).items():
                        moved[name] = moved.get(name, 0) + count
    if spill is None:
        raise DataError("every row equals one that was held out; there is nothing to learn from")
    notes = [
        f"{spill.count} rows train, {spill.dtype.itemsize} bytes each in a file that is gone when "
        "the run ends"
        + ("" if share == 1 else f"; {100 * share:.2g} % of all, more than the run can come to")
    ]
    notes += [
        f"about {100 * count / looked:.2g} % of the numbers of column {name!r} lie where the "
        "sample has none; they are learnt as the nearest that it has"
        for name, count in moved.items()
    ]
    return OnDisk(spill.mapped(), dtypes), notes


def _packed(
    codec: Any, state: dict[str, Tensor], cond: dict[str, Tensor], dtypes: dict[str, torch.dtype]
) -> np.dtype:
    """The narrowest row that holds a state and its conditions; `dtypes` gets what the net reads."""
    fields = []
    for head, tensors in (("x.", state), ("c.", cond)):
        for name, value in tensors.items():
            dtypes[head + name] = value.dtype
            kind: Any = np.int32 if value.dtype == torch.int64 else value.numpy().dtype
            if head == "x." and "sizes" in codec.fields[name]:
                most = max(codec.fields[name]["sizes"])
                kind = np.uint8 if most <= 2**8 else np.uint16 if most <= 2**16 else np.int32
            fields.append((head + name, kind, tuple(value.shape[1:])))
    return np.dtype(fields)
