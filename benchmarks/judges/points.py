"""Small sets of the first minute, and the distances of samples from held-out points.

* moons: two half circles with noise, 2000 points to learn from and 2000 others; sliced Wasserstein.
* dino: the 142 points of the Datasaurus (`benchmarks/data`); sliced Wasserstein of 10 000 samples
  to these points, in standard deviations. The same number of draws of the points themselves is at
  0.026; 2000 would be at 0.036, above what is to be reached.
* digits: scikit-learn's 8 x 8 digits, half and half; Frechet distance of pixels.
"""

from __future__ import annotations

import pathlib

import numpy as np

WORDS = {
    "dino": "sliced Wasserstein",
    "moons": "sliced Wasserstein",
    "digits": "pixel Fréchet distance",
}
DIRECTIONS = 256
DINO = pathlib.Path(__file__).parents[1] / "data" / "dino.csv"
COUNT = 10_000
"""Samples of dino."""


def data(case: str) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, D) to learn from and points to judge by."""
    if case == "dino":
        points = np.loadtxt(DINO, delimiter=",", skiprows=1)
        points = (points - points.mean(0)) / points.std(0)
        return points.astype(np.float32), points.astype(np.float32)
    from sklearn.datasets import load_digits, make_moons

    if case == "moons":
        train, held = (make_moons(2000, noise=0.05, random_state=seed)[0] for seed in (0, 1))
        middle, spread = train.mean(0), train.std(0)
        return tuple(((one - middle) / spread).astype(np.float32) for one in (train, held))  # type: ignore[return-value]
    pixels = load_digits().data.astype(np.float32) / 8 - 1
    order = np.random.default_rng(0).permutation(len(pixels))
    half = len(order) // 2
    return pixels[order[:half]], pixels[order[half:]]


def scored(case: str, drawn: np.ndarray, held: np.ndarray) -> dict[str, float]:
    """The distance of (N, D) samples from the held-out points."""
    drawn = np.asarray(drawn, np.float64).reshape(len(drawn), -1)
    measure = frechet if case == "digits" else sliced
    return {"distance": round(measure(drawn, held.astype(np.float64)), 4)}


def floor(case: str, train: np.ndarray, held: np.ndarray) -> dict[str, float]:
    """The same of the real points that are learnt from; of dino, of draws of these."""
    if case == "dino":
        train = train[np.random.default_rng(0).integers(0, len(train), COUNT)]
    return scored(case, train, held)


def sliced(a: np.ndarray, b: np.ndarray) -> float:
    """Root of the mean squared distance of sorted projections, over 256 fixed directions."""
    g = np.random.default_rng(0).normal(size=(a.shape[1], DIRECTIONS))
    g /= np.linalg.norm(g, axis=0)
    share = (np.arange(1000) + 0.5) / 1000
    p, q = (np.quantile(one @ g, share, axis=0) for one in (a, b))
    return float(np.sqrt(((p - q) ** 2).mean()))


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Of two Gaussians fitted to the points."""
    (m, s), (n, t) = ((one.mean(0), np.cov(one.T)) for one in (a, b))
    values, vectors = np.linalg.eigh(s)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ t @ root), 0, None)).sum()
    return float(((m - n) ** 2).sum() + np.trace(s) + np.trace(t) - 2 * cross)
