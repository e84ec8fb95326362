"""Splits: which items train, validate and test, decided before anything is fitted."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from unfog.errors import ArgumentError, DataError, RunError
from unfog.kinds.given import find
from unfog.kinds.items import Items

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Splits:
    """Sorted positions of the items of each part.

    Attributes:
        train, validation, test: int64 positions; disjoint, together all items.
        seed: what the parts were drawn with.
        fingerprint: of the items that were split.
        duplicates: items that repeat an earlier one exactly.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    seed: int
    fingerprint: str
    duplicates: int

    def to_json(self) -> dict[str, Any]:
        """All fields as plain lists and numbers."""
        return {
            "seed": self.seed,
            "fingerprint": self.fingerprint,
            "duplicates": self.duplicates,
            **{part: getattr(self, part).tolist() for part in PARTS},
        }

    @classmethod
    def from_json(cls, config: dict[str, Any]) -> Splits:
        """The inverse of `to_json`. Raises RunError for fields that are missing or overlap."""
        try:
            parts = {part: np.asarray(config[part], dtype=np.int64) for part in PARTS}
            made = cls(
                **parts,
                seed=int(config["seed"]),
                fingerprint=str(config["fingerprint"]),
                duplicates=int(config["duplicates"]),
            )
            together = np.sort(np.concatenate([made.train, made.validation, made.test]))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise RunError(f"splits.json is damaged ({error}); fit again") from error
        if not np.array_equal(together, np.arange(len(together))):
            raise RunError(
                "splits.json is damaged: its parts overlap or leave items out; fit again"
            )
        return made

    def check(self, items: Items) -> None:
        """Raise DataError unless these are the very items that were split."""
        if items.fingerprint() != self.fingerprint:
            raise DataError(
                "the data has changed since this run was started, so its train and test parts no "
                "longer hold; give the original data, or start a new run"
            )


def split(
    items: Items,
    *,
    seed: int,
    validation: float = 0.1,
    test: float = 0.1,
    by: str | None = None,
    minimum: int = 10,
) -> Splits:
    """Divide the items, exact duplicates on one side, each class in proportion.

    An item's place depends on the seed and its content, not on where it stands in the source. With
    fewer than `minimum` distinct items all of them train and the other parts are empty; otherwise
    every part that is asked for has at least one item. A class's only item trains.

    Args:
        validation, test: shares in [0, 1), together below 1.
        by: the column to stratify on; "label" where there is one.
    Raises: DataError for fewer than two distinct items.
    """
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise ArgumentError(
            f"validation={validation} and test={test} are shares in [0, 1) that leave some to train"
        )
    groups: dict[bytes, list[int]] = defaultdict(list)
    for position, key in enumerate(items.keys()):
        groups[key].append(position)
    if len(items) < 2:
        raise DataError(
            f"{len(items)} item{'s' * (len(items) != 1)} can't be learnt from; give at least two"
        )
    if len(groups) < 2:
        raise DataError(f"all {len(items)} items are the same; give at least two different ones")

    total = len(items)
    wanted = {"test": round(test * total), "validation": round(validation * total)}
    for part, share in (("test", test), ("validation", validation)):
        wanted[part] = 0 if share == 0 or len(groups) < minimum else max(1, wanted[part])

    chosen: dict[str, list[int]] = {part: [] for part in PARTS}
    for members in _ordered(items, groups, seed, by):
        # A group goes whole to the first part that still has room for it; the rest trains.
        part = next(
            (p for p in ("test", "validation") if len(chosen[p]) + len(members) <= wanted[p]),
            "train",
        )
        chosen[part].extend(members)
    return Splits(
        **{part: np.sort(np.asarray(chosen[part], dtype=np.int64)) for part in PARTS},
        seed=seed,
        fingerprint=items.fingerprint(),
        duplicates=len(items) - len(groups),
    )


def _ordered(
    items: Items, groups: dict[bytes, list[int]], seed: int, by: str | None
) -> list[list[int]]:
    """Groups of equal items so ordered that every prefix holds each class in proportion.

    Within a class of n groups, shuffled by a hash of (seed, content), the i-th has rank (i + u) /
    n with one u per class; sorting all by rank is systematic sampling over the classes.
    """
    column = find(by or "label", items.columns)
    if by is not None and column is None:
        raise ArgumentError(
            f"no column {by!r} to stratify on; there is: {', '.join(items.columns)}"
        )
    labels = items.columns[column] if column is not None else None
    if by is None and labels is not None and len({str(v) for v in labels}) > len(items) / 5:
        labels = None  # a measured quantity that is called label, not classes
    classes: dict[str, list[bytes]] = defaultdict(list)
    for key, members in groups.items():
        classes["" if labels is None else str(labels[members[0]])].append(key)
    ranked: list[tuple[float, bytes]] = []
    for name, keys in classes.items():
        keys.sort(key=lambda key: _hash(key, seed))
        offset = int.from_bytes(_hash(name.encode(), seed)[:6], "big") / 2**48
        alone = len(keys) == 1 and len(classes) > 1
        for i, key in enumerate(keys):
            ranked.append((1.0 if alone else (i + offset) / len(keys), key))
    ranked.sort()
    return [groups[key] for _, key in ranked]


def _hash(content: bytes, seed: int) -> bytes:
    salt = seed.to_bytes(16, "big", signed=True)
    return hashlib.blake2b(content, digest_size=16, salt=salt).digest()
