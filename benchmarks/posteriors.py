"""Posteriors by conditional flow matching: against reference samples, and calibrated or not.

    python benchmarks/posteriors.py --data DATA/sbi_posteriors --simulations 20000 --budget 2m

Four simulators are drawn from, one model each learns parameters given observations through the main
job, and 2000 of its draws at observations 1 to 5 are told from 2000 reference draws by a perceptron
(five folds, accuracy, 0.5 = not at all). With `--linear`, a linear Gaussian problem instead: mean
and covariance against the closed form, and simulation-based calibration.

Simulators and measure: Lueckmann et al. 2021, Benchmarking Simulation-Based Inference, app. T.
Calibration: Talts et al. 2018, Validating Bayesian Inference Algorithms, alg. 1.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import chisquare
from sklearn.model_selection import KFold, cross_val_score
from sklearn.neural_network import MLPClassifier

import unfog

DRAWS = 16_000  # at which sampling alone makes 1.5 % of the covariance's error
Draw = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]


def gaussian_linear_uniform(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    theta = rng.uniform(-1, 1, (n, 10))
    return theta, theta + np.sqrt(0.1) * rng.normal(size=theta.shape)


def gaussian_mixture(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    theta = rng.uniform(-10, 10, (n, 2))
    std = np.where(rng.random((n, 1)) < 0.5, 1.0, 0.1)
    return theta, theta + std * rng.normal(size=theta.shape)


def two_moons(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    theta = rng.uniform(-1, 1, (n, 2))
    angle, radius = rng.uniform(-np.pi / 2, np.pi / 2, n), rng.normal(0.1, 0.01, n)
    moon = np.stack([radius * np.cos(angle) + 0.25, radius * np.sin(angle)], 1)
    away = np.stack([-np.abs(theta.sum(1)), theta[:, 1] - theta[:, 0]], 1) / np.sqrt(2)
    return theta, moon + away


def slcp(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    theta = rng.uniform(-3, 3, (n, 5))
    one, two, lean = theta[:, 2] ** 2, theta[:, 3] ** 2, np.tanh(theta[:, 4])
    z = rng.normal(size=(n, 4, 2))
    first = theta[:, None, 0] + one[:, None] * z[:, :, 0]
    mixed = lean[:, None] * z[:, :, 0] + np.sqrt(1 - lean[:, None] ** 2) * z[:, :, 1]
    second = theta[:, None, 1] + two[:, None] * mixed
    return theta, np.stack([first, second], 2).reshape(n, 8)


TASKS: dict[str, Draw] = {
    f.__name__: f for f in (two_moons, gaussian_mixture, slcp, gaussian_linear_uniform)
}

ROOT = np.random.default_rng(7).normal(size=(3, 3)) / 2
NOISE = 0.5


def linear(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """theta ~ N(0, 1) in three dimensions, x = ROOT theta + NOISE z."""
    theta = rng.normal(size=(n, 3))
    return theta, theta @ ROOT.T + NOISE * rng.normal(size=(n, 3))


def fitted(draw: Draw, simulations: int, budget: str, seed: int) -> Any:
    theta, x = draw(np.random.default_rng(seed), simulations)
    source = {"data": theta.astype(np.float32), "x": x.astype(np.float32)}
    folder = pathlib.Path("posteriors")
    folder.mkdir(exist_ok=True)
    np.savez(folder / f"{draw.__name__}.npz", **source)
    return unfog.fit(
        folder / f"{draw.__name__}.npz",
        out=folder / draw.__name__,
        given="x",
        budget=budget,
        seed=seed,
        overwrite=True,
        quiet=True,
    )


def told_apart(samples: np.ndarray, reference: np.ndarray) -> float:
    """Accuracy of a perceptron, five folds, both standardised by the reference."""
    mean, std = reference.mean(0), reference.std(0)
    both = np.concatenate([samples, reference[: len(samples)]])
    side = np.repeat([0, 1], [len(samples), len(both) - len(samples)])
    wide = 10 * reference.shape[1]
    net = MLPClassifier((wide, wide), max_iter=400, early_stopping=True, random_state=1)
    folds = KFold(5, shuffle=True, random_state=1)
    return float(cross_val_score(net, (both - mean) / std, side, cv=folds).mean())


def against_references(data: pathlib.Path, simulations: int, budget: str, seed: int) -> None:
    print("| problem | C2ST at observations 1 to 5 | mean | reference halves |")
    print("|---|---|---|---|")
    for name, draw in TASKS.items():
        model, kept = fitted(draw, simulations, budget, seed), np.load(data / f"{name}.npz")
        found, floor = [], []
        for number in range(1, 6):
            reference = kept[f"posterior_{number}"]
            seen = np.repeat(kept[f"observation_{number}"][None], len(reference), 0)
            samples = model.sample(
                len(reference), given={"x": seen.astype(np.float32)}, seed=number
            )
            found.append(told_apart(np.asarray(samples.data), reference))
            floor.append(told_apart(reference[::2], reference[1::2]))
        shown = " ".join(f"{value:.2f}" for value in found)
        print(f"| {name} | {shown} | {np.mean(found):.3f} | {np.mean(floor):.3f} |", flush=True)


def calibration(simulations: int, budget: str, seed: int, cases: int = 300) -> None:
    model = fitted(linear, simulations, budget, seed)
    inner = np.eye(3) + ROOT.T @ ROOT / NOISE**2
    covariance = np.linalg.inv(inner)
    theta, x = linear(np.random.default_rng(seed + 1), cases)
    means, spreads = [], []
    for row in x[:10]:
        given = {"x": np.repeat(row[None], DRAWS, 0).astype(np.float32)}
        draws = np.asarray(model.sample(DRAWS, given=given, seed=3).data, np.float64)
        true = covariance @ ROOT.T @ row / NOISE**2
        means.append(np.linalg.norm(draws.mean(0) - true) / np.sqrt(np.trace(covariance)))
        off = np.cov(draws.T) - covariance
        spreads.append(np.linalg.norm(off) / np.linalg.norm(covariance))
    ranks = []
    for number, row in enumerate(x):
        given = {"x": np.repeat(row[None], 99, 0).astype(np.float32)}
        draws = np.asarray(model.sample(99, given=given, seed=100 + number).data)
        ranks.append((draws < theta[number]).sum(0))
    tests = [chisquare(np.histogram(r, np.arange(0, 101, 10))[0]).pvalue for r in np.array(ranks).T]
    told = {
        "mean_off_in_deviations": float(np.mean(means)),
        "covariance_off": float(np.mean(spreads)),
        "rank_tests": [round(float(p), 3) for p in tests],
    }
    print(json.dumps(told))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--simulations", type=int, default=20_000)
    parser.add_argument("--budget", default="2m")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--linear", action="store_true")
    asked = parser.parse_args()
    begun = time.monotonic()
    if asked.linear:
        calibration(asked.simulations, asked.budget, asked.seed)
    else:
        against_references(asked.data, asked.simulations, asked.budget, asked.seed)
    print(f"{time.monotonic() - begun:.0f} s", flush=True)
