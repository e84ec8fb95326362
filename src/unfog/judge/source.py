"""Judging a source before anything is learnt: near copies, directions of variation, columns that
say each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unfog.judge.novelty import nearest

NEAR = 0.1
"""Of the usual distance between neighbours; items nearer than this are called near copies."""
LEAST = 8
"""Numbers an item from which neighbours that near don't happen by chance (0.1^8 of them would)."""
MOST = 2000
"""Items that are compared with all others."""
AMONG = 10_000
"""The most items that they are compared with."""
WIDE = 256
"""Longer items are projected on so many random directions, which keeps distances to 10 %."""


@dataclass(frozen=True)
class Near:
    """Near copies among some items that were looked at.

    Attributes:
        pairs: (k, 2) positions: an item, and the one it is near to.     looked: items compared.
    """

    pairs: np.ndarray
    looked: int

    @property
    def count(self) -> int:
        return len(self.pairs)


def near_copies(
    data: np.ndarray, others: np.ndarray | None = None, *, seed: int = 0
) -> Near | None:
    """Items that nearly repeat another, exact repeats left out; None for too few numbers an item.

    Args:
        data: (N, ...) numbers.     others: (M, ...) where to look for neighbours; `data` itself
            where None.
    Near is within a tenth of the usual (median) distance from an item to its nearest neighbour.
    """
    if np.prod(data.shape[1:]) < LEAST or len(data) < 3:
        return None
    rng = np.random.default_rng(seed)
    places = _distinct(data)
    rng.shuffle(places)
    looked = np.sort(places[:MOST])
    if others is None:
        among, source, k = np.union1d(looked, places[:AMONG]), data, 2
    else:
        among = rng.permutation(_distinct(others))[:AMONG]
        source, k = others, 1
    if len(among) < k:
        return None
    x, y = _flat(data[looked], source[among], seed)
    distance, found = nearest(x, y, k=k)
    distance, found = distance.reshape(len(x), -1), found.reshape(len(x), -1)
    mine = torch.from_numpy(looked)
    if others is None:  # itself is the nearest, but rounding may swap the two
        first = torch.from_numpy(among)[found[:, 0]] == mine
        other = torch.where(first, found[:, 1], found[:, 0])
        usual = torch.where(first, distance[:, 1], distance.amax(1))
    else:
        other, usual = found[:, 0], distance[:, 0]
    exact = usual <= 1e-6 * (1 + x.norm(dim=1))
    close = (usual < NEAR * usual[~exact].median()) & ~exact if bool((~exact).any()) else exact
    pairs = np.stack([looked[close.numpy()], among[other[close].numpy()]], 1)
    return Near(pairs, len(looked))


def _distinct(data: np.ndarray) -> np.ndarray:
    """The first position of every different item, in order."""
    seen: dict[bytes, int] = {}
    for position, row in enumerate(data):
        seen.setdefault(np.ascontiguousarray(row).tobytes(), position)
    return np.fromiter(seen.values(), dtype=np.int64)


def _flat(x: np.ndarray, y: np.ndarray, seed: int) -> tuple[Tensor, Tensor]:
    """Both as (n, d) float32, on the same random directions where they are long."""
    a, b = (torch.from_numpy(v.reshape(len(v), -1).astype(np.float32)) for v in (x, y))
    if x.ndim == 2:  # columns in units of their own
        scale = b.std(0).clamp_min(1e-30)
        scale[scale <= 1e-30] = torch.inf
        a, b = a / scale, b / scale
    if a.shape[1] > WIDE:
        drawn = torch.Generator().manual_seed(seed)
        directions = torch.randn(a.shape[1], WIDE, generator=drawn) / WIDE**0.5
        a, b = a @ directions, b @ directions
    return a, b


def directions(data: np.ndarray, *, share: float = 0.95, seed: int = 0, most: int = 500) -> int:
    """How many principal directions hold `share` of the variance, seen in at most `most` items."""
    picked = np.random.default_rng(seed).permutation(len(data))[:most]
    x = torch.from_numpy(data[np.sort(picked)].reshape(len(picked), -1).astype(np.float64))
    x = x - x.mean(0)
    if data.ndim == 2:
        x = x / x.std(0).clamp_min(1e-30)
    small = x @ x.T if len(x) < x.shape[1] else x.T @ x
    values = torch.linalg.eigvalsh(small).flip(0).clamp_min(0)
    held = values.cumsum(0) / values.sum().clamp_min(1e-300)
    return int((held < share).sum()) + 1


@dataclass(frozen=True)
class Suspect:
    """A column that should not be conditioned on, or that says another one."""

    column: str
    what: str
    other: str | None = None


def suspects(columns: Mapping[str, Sequence[Any]]) -> list[Suspect]:
    """Constant columns, identifiers, and columns whose value determines another's.

    Args:
        columns: name → N plain values, None where missing. Floats are never called identifiers.
    """
    known = {name: [v for v in values if v is not None] for name, values in columns.items()}
    found, classes = [], {}
    for name, values in known.items():
        distinct = len(set(values))
        if distinct <= 1:
            found.append(Suspect(name, "constant"))
        elif distinct == len(values) > 20 and not any(isinstance(v, float) for v in values):
            found.append(Suspect(name, "identifier"))
        elif distinct <= len(values) / 2:
            classes[name] = columns[name]
    for a, b in permutations(classes, 2):
        if _determines(classes[a], classes[b]):
            same = _determines(classes[b], classes[a])
            if not same or a < b:
                found.append(Suspect(a, "same" if same else "determines", b))
    return found


def _determines(a: Sequence[Any], b: Sequence[Any]) -> bool:
    """True if every value of a goes with one value of b only."""
    said: dict[Any, Any] = {}
    both = [(u, v) for u, v in zip(a, b) if u is not None and v is not None]
    return len(both) > 20 and all(said.setdefault(u, v) == v for u, v in both)


def imbalance(values: Sequence[Any]) -> tuple[int, int]:
    """(fewest, most) items a class."""
    counts = Counter(v for v in values if v is not None)
    return min(counts.values(), default=0), max(counts.values(), default=0)
