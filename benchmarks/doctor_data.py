"""Data sets for `benchmarks/doctor.py`: groups that limits were tuned on, and one to report on."""

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


def _patches(count: int, seed: int) -> Data:
    """Grey 8x8 patches, averaged from 32x32 pixels, of two photographs; the label is which."""
    rng = np.random.default_rng(seed)
    made, label = [], rng.integers(0, 2, count)
    photos = [one.mean(-1) for one in datasets.load_sample_images().images]
    for which in label:
        photo = photos[which]
        row, column = (int(rng.integers(0, side - 32)) for side in photo.shape)
        patch = photo[row : row + 32, column : column + 32]
        made.append(patch.reshape(8, 4, 8, 4).mean((1, 3)))
    pixels = np.stack(made)[..., None].round().astype(np.uint8)
    plain = {"net": "mlp", "space": "pca", "net.width": 160, "train.lr": 3e-3}
    return Data("patches", pixels, {"label": label}, "label", 800, "image", plain)


def _abalone() -> Data:
    """Rows of a table of shells, https://archive.ics.uci.edu/dataset/1/abalone (CC BY 4.0)."""
    if TABLES is None:
        raise SystemExit("this group needs --tables, a folder that has abalone.csv")
    frame = pd.read_csv(TABLES / "abalone.csv").rename(columns={"sex": "target"})
    return Data("abalone", frame.sample(2000, random_state=3), {}, "target", 600, "table")


def _roll(count: int, seed: int) -> Data:
    x, turn = datasets.make_swiss_roll(count, noise=0.3, random_state=seed)
    return _plane("swiss roll", x, (turn > np.median(turn)).astype(np.int64))


def _chirps(count: int, seed: int) -> Data:
    """Series of 32 values: rising or falling pitch, each with its own loudness and drift."""
    rng = np.random.default_rng(seed)
    label, at = rng.integers(0, 2, count), np.linspace(0, 1, 32)[None]
    bend = np.where(label == 1, 1.0, -1.0)[:, None]
    pitch = 2 * np.pi * (3 * at + bend * 1.5 * (at - at**2)) + rng.random((count, 1)) * 2
    x = rng.uniform(0.5, 1.5, (count, 1)) * np.sin(pitch) + rng.normal(size=(count, 1)) * at
    x = x + 0.1 * rng.normal(size=x.shape)
    return Data("chirps", x.astype(np.float32), {"label": label}, "label", 900)


def _clusters(count: int, seed: int) -> Data:
    """Twelve numbers: three classes of two clusters each, and numbers made from others."""
    x, y = datasets.make_classification(
        count, 12, n_informative=6, n_redundant=4, n_classes=3, random_state=seed
    )
    return Data("clusters", x.astype(np.float32), {"label": y}, "label", 800)


def _shapes(count: int, seed: int) -> Data:
    """Grey 12x12 drawings of discs, squares and crosses of any place, size and brightness."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, count)
    size, bright = rng.uniform(2.0, 4.5, (2, count, 1, 1)) * np.array([1, 50])[:, None, None, None]
    row, column = rng.uniform(4.0, 7.0, (2, count, 1, 1))
    down = np.abs(np.arange(12)[None, :, None] - row)
    right = np.abs(np.arange(12)[None, None] - column)
    inside = np.stack(
        [
            size - np.hypot(down, right),
            size - np.maximum(down, right),
            np.minimum(size - np.maximum(down, right), 1.2 - np.minimum(down, right)),
        ]
    )[label, np.arange(count)]
    drawn = bright * np.clip(inside + 0.5, 0, 1) + rng.normal(12, 4, (count, 12, 12))
    pixels = np.clip(drawn, 0, 255)[..., None].round().astype(np.uint8)
    plain = {"net": "mlp", "space": "pca", "net.width": 160, "train.lr": 3e-3}
    return Data("shapes", pixels, {"label": label}, "label", 800, "image", plain)


def _california() -> Data:
    """Rows of a table of districts (Pace and Barry 1997); those with every number known."""
    if TABLES is None:
        raise SystemExit("this group needs --tables, a folder that has california_housing.csv")
    frame = pd.read_csv(TABLES / "california_housing.csv").dropna()
    frame = frame.rename(columns={"ocean_proximity": "target"})
    return Data("california", frame.sample(2000, random_state=21), {}, "target", 600, "table")


def _pinwheel(count: int, seed: int) -> Data:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 5, count)
    x = rng.normal(size=(count, 2)) * np.array([0.3, 0.1]) + np.array([1.0, 0.0])
    turn = 2 * np.pi * label / 5 + 0.6 * np.exp(x[:, 0])
    x = np.stack(
        [
            x[:, 0] * np.cos(turn) - x[:, 1] * np.sin(turn),
            x[:, 0] * np.sin(turn) + x[:, 1] * np.cos(turn),
        ],
        1,
    )
    return _plane("pinwheel", x, label)


def _pulses(count: int, seed: int) -> Data:
    """Series of 28 values: a fading ring after a random onset, fast or slow, with noise."""
    rng = np.random.default_rng(seed)
    label, onset = rng.integers(0, 2, count), rng.uniform(2, 14, (count, 1))
    since = np.arange(28)[None] - onset
    pitch = np.where(label == 1, 0.9, 0.5)[:, None] * rng.uniform(0.9, 1.1, (count, 1))
    rung = np.exp(-since.clip(0) / 8) * np.sin(pitch * since) * (since > 0)
    x = rng.uniform(0.8, 1.6, (count, 1)) * rung + 0.15 * rng.normal(size=(count, 28))
    return Data("pulses", x.astype(np.float32), {"label": label}, "label", 900)


def _arm(count: int, seed: int) -> Data:
    """Ten numbers: where the five joints of an arm are, bent to the left or to the right."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, count)
    bend = np.where(label == 1, 1, -1)[:, None] * rng.gamma(4.0, 0.1, (count, 5))
    turn = (rng.normal(0, 0.5, (count, 1)) + bend).cumsum(1)
    x = np.concatenate([np.cos(turn).cumsum(1), np.sin(turn).cumsum(1)], 1)
    x = x + 0.1 * rng.normal(size=x.shape)
    return Data("arm", x.astype(np.float32), {"label": label}, "label", 800)


TABLES: pathlib.Path | None = None

GROUPS: dict[str, Callable[[], list[Data]]] = {
    "tune": lambda: [
        _digits(False),
        _plane("moons", *datasets.make_moons(1500, noise=0.08, random_state=5)),
        _table("diabetes", datasets.load_diabetes(as_frame=True), 400),
    ],
    "first": lambda: [  # reported on first; the limits have seen it since
        _digits(True),
        _table("breast cancer", datasets.load_breast_cancer(as_frame=True), 400),
        _plane("rings", *datasets.make_circles(1500, noise=0.06, factor=0.5, random_state=7)),
        _waves(1200, 9),
        _spirals(1500, 8),
    ],
    "second": lambda: [  # the same
        _patches(1500, 11),
        _abalone(),
        _roll(1500, 12),
        _chirps(1200, 13),
        _clusters(1500, 14),
    ],
    "third": lambda: [
        _shapes(1500, 21),
        _california(),
        _pinwheel(1500, 22),
        _pulses(1200, 23),
        _arm(1500, 24),
    ],
}
