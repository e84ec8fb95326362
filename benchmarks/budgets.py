"""Is the error that a budget foresees the error that comes? And is the time kept?

    python benchmarks/budgets.py RUN … --out budgets.json

For every run and number of calls: the error that `sample(nfe=…)` says to expect, and the true one,
on other noise: against where the net's own flow takes it (or, for states with categories, against a
cloud of reference samples). Correlations are of the logarithms and of the errors as they are. Then
budgets in milliseconds, each asked for five times after one that measures: what was foreseen, what
it took (the median), and the true error.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import time
from typing import Any

import numpy as np
import torch

import unfog
from unfog.errors import ArgumentError
from unfog.tasks.tune import CLOUD, _features, _sliced, fine, straight

CALLS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32)
BUDGETS = (20, 50, 100, 200, 500)
SEED = 40_000


def checked(model: Any, count: int) -> dict[str, Any]:
    plain = straight(model)
    count = count if plain else CLOUD

    def features(samples: Any) -> torch.Tensor:
        return _features(model, samples.state)

    truth = features(model.sample(count, seed=SEED, show=False, eta=0.0, **fine(model)))
    spread = float(truth.std(0).square().mean().sqrt())

    def true(samples: Any) -> float:
        x = features(samples)
        away = (x - truth).square().mean(1).sqrt().mean() if plain else _sliced(x, truth)
        return float(away) / spread

    rows = []
    for nfe in CALLS:
        drawn = model.sample(count, seed=SEED, nfe=nfe, show=False)
        rows.append({"nfe": nfe, "expected": drawn.pick.error, "true": true(drawn)})
    timed = []
    for ms in BUDGETS:
        try:
            model.sample(count, budget=f"{ms}ms", seed=SEED, show=False)
        except ArgumentError:
            continue
        taken = []
        for _ in range(5):
            begun = time.perf_counter()
            drawn = model.sample(count, budget=f"{ms}ms", seed=SEED, show=False)
            taken.append(1000 * (time.perf_counter() - begun))
        pick = drawn.pick
        timed.append(
            {
                "budget": ms,
                "foreseen": 1000 * pick.seconds,
                "taken": statistics.median(taken),
                "calls": pick.calls,
                "expected": pick.error,
                "true": true(drawn),
            }
        )
    expected, got = (np.array([row[name] for row in rows]) for name in ("expected", "true"))
    return {
        "measure": drawn.pick.measure if timed else "",
        "rows": rows,
        "timed": timed,
        "log correlation": float(np.corrcoef(np.log(expected), np.log(got))[0, 1]),
        "correlation": float(np.corrcoef(expected, got)[0, 1]),
        "ratio": [float(v) for v in np.quantile(got / expected, [0, 0.5, 1])],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=pathlib.Path, nargs="+")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("budgets.json"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, Any] = {}
    for run in asked.runs:
        found = checked(unfog.load(run, device="cpu"), asked.count)
        result[run.name] = found
        low, middle, high = found["ratio"]
        print(
            f"{run.name}: correlation {found['correlation']:.3f}, of logarithms "
            f"{found['log correlation']:.3f}; true / expected {low:.2f} to {high:.2f}, median "
            f"{middle:.2f}",
            flush=True,
        )
        for row in found["timed"]:
            print("  ", {name: round(value, 4) for name, value in row.items()}, flush=True)
    rows = [row for found in result.values() for row in found["rows"]]
    pooled = np.log([[row["expected"], row["true"]] for row in rows])
    print(f"all: correlation of logarithms {np.corrcoef(pooled.T)[0, 1]:.3f}")
    asked.out.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
