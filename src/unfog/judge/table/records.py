"""Distance to the closest record: are samples nearer to training rows than to held-out ones?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unfog.judge import bootstrap
from unfog.judge.figure import Figure
from unfog.judge.states import np_rng
from unfog.judge.table.case import TableCase, table_metrics
from unfog.judge.table.features import Rows, encode, roles_of
from unfog.kinds.table.cells import Table

MOST = 40_000
PAIRS = 100_000_000  # distances that take a few seconds
WIDE = 100
DRAWS = 500
CHUNK = 500
HELD = 2**23
"""Distances that are held at once."""


@dataclass(frozen=True)
class Places:
    """Rows put where distances are taken: (N, P) ranks, (N, K) one-hot categories, and codes (N, W)
    of categories that have too many levels for that.
    """

    ranks: Tensor
    hot: Tensor
    wide: Tensor

    def __getitem__(self, index: slice) -> Places:
        return Places(self.ranks[index], self.hot[index], self.wide[index])

    def gaps(self, other: Places) -> Tensor:
        """(N, M): sum over numbers of the gap in rank, plus one per category that differs."""
        # a hot entry is 1/sqrt(2), so that the columns' squares make 1/2 + 1/2 - agreement
        agree = self.hot @ other.hot.T
        columns = self.hot.square().sum(1, keepdim=True) + other.hot.square().sum(1)[None]
        out = torch.cdist(self.ranks, other.ranks, p=1.0) + (columns - 2 * agree)
        for mine, theirs in zip(self.wide.T, other.wide.T):
            out += mine[:, None] != theirs[None]
        return out


def places(rows: Rows, reference: Rows) -> Places:
    """Put rows where distances are taken, numbers by their rank among the reference rows.

    A value beyond the reference's range keeps its place beyond it, in units of that range. A
    missing number stands at the median with a mark: against a known one it counts 1/2 and more.
    """
    parts, hot = [], []
    for j in range(rows.numbers.shape[1]):
        column, known = rows.numbers[:, j], reference.numbers[:, j]
        values = np.sort(known[~np.isnan(known)])
        gone = np.isnan(column)
        if len(values) == 0:
            parts.append(np.full(len(column), 0.5))
        else:
            low, high = np.searchsorted(values, column), np.searchsorted(values, column, "right")
            beyond = np.clip(column, values[0], values[-1])
            extent = max(values[-1] - values[0], 1e-12)
            rank = (low + high) / (2 * len(values)) + (column - beyond) / extent
            parts.append(np.where(gone, 0.5, rank))
        hot.append(np.stack([gone, ~gone], 1) * 0.5)
    for j, levels in enumerate(rows.levels):
        if levels <= WIDE:
            hot.append(np.eye(levels)[rows.codes[:, j]] * np.sqrt(0.5))
    nothing = np.zeros((len(rows), 1))
    return Places(
        torch.from_numpy(np.stack(parts, 1) if parts else nothing).float(),
        torch.from_numpy(np.concatenate(hot or [nothing], 1)).float(),
        torch.from_numpy(rows.codes[:, np.array(rows.levels, int) > WIDE]),
    )


@dataclass(frozen=True)
class Sides:
    """For each sample, how much of its nearest reference is a training row.

    Attributes:
        near: (N,) in [0, 1]; 1 = a training row is nearest, ties are shared.
        index: (N,) the nearest of the pooled references, training rows first.
        train, real: how many references each side has.
    """

    near: np.ndarray
    index: np.ndarray
    train: int
    real: int

    def share(self, near: np.ndarray) -> np.ndarray:
        """What the share of samples nearest to a training row would be at equally many references.

            q = (p / T) / (p / T + (1 - p) / M)

        When samples are as far from both, p = T / (T + M), and q = 1/2.
        """
        mine, others = near / self.train, (1 - near) / self.real
        return mine / (mine + others)


def nearer(samples: Rows, train: Rows, real: Rows) -> Sides:
    """Which side each sample's closest record is on."""
    references = train.with_other(real)
    place, known = places(samples, references), places(references, references)
    near, index = [], []
    rows = chunk(len(references))
    for start in range(0, len(samples), rows):
        part = slice(start, start + rows)
        gaps = place[part].gaps(known)
        least, found = gaps.min(1)
        tied = gaps <= least[:, None] + 1e-5  # rounding must not break ties of discrete rows
        near.append(tied[:, : len(train)].sum(1).double() / tied.sum(1))
        index.append(found)
    return Sides(torch.cat(near).numpy(), torch.cat(index).numpy(), len(train), len(real))


def chunk(references: int) -> int:
    """Rows that are compared with so many references at once."""
    return min(CHUNK, max(16, HELD // max(1, references)))


def nearest_rows(
    samples: Table, train: Table, roles: Mapping[str, str] | None = None
) -> np.ndarray:
    """(N,) the training row that is nearest to each sample, in the distance of `closest_record`."""
    known, drawn = encode([train, samples], roles_of(train, roles))
    reference = places(known, known)
    rows = chunk(len(known))
    parts = [
        places(drawn[at : at + rows], known).gaps(reference).argmin(1)
        for at in range(0, len(drawn), rows)
    ]
    return torch.cat([torch.empty(0, dtype=torch.long), *parts]).numpy()


def _resampled(sides: Sides, rng: np.random.Generator) -> np.ndarray:
    """(DRAWS,) shares when references are drawn again, each with the samples nearest to it.

    Samples that hit one record are not independent of each other; whole groups are resampled.
    """
    _, group = np.unique(sides.index, return_inverse=True)
    count, near = np.bincount(group), np.bincount(group, sides.near)
    picks = rng.integers(len(count), size=(DRAWS, len(count)))
    return sides.share(near[picks].sum(1) / count[picks].sum(1))


def _exchanged(sides: Sides, rng: np.random.Generator) -> np.ndarray:
    """(DRAWS,) shares when it is chance which of the references are called training rows."""
    label = np.concatenate([np.ones(sides.train), np.zeros(sides.real)])
    count = np.bincount(sides.index, minlength=len(label)).astype(np.float64)
    met = count[count > 0]
    near = [met @ rng.choice(label, len(met), replace=False) for _ in range(DRAWS)]
    return sides.share(np.array(near) / met.sum())


@table_metrics.add("closest_record", reference="Zhao et al. 2021", aliases=("dcr",))
def closest_record_figure(case: TableCase) -> list[Figure]:
    """Share of samples whose closest record is a training row, not a held-out one; 50 % = new."""
    rng = np_rng(case.seed, "closest record")
    train = case.train[rng.permutation(len(case.train))[:MOST]]
    real = case.real[rng.permutation(len(case.real))[:MOST]]
    most = max(1000, PAIRS // (len(train) + len(real)))
    samples = case.samples[rng.permutation(len(case.samples))[:most]]
    sides = nearer(samples, train, real)
    n, value = len(samples), float(sides.share(sides.near.mean()))
    low, high = bootstrap.percentile(torch.from_numpy(_resampled(sides, rng)))
    if sides.near.min() == sides.near.max():  # all or none: resampling would claim certainty
        low, high = bootstrap.share(round(value * n), n)
    floor_low, floor_high = bootstrap.percentile(torch.from_numpy(_exchanged(sides, rng)))
    note = (
        f"{n} samples against {len(train)} training and {len(real)} held-out rows, counted as if "
        "there were equally many; 50 % is no copying"
    )
    return [
        Figure(
            name="closest_record",
            value=value,
            low=min(low, value),
            high=max(high, value),
            floor=0.5,
            floor_low=min(floor_low, 0.5),
            floor_high=max(floor_high, 0.5),
            better="lower",
            n=n,
            unit="share",
            notes=(note,),
        )
    ]


@table_metrics.add("duplicates", reference="Zhao et al. 2021", aliases=("exact_copies",))
def duplicates_figure(case: TableCase) -> list[Figure]:
    """Share of samples that equal a training row in every compared column."""
    known = case.floor("training keys", lambda: set(case.train.keys()))
    hits = sum(key in known for key in case.samples.keys())  # noqa: SIM118
    real_hits = sum(key in known for key in case.real.keys())  # noqa: SIM118
    low, high = bootstrap.share(hits, len(case.samples))
    floor_low, floor_high = bootstrap.share(real_hits, len(case.real))
    return [
        Figure(
            name="duplicates",
            value=hits / len(case.samples),
            low=low,
            high=high,
            floor=real_hits / len(case.real),
            floor_low=floor_low,
            floor_high=floor_high,
            better="lower",
            n=len(case.samples),
            unit="share",
        )
    ]
