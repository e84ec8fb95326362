"""Objectives of flow maps at equal compute: `python benchmarks/flowmaps.py SOURCE --out FOLDER`.

Every row has the same compute for training, counted in passes through nets, so that a busy machine
changes nothing: an ordinary flow has all of it; so has a flow map from scratch; a distilled one has
what is left after a flow that had `--share` of it. Prints one JSON line per model and number of
steps, and a markdown table at the end.

The distance is Frechet's: of the features of a judge (`--judge FILE.py` with load_judge, prepare,
features and frechet, and `--real FILE.npz:KEY`), or of the states themselves, with sliced
Wasserstein's distance beside it, and of tables how well boosted trees tell the drawn rows from the
held-out ones. States are compared with the items of `--held FILE`, which no run has seen, or with
what the run itself held out; the row "real" is as many training items. The row "calibrated" is the
flow with its marginals measured for 50 steps, which a run of so little compute leaves out.
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
from unfog.judge.table.features import encode, roles_of
from unfog.judge.table.twosample import MOST, tree_auc
from unfog.kinds import kinds
from unfog.maths.flowmaps import flowmaps
from unfog.maths.states import lead
from unfog.tasks.assemble import build_model
from unfog.tasks.calibrate import calibrate
from unfog.tasks.config import setting
from unfog.tasks.fit import again
from unfog.tasks.learn import batches_of
from unfog.tasks.reading import read
from unfog.tasks.start import read_start
from unfog.tasks.teach import learning
from unfog.tasks.usual import Usual, usual_of
from unfog.train.loop import train
from unfog.train.optim import adamw
from unfog.train.schedule import Constant, Horizon

STEPS = (1, 2, 4)


class Judge:
    """Distances of samples to held-out items.

    Args:
        model: one of the runs.     asked: `count`, `judge`, `real`, `held`, `components`, as on the
            command line.     reading: how the source is read.
    """

    def __init__(self, model: Any, asked: argparse.Namespace, reading: dict[str, Any]):
        self.count, file, real = asked.count, asked.judge, asked.real
        codec, splits = model.borders.codec, model.splits
        if asked.held is None:
            held = model.items.take(np.concatenate([splits.validation, splits.test]))
        else:
            held = read(kinds[model.config.kind], asked.held, [], reading)
        some = np.random.default_rng(0).permutation(splits.train)[: self.count]
        self.sample = model.items.take(some).data
        self.training = codec.encode(self.sample)
        self.table = held.data if model.config.kind == "table" else None
        self.held = flat(codec.encode(held.data))
        self.spread = self.held.std(0).clamp_min(1e-6)
        self.axes = None
        if asked.components:
            seen = flat(self.training) / self.spread
            *_, axes = torch.linalg.svd(seen - seen.mean(0), full_matrices=False)
            self.axes = axes[: asked.components].T
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
        return {**self.between(samples.state), **self.trees(samples.raw)}

    def trees(self, rows: Any) -> dict[str, float]:
        """Area under the curve of boosted trees that tell a table's rows from the held-out ones."""
        if self.table is None:
            return {}
        x, y = encode([rows, self.table], roles_of(self.sample))
        some = min(len(x), len(y), MOST)
        return {"auc": round(tree_auc(x[:some], y[:some], seed=0).value, 4)}

    def between(self, state: Any) -> dict[str, float]:
        """Distances of states to the held-out ones."""
        x, y = flat(state) / self.spread, self.held / self.spread
        if self.axes is not None:
            x, y = x @ self.axes, y @ self.axes
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
        self.seed = 0

    def fit(self, name: str, recipe: str, steps: int, **more: Any) -> Any:
        return unfog.fit(
            self.asked.source,
            out=self.folder / name,
            recipe=recipe,
            kind=self.asked.kind,
            steps=steps,
            reading=self.reading,
            settings={**self.settings, **more},
            seed=self.seed,
            overwrite=True,
            quiet=True,
            show=False,
        )

    def teacher(self) -> dict[str, Any]:
        """What a student's configuration says of its teacher."""
        start = read_start(self.folder / "teacher")
        told = {"run": str(start.folder), "manifest": start.manifest, "scale": 1.0}
        return {**told, "autoguidance": start.config.autoguidance}

    def distil(self, name: str, steps: int, **more: Any) -> Any:
        return unfog.distill(
            self.folder / "teacher",
            out=self.folder / name,
            steps=steps,
            settings={"train.looks": 0, **more},
            seed=self.seed,
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
        guided: Any = objective.teacher
        taught = [guided.net, guided.weaker] if guided else []
        nets = [model.net, *(part.net for part in taught if part is not None)]
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
            told = {"model": name, "seed": self.seed, "updates": self.costs[name]}
            row = {**told, **how, **judge(samples)}
            self.rows.append(row)
            print(json.dumps(row), flush=True)


def one_seed(bench: Bench, more: dict[str, Any]) -> None:
    """All models of one seed, each judged."""
    asked = bench.asked
    options = {k.removeprefix("flowmap."): v for k, v in more.items() if k.startswith("flowmap.")}
    flow = bench.trained("flow", lambda n: bench.fit("flow", "flow", n), asked.budget)
    judge, usual = Judge(flow, asked, bench.reading), usual_of(flow.config.kind)
    share = asked.share or 1 / (1 + usual.share)
    if judge.file is None:
        bench.costs["real"] = 0
        row = {"model": "real", "seed": bench.seed, "updates": 0, "steps": 50}
        bench.rows.append({**row, **judge.between(judge.training), **judge.trees(judge.sample)})
        print(json.dumps(bench.rows[-1]), flush=True)
    ordinary = [{"steps": k} for k in (50, 4, 1)] + [{"steps": 50, "solver": "euler"}]
    bench.told("flow", flow, judge, ordinary)
    if judge.table is not None:
        bench.costs["calibrated"] = bench.costs["flow"]
        bench.told("calibrated", calibrated(flow, bench.prepared.states[0]), judge, ordinary[:1])
    few = [{"steps": k} for k in (*STEPS, 50)]
    if asked.distil:
        first = share * asked.budget
        teacher = bench.trained("teacher", lambda n: bench.fit("teacher", "flow", n), first)
        bench.told("teacher", teacher, judge, ordinary[:1])
    for name in asked.distil:
        model = bench.trained(
            f"{name}, distilled",
            lambda n, name=name: bench.distil("student", n, **whole(name, usual, more)),
            asked.budget - first,
            flowmap={**usual.objective(name), **options},
            teacher=bench.teacher(),
        )
        bench.told(f"{name}, distilled", model, judge, few)
    for name in asked.scratch:
        model = bench.trained(
            f"{name}, from scratch",
            lambda n, name=name: bench.fit("scratch", "flowmap", n, **whole(name, Usual(), more)),
            asked.budget,
            flowmap={**Usual().objective(name), **options},
        )
        bench.told(f"{name}, from scratch", model, judge, few)


def calibrated(flow: Any, states: Any, rows: int = 10_000, steps: int = 50) -> Any:
    """The same flow with its marginals measured for so many steps."""
    train = flow.config.train.model_copy(update={"calibrate": rows})
    flow.config = flow.config.model_copy(update={"sampling_steps": steps, "train": train})
    flow.marginals = calibrate(flow, states, show=False)
    return flow


def whole(name: str, usual: Usual, more: dict[str, Any]) -> dict[str, Any]:
    """Settings that choose an objective, and the user's."""
    chosen = usual.objective(name)
    own = {f"flowmap.{key}": value for key, value in chosen.items() if key != "name"}
    return {"flowmap": name, **own, **more}


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("source", type=pathlib.Path)
    words.add_argument("--kind")
    words.add_argument("--key")
    words.add_argument("--batch", type=int, default=128)
    words.add_argument("--budget", type=float, default=1500, help="updates of an ordinary flow")
    words.add_argument("--share", type=float, help="of the budget, for the teacher")
    words.add_argument("--seeds", type=int, default=1)
    words.add_argument("--fit", nargs="*", default=[], help="settings of all runs: net.width=256")
    words.add_argument("--count", type=int, default=2000)
    words.add_argument("--judge", type=pathlib.Path)
    words.add_argument("--real", help="FILE.npz:KEY, the items that the judge compares with")
    words.add_argument("--held", type=pathlib.Path, help="items that no run sees, as SOURCE")
    words.add_argument("--components", type=int, help="principal ones in which states are judged")
    words.add_argument("--distil", nargs="*", default=flowmaps.names())
    words.add_argument("--scratch", nargs="*", default=flowmaps.names())
    words.add_argument("--set", nargs="*", default=[], help="settings of all flow maps")
    words.add_argument("--out", type=pathlib.Path, required=True)
    asked = words.parse_args()
    more = dict(setting(text) for text in asked.set)
    bench = Bench(asked)
    torch.set_num_threads(1)
    for bench.seed in range(asked.seeds):
        one_seed(bench, more)
    for measure in ("frechet", "sliced", "auc"):
        if measure in bench.rows[0]:
            print(f"\n{measure}\n{table(bench.rows, measure)}")


def table(rows: list[dict[str, Any]], measure: str) -> str:
    """Distances, and over that of the seed's flow in 50 steps: means, and the smallest and largest
    where there are several seeds.
    """
    plain = [r for r in rows if r["model"] == "flow" and "solver" not in r]
    base = {r["seed"]: r[measure] for r in plain if r["steps"] == 50}
    lines = ["| model | updates | 1 | 2 | 4 | 50 |", "|---|---|---|---|---|---|"]
    for name in dict.fromkeys(r["model"] for r in rows):
        mine = [r for r in rows if r["model"] == name and "solver" not in r]
        cells = {}
        for steps in (1, 2, 4, 50):
            found = {r["seed"]: r[measure] for r in mine if r["steps"] == steps}
            over = [value / base[seed] for seed, value in found.items()]
            if found:
                mean = f"{np.mean([*found.values()]):.3g} ({np.mean(over):.2f}"
                spread = f", {min(over):.2f} to {max(over):.2f}" if len(over) > 1 else ""
                cells[steps] = f"{mean}{spread})"
        said = " | ".join(cells.get(k, "") for k in (1, 2, 4, 50))
        lines.append(f"| {name} | {mine[0]['updates']} | {said} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
