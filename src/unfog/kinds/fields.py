"""Fields: one row per type of condition, each the map between the user's values and a tensor."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import ArgumentError, DataError, UnknownName
from unfog.kinds.scale import Standard
from unfog.kinds.words import Words
from unfog.registry import unknown


@dataclass(frozen=True)
class ClassField:
    """One of several classes ↔ its place in the sorted vocabulary; missing is -1.

    Attributes:
        counts: how often each occurred in training; None in runs that were fitted earlier.
    """

    classes: list[Any]
    counts: list[int] | None = None

    @classmethod
    def fit(cls, name: str, values: list[Any]) -> ClassField:
        there = {value for value in values if value is not None}
        if not there:
            raise DataError(f"column {name!r} has no values; leave it out of given")
        if len({isinstance(value, str) for value in there}) > 1:
            there = {str(value) for value in there}
        classes = sorted(there)
        often = Counter(spelt(value) for value in values if not is_missing(value))
        return cls(classes, [often[spelt(known)] for known in classes])

    @property
    def spec(self) -> dict[str, Any]:
        return {"type": "class", "size": len(self.classes)}

    @cached_property
    def places(self) -> dict[str, int]:
        """A class as it is written → its place."""
        return {spelt(known): place for place, known in enumerate(self.classes)}

    def encode(self, name: str, values: list[Any]) -> Tensor:
        """n values → long (n,)."""
        found = []
        for value in values:
            if is_missing(value):
                found.append(-1)
                continue
            place = self.places.get(spelt(value))
            if place is None:
                known = list(self.places)
                few = known if len(known) <= 30 else [*known[:30], "…"]
                raise UnknownName(unknown(f"class of {name!r}", spelt(value), known, few))
            found.append(place)
        return torch.tensor(found, dtype=torch.long)

    def decode(self, tensor: Tensor) -> list[Any]:
        return [None if place < 0 else self.classes[place] for place in tensor.tolist()]

    def to_json(self) -> dict[str, Any]:
        counts = {} if self.counts is None else {"counts": self.counts}
        return {"type": "class", "classes": self.classes, **counts}

    @classmethod
    def from_json(cls, config: dict[str, Any]) -> ClassField:
        classes, counts = list(config["classes"]), config.get("counts")
        if counts is not None and len(counts) != len(classes):
            raise ValueError(f"{len(classes)} classes and {len(counts)} counts")
        return cls(classes, counts)


SEEN = 1000
"""Training values that are kept of a condition, for ranges to be drawn from."""
FAR = 1e4
"""Deviations from the mean: further out no value of fewer than 10^8 training items can lie."""


@dataclass(frozen=True)
class NumberField:
    """A real number ↔ its standardised value; missing is NaN.

    Attributes:
        seen: training values in order, evenly chosen where there are more than `SEEN`; None in runs
            of before 0.2.
    """

    standard: Standard
    integer: bool = False
    seen: list[float] | None = None

    @classmethod
    def fit(cls, name: str, values: list[Any]) -> NumberField:
        numbers = _numbers(name, values)
        if np.isnan(numbers).all():
            raise DataError(f"column {name!r} has no values; leave it out of given")
        known = numbers[~np.isnan(numbers)]
        whole = all(
            isinstance(value, int | np.integer) for value in values if not is_missing(value)
        )
        rows = np.linspace(0, len(known) - 1, min(len(known), SEEN)).round().astype(int)
        return cls(Standard.fit(known[:, None]), whole, np.sort(known)[rows].tolist())

    @property
    def spec(self) -> dict[str, Any]:
        return {"type": "number", "size": 1}

    def encode(self, name: str, values: list[Any]) -> Tensor:
        """n values → float (n, 1)."""
        numbers = _numbers(name, values)
        away = np.abs((numbers - self.standard.mean) / self.standard.std)
        if np.nanmax(away, initial=0) > FAR:
            raise ArgumentError(
                f"given {name!r}: {numbers[np.nanargmax(away)]:g} is more than {FAR:g} times the "
                f"training data's deviation ({float(self.standard.std[0]):.4g}) away from its mean "
                f"({float(self.standard.mean[0]):.4g}); give a value that the column could have"
            )
        return torch.from_numpy(self.standard.into(numbers[:, None]))

    def decode(self, tensor: Tensor) -> list[Any]:
        values = self.standard.back(tensor.detach().cpu().numpy())[:, 0].tolist()
        if self.integer:
            return [None if math.isnan(value) else round(value) for value in values]
        return [None if math.isnan(value) else value for value in values]

    def to_json(self) -> dict[str, Any]:
        mean, std = float(self.standard.mean[0]), float(self.standard.std[0])
        seen = {} if self.seen is None else {"seen": self.seen}
        return {"type": "number", "mean": mean, "std": std, "integer": self.integer, **seen}

    @classmethod
    def from_json(cls, config: dict[str, Any]) -> NumberField:
        standard = Standard(np.array([config["mean"]]), np.array([config["std"]]))
        seen = config.get("seen")
        return cls(
            standard, bool(config["integer"]), None if seen is None else [float(v) for v in seen]
        )


@dataclass(frozen=True)
class TextField:
    """A caption ↔ its tokens, filled up with -1 to `length`; a missing one is all -1."""

    words: Words

    @classmethod
    def fit(cls, name: str, values: list[Any]) -> TextField:
        there = [str(value) for value in values if not is_missing(value)]
        if not there:
            raise DataError(f"column {name!r} has no values; leave it out of given")
        return cls(Words.fit(there))

    @property
    def spec(self) -> dict[str, Any]:
        return {"type": "text", "size": len(self.words.tokens), "length": self.words.length}

    def encode(self, name: str, values: list[Any]) -> Tensor:
        """n values → long (n, length)."""
        rows = torch.full((len(values), self.words.length), -1, dtype=torch.long)
        for row, value in zip(rows, values):
            if not is_missing(value):
                places = self.words.encode(name, str(value))
                row[: len(places)] = torch.tensor(places, dtype=torch.long)
        return rows

    def decode(self, tensor: Tensor) -> list[Any]:
        return [self.words.decode([p for p in row if p >= 0]) or None for row in tensor.tolist()]

    def to_json(self) -> dict[str, Any]:
        return {"type": "text", "tokens": self.words.tokens, "length": self.words.length}

    @classmethod
    def from_json(cls, config: dict[str, Any]) -> TextField:
        return cls(Words([str(token) for token in config["tokens"]], int(config["length"])))


@dataclass(frozen=True)
class TensorField:
    """An array per item ↔ itself, standardised; a missing one is all NaN."""

    standard: Standard
    shape: tuple[int, ...]

    @classmethod
    def fit(cls, name: str, values: Any) -> TensorField:
        there = [value for value in values if not is_missing(value)]
        try:
            array = np.asarray(there, dtype=np.float64)
        except (ValueError, TypeError) as error:
            raise DataError(f"column {name!r} has no numbers of one shape ({error})") from error
        if array.ndim < 2:
            raise DataError(f"column {name!r} has no array per item; give type 'number' or 'class'")
        if not np.isfinite(array).all():
            raise DataError(f"column {name!r} has values that are not finite; remove those items")
        return cls(Standard.fit(array), array.shape[1:])

    @property
    def spec(self) -> dict[str, Any]:
        return {"type": "tensor", "shape": list(self.shape)}

    def encode(self, name: str, values: list[Any]) -> Tensor:
        """n arrays → float (n, *shape)."""
        rows = np.full((len(values), *self.shape), np.nan)
        for row, value in zip(rows, values):
            if not is_missing(value):
                array = np.asarray(value, dtype=np.float64)
                if array.shape != self.shape:
                    raise ArgumentError(
                        f"given {name!r} has the shape {array.shape}; the model takes {self.shape}"
                    )
                row[...] = array
        return torch.from_numpy(self.standard.into(rows))

    def decode(self, tensor: Tensor) -> list[Any]:
        arrays = self.standard.back(tensor.detach().cpu().numpy())
        return [None if np.isnan(array).all() else array for array in arrays]

    def to_json(self) -> dict[str, Any]:
        mean, std = self.standard.mean, self.standard.std
        return {
            "type": "tensor",
            "shape": list(self.shape),
            "scale_shape": list(mean.shape),
            "mean": mean.ravel().tolist(),
            "std": std.ravel().tolist(),
        }

    @classmethod
    def from_json(cls, config: dict[str, Any]) -> TensorField:
        shape = config["scale_shape"]
        mean, std = (np.array(config[key]).reshape(shape) for key in ("mean", "std"))
        return cls(Standard(mean, std), tuple(config["shape"]))


FIELDS: dict[str, Any] = {
    "class": ClassField,
    "number": NumberField,
    "text": TextField,
    "tensor": TensorField,
}
Field = ClassField | NumberField | TextField | TensorField


def plain_values(values: Any) -> list[Any]:
    """A column as plain Python values, None where missing."""
    listed = values.tolist() if isinstance(values, np.ndarray | Tensor) else list(values)
    listed = [v.item() if isinstance(v, np.generic | Tensor) else v for v in listed]
    listed = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in listed]
    return [None if is_missing(value) else value for value in listed]


def is_missing(value: Any) -> bool:
    """None, NaN and the empty string."""
    if isinstance(value, float | np.floating):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and value == "")


def spelt(value: Any) -> str:
    """How a class is written, so that 3, 3.0 and "3" are one, and True and "true"."""
    if isinstance(value, np.generic | Tensor):
        value = value.item()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value)
    return text.lower() if text in ("True", "False") else text


def _numbers(name: str, values: list[Any]) -> np.ndarray:
    """(n,) float64 with NaN where missing."""
    found = []
    for value in values:
        try:
            number = math.nan if is_missing(value) else float(value)
        except (TypeError, ValueError) as error:
            raise ArgumentError(f"given {name!r}: {value!r} is not a number") from error
        if math.isinf(number):
            raise ArgumentError(f"given {name!r}: {value!r} is not a finite number")
        found.append(number)
    return np.array(found, dtype=np.float64)
