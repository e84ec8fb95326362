"""What is asked of a table's rows, in its state: known entries, shares of codes, spans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.kinds.asked import Asked, Equal, Rows
from unfog.kinds.table.allowed import allowed
from unfog.kinds.table.cells import Cells
from unfog.kinds.table.codec import TableCodec
from unfog.kinds.table.draws import place_keys, uniforms

INF = float("inf")


@dataclass
class Limits:
    """R rows with what is known of them and what they are to be.

    Attributes:
        known, keep: field -> (R, n), as for `Held`.
        codes: place in "cat" -> (R, K) shares of each code that are allowed.
        spans: place in "num" -> (R, I, 2) ends of scores.
        marks: places in "cat" that say a cell is missing.     forced: those of asked columns.
        values_of: place of a mark -> place in "num" whose cell it is about.
        last: field -> the category that is ruled out, as `guide.never` takes it.
        rare: column -> the rare levels that are allowed, with counts.
        notes: sentences.
    """

    known: dict[str, Tensor]
    keep: dict[str, Tensor]
    codes: dict[int, Tensor] = field(default_factory=dict)
    spans: dict[int, Tensor] = field(default_factory=dict)
    marks: list[int] = field(default_factory=list)
    forced: list[int] = field(default_factory=list)
    values_of: dict[int, int] = field(default_factory=dict)
    last: dict[str, Tensor] = field(default_factory=dict)
    rare: dict[str, tuple[tuple[Any, int], ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(next(iter(self.known.values())))


def empty(codec: TableCodec, count: int) -> Limits:
    """Rows of which nothing is known and nothing is asked."""
    known: dict[str, Tensor] = {}
    for name, spec in codec.fields.items():
        wide = len(spec["sizes"]) if "sizes" in spec else spec["size"]
        dtype = torch.long if "sizes" in spec else torch.float32
        known[name] = torch.zeros(count, wide, dtype=dtype)
    limits = Limits(known, {n: torch.zeros_like(v, dtype=torch.bool) for n, v in known.items()})
    for parts in codec.places.values():
        if "missing" in parts:
            limits.marks.append(parts["missing"])
            if "value" in parts:
                limits.values_of[parts["missing"]] = parts["value"]
    return limits


def ask(limits: Limits, codec: TableCodec, asked: Asked, *, seed: int, first: int = 0) -> Limits:
    """The rows with these conditions on what is not yet known of them.

    Args:
        seed, first: of the draws inside repeated numbers, as a row's number says.
    Raises: ArgumentError for a condition that nothing meets.
    """
    where, keys = codec.places, place_keys(first, len(limits), seed)
    for name, condition in asked.conditions.items():
        column, parts = codec.columns[name], where[name]
        if isinstance(condition, Equal | Rows):
            _put(limits, codec, name, condition, keys)
        else:
            what = allowed(name, column, condition)
            if what.codes is not None:
                share = torch.from_numpy(what.codes).float().expand(len(limits), -1)
                limits.codes[parts["level"]] = share
            else:
                spans = torch.from_numpy(what.spans).expand(len(limits), -1, -1)
                limits.spans[parts["value"]] = spans
            if what.rare:
                limits.rare[name] = what.rare
        if "missing" in parts:
            limits.forced.append(parts["missing"])
    return limits


def _put(
    limits: Limits, codec: TableCodec, name: str, condition: Equal | Rows, keys: np.ndarray
) -> None:
    """Known cells from values; where a row has a known cell already, that stays."""
    column, parts = codec.columns[name], codec.places[name]
    values = [condition.value] * len(limits) if isinstance(condition, Equal) else condition.values
    there = torch.tensor([value is not None for value in values])
    home, part = ("num", "value") if column.number is not None else ("cat", "level")
    free = there & ~limits.keep[home][:, parts[part]]
    wanted = [v for v, use in zip(values, free.tolist()) if use]
    if not wanted:
        return
    dtype = column.dtype
    if dtype.kind in "mM":
        cells = np.array(wanted, dtype=np.int64).astype(dtype)
    else:
        cells = np.array(wanted, dtype=dtype)
        if dtype.kind == "i" and (cells != np.array(wanted, dtype=float)).any():
            raise ArgumentError(f"given {name!r} holds whole numbers; got {wanted[0]}")
    if column.number is not None:
        chance = uniforms(keys, f"value {name}")[free.numpy()]
        scores, taken = column.number.encode(cells, chance)
        if not taken.all():
            odd = cells[~taken][0]
            limits.notes.append(
                f"{name}={odd}: the model has no such value, so the rest of the row is drawn given "
                f"the nearest, {column.number.decode(scores[~taken][:1])[0]}"
            )
        encoded = torch.from_numpy(scores)
    else:
        assert column.levels is not None
        whole = Cells(cells, np.ones(len(cells), dtype=bool))
        encoded = torch.from_numpy(column.levels.encode(name, whole, "refuse"))
    limits.known[home][free, parts[part]] = encoded
    limits.keep[home][free, parts[part]] = True
    if "missing" in parts:
        limits.known["cat"][free, parts["missing"]] = 0
        limits.keep["cat"][free, parts["missing"]] = True


def ends(limits: Limits) -> tuple[Tensor, Tensor]:
    """Low and high (R, n, I) of all numbers; known ones are asked for nothing."""
    rows, numbers = limits.known["num"].shape
    widest = max([1, *(span.shape[1] for span in limits.spans.values())])
    low, high = (torch.full((rows, numbers, widest), end) for end in (INF, -INF))
    low[..., 0], high[..., 0] = -INF, INF
    for place, span in limits.spans.items():
        use = ~limits.keep["num"][:, place]
        low[use, place], high[use, place] = INF, -INF
        low[use, place, : span.shape[1]] = span[use][..., 0]
        high[use, place, : span.shape[1]] = span[use][..., 1]
    return low, high


def repeated(state: Mapping[str, Tensor], size: int) -> dict[str, Tensor]:
    """Every row `size` times, one after the other."""
    return {name: value.repeat_interleave(size, 0) for name, value in state.items()}
