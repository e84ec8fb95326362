"""Within a stated memory: how much of a batch is computed at once, and what is kept of it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from unfog.errors import ArgumentError, ResourceError
from unfog.judge.table.finders import CELLS
from unfog.tasks import clock
from unfog.tasks.config import Config
from unfog.train import memory
from unfog.train.plan import Need

if TYPE_CHECKING:
    from unfog.tasks.prepare import Prepared

SHARE = 0.9
"""Of the memory that is free, the most a run may be planned to take."""
SAFE = 0.6
"""Of the room for an update, the most that arithmetic may fill: kernels need work space too."""
SLACK = 0.05
"""Of the limit, what is left to what nobody counts."""
LATER = 50e6
"""Bytes that the program itself takes after planning: what is imported then, what is written."""
PIECE = 8
"""Rows at once below which recomputing blocks is the lesser evil."""
UNITS = {"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


@dataclass(frozen=True)
class Arrangement:
    """How an update is made.

    Attributes:
        micro: rows at once; None = the whole batch.     recomputed: whether activations inside
            blocks are worked out again in the backward pass.
    """

    micro: int | None = None
    recomputed: bool = False

    @property
    def plain(self) -> bool:
        return self == Arrangement()

    def said(self, batch: int) -> str:
        """In words; empty where nothing is unusual."""
        pieces = [] if self.micro is None else [f"{-(-batch // self.micro)} pieces a batch"]
        return ", ".join(pieces + ["blocks computed twice"] * self.recomputed)


def parsed(text: str | float) -> float:
    """Bytes of "8GB", "512MB", "1.5GiB" or a number of bytes. Raises ArgumentError."""
    if not isinstance(text, str):
        found = float(text)
    else:
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?i?B?)\s*", text, re.IGNORECASE)
        unit = "" if match is None else match[2].upper()
        unit += "" if unit.endswith("B") or not unit else "B"
        if match is None or unit not in UNITS:
            raise ArgumentError(f"memory is a size such as 8GB or 512MB; got {text!r}")
        found = float(match[1]) * UNITS[unit]
    if not (math.isfinite(found) and found >= 1e6):
        raise ArgumentError(f"memory is a size of at least 1MB; got {text!r}")
    return found


def orders(batch: int) -> list[Arrangement]:
    """From the fastest to the least memory."""
    halves = [batch >> by for by in range(1, batch.bit_length())]
    return [
        Arrangement(),
        *(Arrangement(rows) for rows in halves if rows >= PIECE),
        Arrangement(None, True),
        *(Arrangement(rows, True) for rows in halves),
    ]


def room(limit: float, need: Need, held: float, device: torch.device) -> float:
    """Bytes that an update may take, all copies of the weights included.

    Args:
        held: by the process before it.
    """
    if device.type != "cpu":
        return limit
    return (1 - SLACK) * limit - held - memory.SPARE * need.weights


def arrange(need: Need, batch: int, limit: float, held: float, device: torch.device) -> Arrangement:
    """The fastest way that arithmetic says to fit. Raises ResourceError where none does."""
    free = room(limit, need, held, device)
    closing = memory.COPIES * need.weights + need.saving()
    for way in orders(batch):
        wanted = need.training(way.micro or batch, recomputed=way.recomputed)
        if max(wanted - memory.COPIES * need.weights, 0) <= SAFE * (
            free - memory.COPIES * need.weights
        ) and (device.type != "cpu" or closing <= free):
            return way
    raise beyond(limit, held, need)


def smaller(way: Arrangement, batch: int) -> Arrangement | None:
    """The next that takes less; None = there is none."""
    ways = orders(batch)
    after = ways[ways.index(way) + 1 :]
    return after[0] if after else None


def beyond(limit: float, held: float, need: Need) -> ResourceError:
    """What can't be kept to, and the way out."""
    least = held + max(
        (memory.COPIES + memory.SPARE) * need.weights + min(need.item, need.thin) / SAFE,
        (memory.COPIES + memory.SPARE) * need.weights + need.saving(),
    )
    return ResourceError(
        f"memory={memory.size(limit)} is too little: reading, encoding and the program hold "
        f"{memory.size(held)}, and this net takes about {memory.size(least)} in all with one item "
        f"at a time; give at least {memory.size(1.1 * least)}, or a smaller net (--set "
        "net.width=…)"
    )


def watching(prepared: Prepared, config: Config) -> float:
    """Bytes that comparing samples with training items takes at a look, about."""
    splits, codec = prepared.splits, prepared.borders.codec
    when = clock.moments(config, len(splits.train), len(splits.validation))
    if not when.pilot or len(splits.train) < clock.LEAST:
        return 0.0
    if config.kind != "table":
        numbers = math.prod(prepared.items.data.shape[1:])
        known = min(len(splits.train), clock.NUMBERS // numbers)
        return 12.0 * numbers * known
    rows = min(len(splits.train), clock.KNOWN) + len(splits.validation)
    sizes = codec.fields.get("cat", {}).get("sizes", [])
    numbers = codec.fields.get("num", {}).get("size", 0)
    wide = 3 * numbers + sum(size for size in sizes if size <= 100)
    return 20.0 * rows * wide + 16.0 * CELLS


def too_large(wanted: float, free: float, needs: Need, batch: int) -> ResourceError:
    """Training that does not fit into memory, and what to do about it."""
    fix = "a smaller net (--set net.width=…)"
    if batch * needs.item > 0.5 * wanted and batch > 1:
        fits = max(1, int(batch * SHARE * free / wanted / 2))
        fix = f"a smaller batch (--batch {fits}) or {fix}"
    return ResourceError(
        f"training would take about {memory.size(wanted)} of memory and {memory.size(free)} are "
        f"free; use {fix}"
    )
