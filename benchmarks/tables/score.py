"""Our detectors against scikit-learn's on the ten open sets, trained on normal rows only:

    python benchmarks/tables/score.py ../shared/data/anomaly_tabular --steps 300

The protocol is the one of the data's README: numpy's default_rng(0) shuffles the normal rows, the
first half trains, the rest and all anomalies are scored; baselines see columns standardised on the
training part. Nothing is tuned per set. Prints a markdown table of areas under the ROC curve.
"""

from __future__ import annotations

import argparse
import pathlib
import tempfile
from typing import Any

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

import unfog

OURS = ("knn", "denoising_error", "blend")


def parts(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training rows, rows to score, and which of these are anomalies."""
    with np.load(path) as file:
        x, y = file["X"].astype(np.float64), file["y"].ravel().astype(int)
    normal = np.flatnonzero(y == 0)
    np.random.default_rng(0).shuffle(normal)
    half = len(normal) // 2
    fresh = np.concatenate([normal[half:], np.flatnonzero(y == 1)])
    return x[normal[:half]], x[fresh], y[fresh]


def peers(train: np.ndarray, fresh: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of what is usual, on standardised columns."""
    mean, std = train.mean(0), train.std(0)
    std[std == 0] = 1
    a, b = (train - mean) / std, (fresh - mean) / std
    gaps, _ = NearestNeighbors(n_neighbors=5).fit(a).kneighbors(b)
    return {
        "kNN k=1": gaps[:, 0],
        "kNN k=5": gaps[:, 4],
        "IForest": -IsolationForest(random_state=0).fit(a).score_samples(b),
        "LOF": -LocalOutlierFactor(20, novelty=True).fit(a).score_samples(b),
        "GMM 4": -GaussianMixture(4, random_state=0).fit(a).score_samples(b),
    }


def ours(train: np.ndarray, fresh: np.ndarray, steps: int, width: int) -> dict[str, np.ndarray]:
    """Scores of every detector of ours, from one run."""
    import pandas as pd

    names = [f"c{place}" for place in range(train.shape[1])]
    with tempfile.TemporaryDirectory() as folder:
        model = unfog.fit(
            pd.DataFrame(train, columns=names),
            out=pathlib.Path(folder) / "run",
            kind="table",
            steps=steps,
            settings={"net.width": width, "net.depth": 2},
            quiet=True,
            show=False,
        )
        rows = pd.DataFrame(fresh, columns=names)
        return {name: model.score(rows, detector=name).score for name in OURS}


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("data", type=pathlib.Path)
    ask.add_argument("--steps", type=int, default=300)
    ask.add_argument("--width", type=int, default=128)
    ask.add_argument("--sets", nargs="*", default=None, help="stems; all where left out")
    told = ask.parse_args()
    table: list[dict[str, Any]] = []
    for path in sorted(told.data.glob("*.npz")):
        if told.sets is not None and path.stem not in told.sets:
            continue
        train, fresh, y = parts(path)
        found = ours(train, fresh, told.steps, told.width) | peers(train, fresh)
        row = {name: float(roc_auc_score(y, scores)) for name, scores in found.items()}
        if not table:
            print("| set |", " | ".join(row), "|\n|" + "---|" * (len(row) + 1))
        table.append(row)
        print(f"| {path.stem} |", " | ".join(f"{v:.3f}" for v in row.values()), "|", flush=True)
    means = {name: np.mean([row[name] for row in table]) for name in table[0]}
    print("| mean |", " | ".join(f"{v:.4f}" for v in means.values()), "|")


if __name__ == "__main__":
    main()
