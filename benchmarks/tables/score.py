"""Our detectors beside scikit-learn's and PyOD's on the ten open sets, by areas under ROC curves:

    python benchmarks/tables/score.py ../shared/data/anomaly_tabular --pyod PYTHON --seeds 2

Two protocols. On normal rows: a shuffle of them, the first half trains, the rest and all anomalies
are scored; seed 0 is the protocol of the data's README. Contaminated: all rows train, and all are
scored, each beside the others. The others' detectors see columns standardised on the training part.
Nothing is tuned per set. PYTHON is one that has PyOD; without it ECOD and COPOD are left out.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import tempfile
import warnings
from typing import Any

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

import unfog

OURS = ("noised_neighbours", "knn", "diffusion_time", "denoising_error", "blend")
PYOD = """
import sys, numpy as np
from pyod.models.copod import COPOD
from pyod.models.ecod import ECOD
told = np.load(sys.argv[1])
found = {m.__name__: m().fit(told["a"]).decision_function(told["b"]) for m in (ECOD, COPOD)}
np.savez(sys.argv[2], **found)
"""


def parts(path: pathlib.Path, seed: int, contaminated: bool) -> tuple[np.ndarray, ...]:
    """Training rows, rows to score, and which of these are anomalies."""
    with np.load(path) as file:
        x, y = file["X"].astype(np.float64), file["y"].ravel().astype(int)
    if contaminated:
        return x, x, y
    normal = np.flatnonzero(y == 0)
    np.random.default_rng(seed).shuffle(normal)
    half = len(normal) // 2
    fresh = np.concatenate([normal[half:], np.flatnonzero(y == 1)])
    return x[normal[:half]], x[fresh], y[fresh]


def peers(
    train: np.ndarray, fresh: np.ndarray, seed: int, same: bool, pyod: str | None
) -> dict[str, np.ndarray]:
    """Scores of what is usual, on standardised columns; a row is not its own neighbour."""
    mean, std = train.mean(0), train.std(0)
    std[std == 0] = 1
    a, b = (train - mean) / std, (fresh - mean) / std
    gaps, _ = NearestNeighbors(n_neighbors=5 + same).fit(a).kneighbors(b)
    if same:
        lof = -LocalOutlierFactor(20).fit(a).negative_outlier_factor_
    else:
        lof = -LocalOutlierFactor(20, novelty=True).fit(a).score_samples(b)
    found = {
        "kNN k=1": gaps[:, 0 + same],
        "kNN k=5": gaps[:, 4 + same],
        "IForest": -IsolationForest(random_state=seed).fit(a).score_samples(b),
        "LOF": lof,
        "GMM 4": -GaussianMixture(4, random_state=seed).fit(a).score_samples(b),
    }
    if pyod is not None:
        with tempfile.TemporaryDirectory() as folder:
            asked, told = pathlib.Path(folder) / "asked.npz", pathlib.Path(folder) / "told.npz"
            np.savez(asked, a=a, b=b)
            subprocess.run([pyod, "-c", PYOD, str(asked), str(told)], check=True)
            with np.load(told) as file:
                found |= {name: file[name] for name in file.files}
    return found


def ours(
    train: np.ndarray, fresh: np.ndarray, asked: argparse.Namespace, seed: int, same: bool
) -> dict[str, np.ndarray]:
    """Scores of every detector of ours, from one run."""
    import pandas as pd

    names = [f"c{place}" for place in range(train.shape[1])]
    with tempfile.TemporaryDirectory() as folder:
        model = unfog.fit(
            pd.DataFrame(train, columns=names),
            out=pathlib.Path(folder) / "run",
            kind="table",
            steps=asked.steps,
            settings={"net.width": asked.width, "net.depth": 2},
            seed=seed,
            quiet=True,
            show=False,
        )
        rows = None if same else pd.DataFrame(fresh, columns=names)
        return {name: model.score(rows, detector=name).score for name in OURS}


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("data", type=pathlib.Path)
    ask.add_argument("--steps", type=int, default=250)
    ask.add_argument("--width", type=int, default=128)
    ask.add_argument("--seeds", type=int, default=1)
    ask.add_argument("--pyod", help="a python that has PyOD")
    ask.add_argument("--sets", nargs="*", default=None, help="stems; all where left out")
    ask.add_argument("--out", type=pathlib.Path, help="JSON of every area")
    asked = ask.parse_args()
    warnings.filterwarnings("ignore")
    result: dict[str, Any] = {}
    for way in ("normal rows", "contaminated"):
        same, table = way == "contaminated", []
        for path in sorted(asked.data.glob("*.npz")):
            if asked.sets is not None and path.stem not in asked.sets:
                continue
            every = []
            for seed in range(asked.seeds):
                train, fresh, y = parts(path, seed, same)
                found = ours(train, fresh, asked, seed, same)
                found |= peers(train, fresh, seed, same, asked.pyod)
                every.append({name: float(roc_auc_score(y, s)) for name, s in found.items()})
            row = {name: float(np.mean([one[name] for one in every])) for name in every[0]}
            result.setdefault(way, {})[path.stem] = every
            if not table:
                print(f"\n{way}\n\n| set |", " | ".join(row), "|\n|" + "---|" * (len(row) + 1))
            table.append(row)
            print(f"| {path.stem} |", " | ".join(f"{v:.3f}" for v in row.values()), "|", flush=True)
        means = [np.mean([row[name] for row in table]) for name in table[0]]
        print("| mean |", " | ".join(f"{v:.4f}" for v in means), "|", flush=True)
    if asked.out is not None:
        asked.out.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
