"""Samples in few calls: the tuned solver beside unfog's own and those of diffusers and k-diffusion.

    python benchmarks/tuned.py RUN DATA.npz --peers PYTHON --out tuned.json --picture few_steps.png

RUN is a run of images, tuned or not (then it is tuned first, on a copy). All solvers get the same
net, the same noise and the same number of calls. Measured is the Frechet distance to the reference
samples (where the net's own flow takes that noise: 100 steps of third order) in the features of a
judge net that was trained on DATA, and the mean distance of each sample from its reference, over
the samples' spread.

The peers live on sigma / alpha and need a largest one. Every peer is run on four grids (Karras's,
even in the angle, even in the flow's time, the latter also from a higher start), and its best
counts, for each number of calls. What calls the net more than once a step takes fewer steps.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import tempfile
from typing import Any

import numpy as np
import solvers as peers
import torch
from torch import Tensor

import unfog
from unfog.judge.classifier import train_judge
from unfog.judge.frechet import frechet
from unfog.maths.grids import grids
from unfog.sample.randomness import SampleRng
from unfog.sample.solvers.angles import time_at
from unfog.tasks.assemble import blank
from unfog.tasks.generate import away_of
from unfog.tasks.predictor import guided

CALLS = (3, 4, 5, 6, 8, 12, 16)
SEED = 20_000
WAYS = ("karras", "angle", "flow time", "flow time from 1000")
NAMES = {
    "k-diffusion": ("euler", "heun", "lms", "dpmpp_2m", "dpmpp_3m_sde, eta 0"),
    "diffusers": (
        "Heun", "DPM-Solver++ 2M", "DPM-Solver++ 3M", "UniPC 2", "UniPC 3", "DEIS 2", "DEIS 3",
    ),
}  # fmt: skip
TWICE = ("heun", "Heun")


def levels(way: str, steps: int) -> Tensor:
    """(steps + 1,) falling sigma / alpha, the last 0."""
    if way in ("karras", "angle"):
        return peers.PATH.sigma(grids.make(way)(peers.PATH, steps))
    top = 1000.0 if way.endswith("1000") else 80.0
    t = torch.linspace(top / (1 + top), 0, steps + 1, dtype=torch.float64)
    return t / (1 - t)


class Entrant:
    """A peer's place: the run's net, guided as the run is, and its noise."""

    def __init__(self, model: Any, count: int, seed: int):
        path, away = model.net.path, away_of(model, {})
        self.model, self.count, self.solvers = model, count, peers.entrants()
        self.predict = guided(
            model.net, None, model.config.scale, weaker=model.weaker_at(away), away=away
        )
        self.noise = path.prior(blank(model.config, count), rng=SampleRng(seed, range(count)))

    def ended(self, library: str, name: str, way: str, calls: int) -> Tensor | None:
        """Where a library's solver ends with as many steps as fit into the calls; None where it
        fails.
        """
        run, path = self.solvers[library][name], self.model.net.path
        most = (calls + 1) // 2 if name in TWICE else calls
        last = 1e-3 if name.startswith("DEIS") else 0.0  # at 0 it gives NaN

        def by_level(x: Tensor, level: Tensor) -> Tensor:
            t = time_at(path, float(torch.atan(level)))
            at = torch.tensor(t, dtype=torch.float64)
            found: Tensor = self.predict(x * path.alpha(at).to(x), at)
            return found

        for steps in range(most, 0, -1):
            cut = levels(way, steps)
            cut[-1] = last
            clock = (cut / peers.PATH.sigma_max).pow(1 / peers.PATH.rho)
            denoise, _ = peers.counted(by_level, calls)
            try:
                got = run(denoise, self.noise * cut[0].float(), clock)
            except peers.Spent:
                continue
            except (RuntimeError, IndexError, ZeroDivisionError, ValueError, NameError):
                return None
            state: Tensor = self.model.borders.space.back(got)
            return state if bool(state.isfinite().all()) else None
        return None


class Bench:
    """The net, its noise, its reference and the features that clouds are compared in."""

    def __init__(self, model: Any, data: pathlib.Path, count: int):
        self.model, self.count = model, count
        self.entrant = Entrant(model, count, SEED)
        with np.load(data) as found:
            images, labels = found["images"][:20_000], found["labels"][:20_000].astype(np.int64)
        self.judge = train_judge(self.shaped(images), labels, budget=20.0)
        truth = model.sample(
            count, steps=100, solver="threestep", grid="angle", seed=SEED, show=False
        )
        self.truth, self.features = truth.state.flatten(1), self.looked(truth.raw)
        self.spread = float(self.truth.std(0).square().mean().sqrt())

    def shaped(self, images: Any) -> Tensor:
        x = torch.as_tensor(np.asarray(images)).float() / 255
        return x.reshape(len(x), 1, *x.shape[1:3])

    def looked(self, raw: Any) -> Tensor:
        return self.judge.features(self.shaped(raw))

    def measured(self, state: Tensor) -> dict[str, float]:
        raw = self.model.borders.codec.decode(state)
        away = (state.flatten(1) - self.truth).square().mean(1).sqrt().mean() / self.spread
        return {"frechet": frechet(self.looked(raw), self.features), "error": float(away)}

    def own(self, **how: Any) -> dict[str, float]:
        return self.measured(self.model.sample(self.count, seed=SEED, show=False, **how).state)

    def peer(self, library: str, name: str, way: str, calls: int) -> dict[str, float] | None:
        """A peer's figures; None where it fails."""
        state = self.entrant.ended(library, name, way, calls)
        return None if state is None else self.measured(state)


def compared(bench: Bench, calls: tuple[int, ...], only: str = "") -> dict[str, Any]:
    """name -> calls -> figures, and for peers the grid that was best."""
    model = bench.model
    table: dict[str, Any] = {
        "unfog, tuned": {n: bench.own(steps=n) for n in calls},
        "unfog, unipc even in t": {
            n: bench.own(steps=n, solver="unipc", grid="linear") for n in calls
        },
        "unfog, the run's default": {
            n: bench.own(steps=n, solver=model.config.solver, grid=model.config.grid) for n in calls
        },
    }
    for library, names in NAMES.items():
        for name in names:
            if only not in name:
                continue
            rows: dict[int, Any] = {}
            for n in calls:
                tried = {way: bench.peer(library, name, way, n) for way in WAYS}
                good = {way: got for way, got in tried.items() if got is not None}
                if good:
                    way = min(good, key=lambda w: good[w]["frechet"])
                    rows[n] = {**good[way], "grid": way}
            table[f"{library}: {name}"] = rows
            print(name, {n: round(row["frechet"], 3) for n, row in rows.items()}, flush=True)
    return table


def markdown(table: dict[str, Any], calls: tuple[int, ...], figure: str) -> str:
    lines = ["| solver | " + " | ".join(map(str, calls)) + " |", "|---|" + "---|" * len(calls)]
    for name, rows in table.items():
        cells = [f"{rows[n][figure]:.3g}" if n in rows else "–" for n in calls]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    best = [min(r[n][figure] for k, r in table.items() if ":" in k and n in r) for n in calls]
    lines.append("| **best peer** | " + " | ".join(f"{v:.3g}" for v in best) + " |")
    share = [table["unfog, tuned"][n][figure] / v for n, v in zip(calls, best)]
    lines.append("| **tuned / best peer** | " + " | ".join(f"{v:.2f}" for v in share) + " |")
    return "\n".join(lines) + "\n"


def picture(table: dict[str, Any], calls: tuple[int, ...], out: pathlib.Path) -> None:
    """Frechet distance and error against calls, all on one picture."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    faint = plt.get_cmap("tab20")
    said = {"frechet": "Fréchet distance to the reference samples", "error": "error of a sample"}
    for panel, (name, title) in zip(axes, said.items()):
        for place, (label, rows) in enumerate(table.items()):
            there = [n for n in calls if n in rows and rows[n][name] < 200]
            ours = label.startswith("unfog")
            line = "--" if "diffusers" in label else ":"
            style: dict[str, Any] = {"color": faint(place), "lw": 1, "ls": line}
            if ours:
                style = {"color": f"C{place}", "lw": 2.4, "marker": "o", "zorder": 3}
            panel.plot(there, [rows[n][name] for n in there], label=label, **style)
        panel.set(xscale="log", yscale="log", xlabel="calls of the net", title=title)
        panel.set_xticks(calls, [str(n) for n in calls])
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    axes[1].legend(fontsize=7, bbox_to_anchor=(1.01, 1), loc="upper left")
    figure.savefig(out, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path, help="images and labels, for the judge net")
    parser.add_argument("--peers", help="a python that has diffusers and k-diffusion")
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--calls", type=int, nargs="+", default=list(CALLS))
    parser.add_argument("--only", default="", help="peers whose name has this")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("tuned.json"))
    parser.add_argument("--picture", type=pathlib.Path)
    asked = parser.parse_args()
    peers.handed_over(asked.peers)
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    calls = tuple(asked.calls)
    with tempfile.TemporaryDirectory() as room:
        model = unfog.load(asked.run, device="cpu")
        if not model.tunings:
            model = unfog.load(model.save(pathlib.Path(room) / "run"), device="cpu")
            model.tune(range(min(calls), max(calls) + 1))
        with torch.enable_grad():
            bench = Bench(model, asked.data, asked.count)
        table = compared(bench, calls, asked.only)
    result = {"calls": calls, "count": asked.count, "seconds": model.tunings[0].seconds}
    asked.out.write_text(json.dumps({**result, "table": table}, indent=1), encoding="utf-8")
    text = "\n".join(
        f"### {name}\n\n{markdown(table, calls, name)}" for name in ("frechet", "error")
    )
    asked.out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)
    if asked.picture:
        picture(table, calls, asked.picture)


if __name__ == "__main__":
    main()
