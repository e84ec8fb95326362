"""Per-sample novelty: every sample's nearest training item, and how unusual that nearness is."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unfog.errors import DataError
from unfog.judge.copies import Copies, CopyDetector
from unfog.judge.finders import Images, Vectors
from unfog.judge.table.features import Rows, encode
from unfog.judge.table.finders import Coincidences, Spreads
from unfog.kinds import kinds
from unfog.kinds.table.cells import Cells, Table
from unfog.tasks.evaluate import table_roles, training_data

if TYPE_CHECKING:
    from unfog.tasks.generate import Samples
    from unfog.tasks.trained import Trained

SURE = 0.005
"""The level for images and arrays: a rate set by 400 items is above its double with 9 % chance."""
ROWS, ENOUGH_ROWS = 4000, 1000
"""Rows that a table's control rests on, at most; held-out ones from which they are it alone."""
SHARES = (0.7, 0.3)
"""Of the level: for rows whose numbers were changed a little, and for rows with another cell."""


@dataclass(frozen=True)
class SampleNovelty:
    """How new every sample is.

    Attributes:
        nearest: (N,) position of the nearest training item in the source.
        names: of these items' files, or None.
        distance: (N,) to it, in the units of the comparison.
        score: (N,) share of unseen real items at least as near to a training item, in (0, 1]; small
            = suspiciously near.
        copied: (N,) bool.      level: the score up to which a sample counts as copied.
        note: what the scores rest on.
    """

    nearest: np.ndarray
    names: list[str] | None
    distance: np.ndarray
    score: np.ndarray
    copied: np.ndarray
    level: float
    note: str

    def __len__(self) -> int:
        return len(self.score)

    @property
    def data(self) -> Any:
        """A pandas DataFrame, one row per sample."""
        import pandas as pd

        return pd.DataFrame(self._columns())

    def _columns(self) -> dict[str, Any]:
        named = {} if self.names is None else {"name": self.names}
        return {
            "sample": np.arange(len(self)),
            "nearest": self.nearest,
            **named,
            "distance": self.distance,
            "score": self.score,
            "copied": self.copied,
        }

    def save(self, out: str | pathlib.Path, *, overwrite: bool = False) -> pathlib.Path:
        """Write `data` to a .csv, .tsv or .parquet. Raises ArgumentError if it is there already."""
        there = np.ones(len(self), bool)
        cells = {
            name: Cells(np.array(v, dtype=object) if isinstance(v, list) else v, there)
            for name, v in self._columns().items()
        }
        written: pathlib.Path = kinds["table"].save(Table(cells), out, overwrite=overwrite)
        return written

    def __str__(self) -> str:
        count = int(self.copied.sum())
        lines = [
            f"{count} of {len(self)} samples count as copies (score <= {self.level:.2g}; "
            f"{self.level * len(self):.1f} would by chance)"
        ]
        for place in np.argsort(self.score, kind="stable")[:5]:
            item = int(self.nearest[place])
            named = f"item {item}" if self.names is None else self.names[place]
            lines.append(f"  sample {place}: score {self.score[place]:.3g}, nearest {named}")
        return "\n".join([*lines, f"  against {self.note}"])


def novelty_of(model: Trained, samples: Samples) -> SampleNovelty:
    """Compare samples with the run's training items; validation and test items are the control.

    Images are compared up to a shift of two pixels and a flip, rows of tables also with all numbers
    changed a little, or one cell.

    Raises: DataError where the run's data is gone, or holds fewer than three items.
    """
    items, splits = training_data(model), model.splits
    part = _distinct(items.take(splits.train).keys(), splits.train)
    held = np.sort(np.concatenate([splits.validation, splits.test]))
    seed = model.config.seed
    if model.config.kind == "table":
        codec = model.borders.codec
        train, unseen = (codec.check(items.take(rows).data) for rows in (part, held))
        rows, others, x = encode([train, unseen, samples.raw], table_roles(codec, train))
        found = row_detector(rows, others, seed=seed)(x)
    else:
        encode_all = model.borders.codec.encode
        states = encode_all(items.take(part).data)
        real = encode_all(items.take(held).data) if len(held) else None
        one = Images(states) if model.config.kind == "image" else Vectors(states)
        found = CopyDetector.fit([one], real, level=SURE, seed=seed)(encode_all(samples.raw))
    return _told(found, part, items.names)


def row_detector(train: Rows, unseen: Rows, *, seed: int = 0) -> CopyDetector:
    """Finds copies of rows, also with all numbers changed a little, or one cell altogether."""
    finders: list[Any] = [Spreads(train), Coincidences(train)]
    return CopyDetector.fit(
        finders, unseen, shares=SHARES, most=ROWS, enough=ENOUGH_ROWS, seed=seed
    )


def _distinct(keys: list[bytes], part: np.ndarray) -> np.ndarray:
    """One position for each different item: an exact repeat would be a copy among the left-out."""
    seen: dict[bytes, int] = {}
    for place, key in zip(part, keys):
        seen.setdefault(key, int(place))
    if len(seen) < 3:
        raise DataError(f"{len(seen)} different training items; novelty needs at least 3")
    return np.array(list(seen.values()), dtype=np.int64)


def _told(found: Copies, part: np.ndarray, names: list[str] | None) -> SampleNovelty:
    nearest = part[found.nearest.numpy()]
    return SampleNovelty(
        nearest,
        None if names is None else [names[i] for i in nearest],
        found.distance.to(torch.float64).numpy(),
        found.score.to(torch.float64).numpy(),
        found.copied.numpy(),
        found.level,
        found.note,
    )
