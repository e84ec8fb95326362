"""Objectives of flow maps at equal compute: `python benchmarks/flowmaps.py SOURCE --out FOLDER`.

Every row has the same compute for training, counted in passes through nets, so that a busy machine
changes nothing: an ordinary flow has all of it; so has a flow map from scratch; a distilled one has
half, after a flow that had the other half. Prints one JSON line per model and number of steps, and
a markdown table at the end.

The distance is Frechet's: of the features of a judge (`--judge FILE.py` with load_judge, prepare,
features and frechet, and `--real FILE.npz:KEY`), or of the states themselves, with sliced
Wasserstein's distance beside it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import pathlib
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

import unfog
from unfog.judge.frechet import frechet
from unfog.judge.sliced import sliced
from unfog.maths.flowmaps import flowmaps
from unfog.maths.states import lead
from unfog.tasks.assemble import build_model
from unfog.tasks.config import setting
from unfog.tasks.fit import again
from unfog.tasks.learn import batches_of
from unfog.tasks.start import read_start
from unfog.tasks.teach import learning
from unfog.train.loop import train
from unfog.train.optim import adamw
from unfog.train.schedule import Constant, Horizon

STEPS = (1, 2, 4)


class Judge:
    """Distances of samples to held-out items."""

    def __init__(self, model: Any, count: int, file: pathlib.Path | None, real: str | None):
        self.count = count
        held = np.concatenate([model.splits.validation, model.splits.test])
        self.held = model.borders.codec.encode(model.items.take(held).data)
        self.file = None
        if file is not None:
            spec = importlib.util.spec_from_file_location("judge", file)
            assert spec is not None
            assert spec.loader is not None
            self.file = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(self.file)
            self.net = self.file.load_judge()
            path, _, key = str(real).partition(":")
            self.real = self.file.features(self.net, self.file.prepare(np.load(path)[key]))

    def __call__(self, samples: Any) -> dict[str, float]:
        if self.file is not None:
            found = self.file.features(self.net, self.file.prepare(samples.raw))
            return {"frechet": round(self.file.frechet(found, self.real), 3)}
        x, y = flat(samples.state), flat(self.held)
        spread = y.std(0).clamp_min(1e-6)
        x, y = x / spread, y / spread
        rng = torch.Generator().manual_seed(0)
        some = min(len(x), len(y))
        return {
            "frechet": round(frechet(x, y), 4),
            "sliced": round(sliced(x[:some], y[:some], generator=rng), 4),
        }


def flat(state: Any) -> Tensor:
    """The numbers of states, (N, D)."""
    parts = state.values() if isinstance(state, dict) else [state]
    return torch.cat([v.flatten(1).float() for v in parts if v.is_floating_point()], 1)


class Bench:
    def __init__(self, asked: argparse.Namespace):
        self.asked, self.folder = asked, asked.out
        self.reading = {"key": asked.key} if asked.key else {}
        self.settings = {"train.looks": 0, "train.batch": asked.batch}
        self.settings |= dict(setting(text) for text in asked.fit)
        self.rows: list[dict[str, Any]] = []
        self.costs: dict[str, float] = {}
        self.prepared: Any = None

    def fit(self, name: str, recipe: str, steps: int, **more: Any) -> Any:
        return unfog.fit(
            self.asked.source,
            out=self.folder / name,
            recipe=recipe,
            kind=self.asked.kind,
            steps=steps,
            reading=self.reading,
            settings={**self.settings, **more},
            overwrite=True,
            quiet=True,
            show=False,
        )

    def teacher(self) -> dict[str, Any]:
        folder = self.folder / "teacher"
        return {"run": str(folder), "manifest": read_start(folder).manifest, "scale": 1.0}

    def distil(self, name: str, steps: int, **more: Any) -> Any:
        return unfog.distill(
            self.folder / "teacher",
            out=self.folder / name,
            steps=steps,
            settings={"train.looks": 0, **more},
            overwrite=True,
            quiet=True,
            show=False,
        )

    def cost(self, plan: dict[str, Any]) -> float:
        """What an update costs, over one of the flow: passes of the batch through nets, forward 1
        and backward 2, the mean of some updates that are made here and thrown away.

        Args:
            plan: what the configuration has that the flow's has not.
        """
        if self.prepared is None:
            self.fit("probe", "flow", 1)
            self.prepared = again(self.folder / "probe", None)
        config = self.prepared.config
        if plan:
            plan = {**plan, "net": {**config.net, "two_times": True}}
        prepared = self.prepared.with_config(config.model_copy(update=plan))
        config, passes = prepared.config, 0.0

        def counted(net: torch.nn.Module, inputs: Any) -> None:
            nonlocal passes
            passes += len(lead(inputs[0])) * (3 if torch.is_grad_enabled() else 1)

        model, objective = build_model(config), learning(config, torch.device("cpu"))
        nets = [model.net] + ([objective.teacher.net.net] if objective.teacher else [])
        hooks = [net.register_forward_pre_hook(counted) for net in nets]
        loop = train(
            model,
            batches_of(prepared),
            adamw(model, lr=1e-3),
            objective,
            Constant(warmup=0.0),
            horizon=Horizon(10),
            seed=0,
        )
        for _ in loop:
            pass
        for hook in hooks:
            hook.remove()
        return passes / (10 * 3 * config.train.batch)

    def trained(self, name: str, make: Any, budget: float, **plan: Any) -> Any:
        cost = self.cost(plan)
        steps = int(budget / cost)
        begun = time.process_time()
        model = make(steps)
        spent = round(time.process_time() - begun, 1)
        told = {"model": name, "updates": steps, "cost": round(cost, 3), "cpu_seconds": spent}
        print(json.dumps(told), flush=True)
        self.costs[name] = steps
        return model

    def told(self, name: str, model: Any, judge: Judge, hows: list[dict[str, Any]]) -> None:
        for how in hows:
            samples = model.sample(judge.count, seed=1, show=False, **how)
            row = {"model": name, "updates": self.costs[name], **how, **judge(samples)}
            self.rows.append(row)
            print(json.dumps(row), flush=True)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("source", type=pathlib.Path)
    words.add_argument("--kind")
    words.add_argument("--key")
    words.add_argument("--batch", type=int, default=128)
    words.add_argument("--budget", type=float, default=1500, help="updates of an ordinary flow")
    words.add_argument("--fit", nargs="*", default=[], help="settings of all runs: net.width=256")
    words.add_argument("--count", type=int, default=2000)
    words.add_argument("--judge", type=pathlib.Path)
    words.add_argument("--real", help="FILE.npz:KEY, the items that the judge compares with")
    words.add_argument("--distil", nargs="*", default=flowmaps.names())
    words.add_argument("--scratch", nargs="*", default=flowmaps.names())
    words.add_argument("--set", nargs="*", default=[], help="settings of all flow maps")
    words.add_argument("--out", type=pathlib.Path, required=True)
    asked = words.parse_args()
    more = dict(setting(text) for text in asked.set)
    options = {k.removeprefix("flowmap."): v for k, v in more.items() if k.startswith("flowmap.")}
    bench = Bench(asked)
    torch.set_num_threads(1)
    flow = bench.trained("flow", lambda n: bench.fit("flow", "flow", n), asked.budget)
    judge = Judge(flow, asked.count, asked.judge, asked.real)
    ordinary = [{"steps": k} for k in (50, 20, 4, 1)] + [{"steps": 50, "solver": "euler"}]
    bench.told("flow", flow, judge, ordinary)
    few = [{"steps": k} for k in STEPS]
    if asked.distil:
        bench.trained("teacher", lambda n: bench.fit("teacher", "flow", n), asked.budget / 2)
    for name in asked.distil:
        model = bench.trained(
            f"{name}, distilled",
            lambda n, name=name: bench.distil("student", n, flowmap=name, **more),
            asked.budget / 2,
            flowmap={"name": name, **options},
            teacher=bench.teacher(),
        )
        bench.told(f"{name}, distilled", model, judge, few)
    for name in asked.scratch:
        model = bench.trained(
            f"{name}, from scratch",
            lambda n, name=name: bench.fit("scratch", "flowmap", n, flowmap=name, **more),
            asked.budget,
            flowmap={"name": name, **options},
        )
        bench.told(f"{name}, from scratch", model, judge, few)
    print(table(bench.rows))


def table(rows: list[dict[str, Any]]) -> str:
    """Distances, and over that of the flow in 50 steps."""
    base = next(r["frechet"] for r in rows if r["model"] == "flow" and r["steps"] == 50)
    lines = ["| model | updates | 1 | 2 | 4 | 50 |", "|---|---|---|---|---|---|"]
    for name in dict.fromkeys(r["model"] for r in rows):
        mine = [r for r in rows if r["model"] == name and "solver" not in r]
        at = {r["steps"]: f"{r['frechet']:.4g} ({r['frechet'] / base:.2f})" for r in mine}
        cells = " | ".join(at.get(k, "") for k in (1, 2, 4, 50))
        lines.append(f"| {name} | {mine[0]['updates']} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
