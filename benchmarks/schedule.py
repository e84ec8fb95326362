"""Fitted times beside unfitted grids: error by calls on several runs, and how many calls they save.

    python benchmarks/schedule.py RUN … --out schedule.json

For every run: the run's own solver, 4 to 20 calls, on each grid of the registry that falls and on
times that `fit_schedule` fitted on other noise (`--measure`; by landing for each number of calls,
otherwise one curve for all). Errors are those of `unfog tune`: the distance of
each sample from where the net's own flow takes its noise, over the samples' spread; for states with
categories the sliced distance of two clouds. Saved is 1 - n / N, with N calls on the best unfitted
grid for N, and n on the fitted times for the same error. Both are read off straight lines through
the logarithms of all errors by calls: single errors jump with where exactly times fall.
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
from typing import Any

import numpy as np
import torch

import unfog
from unfog.tasks.tune import CLOUD, _features, _sliced, fine, straight

CALLS = (4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20)
GRIDS = ("linear", "angle", "quantile", "karras", "log_snr", "shifted:shift=1.5")
SEED = 30_000


def errors(model: Any, count: int, measure: str) -> dict[str, dict[int, float]]:
    """grid -> calls -> error."""
    plain = straight(model)
    count = count if plain else max(count, 2 * CLOUD)

    def draw(**how: Any) -> torch.Tensor:
        drawn = model.sample(count, seed=SEED, show=False, eta=0.0, **how)
        return _features(model, drawn.state)

    truth = draw(**fine(model))
    spread = float(truth.std(0).square().mean().sqrt())
    own = model.config.solver
    each = CALLS if measure == "landing" else (None,)
    fits = {n: model.fit_schedule(measure, steps=n, write=False) for n in each}
    found = fits[each[-1]]
    print(model.folder.name, found, flush=True)
    table: dict[str, dict[int, float]] = {"worst": found.worst}  # type: ignore[dict-item]
    for name in (*GRIDS, "fitted"):
        table[name] = {}
        for n in CALLS:
            knots = fits.get(n, found).knots
            grid = {"name": "fitted", "knots": knots} if name == "fitted" else name
            x = draw(steps=n, solver=own, grid=grid)
            away = (x - truth).square().mean(1).sqrt().mean() if plain else _sliced(x, truth)
            table[name][n] = float(away) / spread
    return table


def saved(
    table: dict[str, dict[int, float]], calls: int, among: tuple[str, ...] = GRIDS
) -> tuple[str, float]:
    """(best of these grids for these calls, share of the calls that fitted times save)."""
    lines = {name: line(table[name]) for name in (*GRIDS, "fitted")}
    best = min(among, key=lambda g: lines[g][0] + lines[g][1] * math.log(calls))
    wanted = lines[best][0] + lines[best][1] * math.log(calls)
    height, slope = lines["fitted"]
    return best, 1 - math.exp((wanted - height) / slope) / calls


def line(errors: dict[int, float]) -> tuple[float, float]:
    """(height, slope) of the straight line through log error by log calls."""
    x, y = np.log(list(errors)), np.log(list(errors.values()))
    slope, height = np.polyfit(x, y, 1)
    return float(height), float(slope)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=pathlib.Path, nargs="+")
    parser.add_argument("--count", type=int, default=128)
    parser.add_argument("--measure", default="landing")
    parser.add_argument("--at", type=int, nargs="+", default=[8, 12, 16])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("schedule.json"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, Any] = {}
    for run in asked.runs:
        table = errors(unfog.load(run, device="cpu"), asked.count, asked.measure)
        gains = {n: saved(table, n) for n in asked.at}
        result[run.name] = {"errors": table, "saved": gains}
        told = ", ".join(f"{n} ({grid}): {100 * s:.0f} %" for n, (grid, s) in gains.items())
        print(f"{run.name}: calls saved at {told}", flush=True)
        own = {n: round(saved(table, n, GRIDS[-1:])[1], 2) for n in asked.at}
        print(f"  against the default grid, {own}", flush=True)
        for name in (*GRIDS, "fitted"):
            print(f"  {name:9}", " ".join(f"{v:.4f}" for v in table[name].values()), flush=True)
        asked.out.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
