"""Data sets for `benchmarks/doctor.py`: one group to tune limits on, another to report on."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets

Columns = dict[str, np.ndarray]


@dataclass
class Data:
    """Items of one data set: an array with columns, or a table."""

    name: str
    data: Any
    columns: Columns = field(default_factory=dict)
    given: str | None = None
    steps: int = 600
    kind: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: pathlib.Path) -> pathlib.Path:
        if isinstance(self.data, pd.DataFrame):
            self.data.to_csv(folder / "rows.csv", index=False)
            return folder / "rows.csv"
        np.savez(folder / "items.npz", data=self.data, **self.columns)
        return folder / "items.npz"

    def take(self, index: np.ndarray) -> Data:
        rows = self.data.iloc[index] if isinstance(self.data, pd.DataFrame) else self.data[index]
        columns = {name: values[index] for name, values in self.columns.items()}
        return Data(**{**vars(self), "data": rows, "columns": columns})

    def with_column(self, name: str, values: np.ndarray) -> Data:
        if isinstance(self.data, pd.DataFrame):
            made = self.data.assign(**{name: values})
            return Data(**{**vars(self), "data": made, "given": name})
        return Data(**{**vars(self), "columns": {**self.columns, name: values}, "given": name})

    def numbers(self) -> np.ndarray:
        if isinstance(self.data, pd.DataFrame):
            return self.data.drop(columns=["target"]).to_numpy(float)
        return self.data.reshape(len(self.data), -1).astype(float)


def _plane(name: str, x: np.ndarray, y: np.ndarray) -> Data:
    return Data(name, x.astype(np.float32), {"label": y.astype(np.int64)}, "label", 900)


def _digits(image: bool) -> Data:
    x, y = datasets.load_digits(return_X_y=True)
    if not image:
        more = {"net.width": 160, "train.lr": 3e-3}
        return Data("digits", x.astype(np.float32), {"label": y}, "label", 800, settings=more)
    pixels = (x.reshape(-1, 8, 8, 1) * 15.9).astype(np.uint8)
    plain = {"net": "mlp", "space": "pca", "net.width": 160, "train.lr": 3e-3}
    return Data("digit images", pixels, {"label": y}, "label", 800, "image", plain)


def _table(name: str, loaded: Any, steps: int) -> Data:
    frame = loaded.frame.copy()
    if frame["target"].nunique() < 10:
        frame["target"] = frame["target"].map(lambda v: f"class {v}")
    return Data(name, frame, {}, "target", steps, "table")


def _spirals(count: int, seed: int) -> Data:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, count)
    turn = 1.0 + 2.5 * np.pi * np.sqrt(rng.random(count))
    x = np.stack([turn * np.cos(turn + np.pi * label), turn * np.sin(turn + np.pi * label)], 1)
    return _plane("spirals", x + 0.2 * rng.normal(size=x.shape), label)


def _waves(count: int, seed: int) -> Data:
    """Series of 24 values: one of three shapes at a random phase, with noise."""
    rng = np.random.default_rng(seed)
    label, phase = rng.integers(0, 3, count), rng.random((count, 1)) * 1.5
    at = np.linspace(0, 2 * np.pi, 24)[None] + phase
    shapes = np.stack([np.sin(at), np.sign(np.sin(at)), np.sin(2 * at)])
    x = shapes[label, np.arange(count)] + 0.15 * rng.normal(size=(count, 24))
    return Data("waves", x.astype(np.float32), {"label": label}, "label", 900)


GROUPS: dict[str, Callable[[], list[Data]]] = {
    "tune": lambda: [
        _digits(False),
        _plane("moons", *datasets.make_moons(1500, noise=0.08, random_state=5)),
        _table("diabetes", datasets.load_diabetes(as_frame=True), 400),
    ],
    "report": lambda: [
        _digits(True),
        _table("breast cancer", datasets.load_breast_cancer(as_frame=True), 400),
        _plane("rings", *datasets.make_circles(1500, noise=0.06, factor=0.5, random_state=7)),
        _waves(1200, 9),
        _spirals(1500, 8),
    ],
}
