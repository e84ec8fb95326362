"""Linear, cosine, sigmoid and fitted schedules side by side, and where linear interpolation breaks.

    python benchmarks/schedule_shapes.py RUN --out shapes.json --picture schedules.png

RUN is an unfog run on an affine path. Left: the noise level atan2(sigma, alpha) by step, for even
times on the linear, cosine and sigmoid paths, and for times fitted to RUN. Middle: what each of 12
steps of the run's own solver adds. Right: three nets, alike but for the target, learn 8 x 8 digits
by linear interpolation with unit weight; the root mean square error of what each says about the
data, by t, and the distance of samples from held-out digits.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import tempfile
from typing import Any

import numpy as np
import torch

import unfog
from unfog.judge.sliced import sliced
from unfog.maths.paths import paths
from unfog.maths.randomness import BatchRng
from unfog.sample.randomness import SampleRng
from unfog.sample.schedule import evened, step_errors
from unfog.sample.solvers.angles import time_at
from unfog.tasks.assemble import build_sampling
from unfog.tasks.schedule import _course

STEPS, AT = 12, (0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
TARGETS = {"velocity": "unit", "data": "unit", "noise": "unit"}


def shapes(run: pathlib.Path) -> dict[str, Any]:
    """schedule -> angles of its times, what each step adds, and largest over mean."""
    model = unfog.load(run, device="cpu")
    path = model.net.path
    how = build_sampling(model.config, grid="angle", steps=STEPS)
    first, second = (
        _course(model, "prediction", None, SampleRng(seed, range(48))) for seed in (1, 2)
    )
    even = torch.linspace(1, 0, STEPS + 1, dtype=torch.float64)
    cuts = {}
    for name in ("linear", "cosine", "sigmoid"):
        angles = paths.make(name).angle(even).tolist()
        cuts[name] = torch.tensor([time_at(path, u) for u in angles], dtype=torch.float64)
        cuts[name][0] = how.grid.start
    cuts["fitted"], _ = evened(first, how.solver, STEPS, start=how.grid.start)
    found = {}
    for name, cut in cuts.items():
        added = step_errors(second, how.solver, cut)[""]
        found[name] = {
            "angles": path.angle(cut).tolist(),
            "added": added.tolist(),
            "worst": float(added.max() / added.mean()),
        }
    return found


def targets(updates: int) -> dict[str, Any]:
    """target -> error of what it says about the data by t, and of samples."""
    from sklearn.datasets import load_digits

    images = (load_digits().images / 16).astype(np.float32).reshape(-1, 64)
    order = np.random.default_rng(0).permutation(len(images))
    train, held = images[order[:1400]], images[order[1400:]]
    found = {}
    for target, weight in TARGETS.items():
        with tempfile.TemporaryDirectory() as room:
            model = unfog.fit(
                train, out=pathlib.Path(room) / "run", steps=updates, batch=64, quiet=True,
                settings={"target": target, "weight": weight, "times": "uniform",
                          "train.looks": 0},
            )  # fmt: skip
            x = model.borders.space.into(model.borders.codec.encode(held))
            row: dict[str, Any] = {"error": {}}
            with torch.no_grad():
                for t in AT:
                    at = torch.tensor(t, dtype=torch.float64)
                    x_t = model.net.path.corrupt(x, at, rng=BatchRng(3)).x_t
                    away = (model.net.predict(x_t, at) - x).square().mean().sqrt()
                    row["error"][t] = float(away)
            for grid in ("linear", "angle"):
                drawn = np.asarray(model.sample(397, steps=20, grid=grid, show=False).data)
                generator = torch.Generator().manual_seed(0)
                away = sliced(torch.tensor(drawn), torch.tensor(held), generator=generator)
                row[f"sliced, {grid} grid"] = away
        found[target] = row
        print(target, row, flush=True)
    return found


def picture(found: dict[str, Any], out: pathlib.Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    for name, row in found["shapes"].items():
        style: dict[str, Any] = {"marker": "o", "ms": 3, "lw": 2.4 if name == "fitted" else 1.2}
        left.plot(row["angles"], label=name, **style)
        said = f"{name}: largest / mean {row['worst']:.2f}"
        middle.plot(range(1, len(row["added"]) + 1), row["added"], label=said, **style)
    left.set(xlabel="step", ylabel="noise level, rad (1.57 = noise)", title="where the steps lie")
    middle.set(xlabel="step", yscale="log", title="what each step adds, 12 steps")
    for name, row in found["targets"].items():
        right.plot([1 - t for t in row["error"]], list(row["error"].values()), "o-", label=name)
    right.set(
        xscale="log", yscale="log", xlabel="1 - t (noise at the left)",
        title="error about the data, linear path, by target",
    )  # fmt: skip
    for panel in (left, middle, right):
        panel.legend(fontsize=8)
        panel.grid(alpha=0.3)
    figure.savefig(out, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("--updates", type=int, default=1500)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("shapes.json"))
    parser.add_argument("--picture", type=pathlib.Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        drawn = shapes(asked.run)
    found = {"shapes": drawn, "targets": targets(asked.updates)}
    for name, row in drawn.items():
        print(f"{name:8} largest / mean {row['worst']:.2f}")
    asked.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    if asked.picture:
        picture(found, asked.picture)


if __name__ == "__main__":
    main()
