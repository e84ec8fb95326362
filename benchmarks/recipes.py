"""Every recipe on the same data for the same CPU time: `python benchmarks/recipes.py --budget 45`.

Prints two markdown tables: all recipes as they sample by default, and flow against rectified flow
in few steps, with the straightness of their paths. The number of updates is set from the CPU time
of a few updates, so that a busy machine changes nothing but the time it takes.
"""

from __future__ import annotations

import argparse
import pathlib
import tempfile
import time
from typing import Any

import numpy as np
import torch

import unfog
from unfog.errors import Stopped
from unfog.judge.classifier import train_judge
from unfog.judge.evaluate import judge
from unfog.maths.grids import LinearGrid
from unfog.sample.randomness import SampleRng
from unfog.sample.straight import straightness
from unfog.tasks.demo import write_digits
from unfog.tasks.recipes import recipes
from unfog.tasks.trained import Trained

FEW = (1, 2, 4, 20)
METRICS = ["frechet", "sliced_wasserstein", "hit_rate"]


class Bench:
    """The data, the options of every fit, and one judge net for all.

    Args:
        source: what `unfog fit` takes.     options: further arguments of `unfog.fit`.
        count: samples to judge.     judge_seconds: CPU time for the judge net.
    """

    def __init__(
        self,
        source: pathlib.Path,
        options: dict[str, Any],
        given: str,
        count: int,
        judge_seconds: float,
    ):
        self.source, self.options, self.given, self.count = source, options, given, count
        probe = self.fit("flow", 1)
        items, splits = probe.items, probe.splits
        held = np.concatenate([splits.validation, splits.test])
        self.held = held[np.random.default_rng(0).permutation(len(held))[:count]]
        self.train, self.items = splits.train, items
        self.states = {
            "real": probe.borders.codec.encode(items.take(self.held).data),
            "train": probe.borders.codec.encode(items.take(self.train).data),
        }
        self.labels = {name: self.codes(probe, rows) for name, rows in self.rows().items()}
        self.net = train_judge(
            self.states["train"], self.labels["train"], seed=0, budget=judge_seconds
        )

    def rows(self) -> dict[str, np.ndarray]:
        return {"real": self.held, "train": self.train}

    def codes(self, model: Trained, rows: np.ndarray) -> torch.Tensor:
        given = model.borders.given
        picked = given.pick(self.items.take(rows).columns)
        return given.encode(picked, len(rows))[self.given].long()

    def fit(self, recipe: str, steps: int) -> Trained:
        return unfog.fit(
            self.source,
            given=self.given,
            recipe=recipe,
            steps=steps,
            seed=0,
            device="cpu",
            precision="float32",
            quiet=True,
            show=False,
            **self.options,
        )

    def trained(self, recipe: str, seconds: float) -> tuple[Trained, float]:
        """A model after about `seconds` of CPU time in training, and the time that `fit` took."""
        taken = {}
        for steps in (4, 16):
            begun = time.process_time()
            self.fit(recipe if recipe != "rectified" else "flow", steps)
            taken[steps] = time.process_time() - begun
        each = max(1e-4, (taken[16] - taken[4]) / 12)
        share = 0.9 if recipe == "rectified" else 1.0  # the rest goes to drawing its pairs
        begun = time.process_time()
        model = self.fit(recipe, max(20, int(share * seconds / each)))
        return model, time.process_time() - begun

    def judged(self, model: Trained, **how: Any) -> tuple[dict[str, Any], float, float]:
        """Figures by name, net calls per sample, CPU milliseconds per sample; no guidance."""
        calls = []
        hook = model.net.net.register_forward_hook(lambda net, args, out: calls.append(len(out)))
        columns = model.borders.given.pick(self.items.take(self.held).columns)
        given = {name: list(values) for name, values in columns.items()}
        begun = time.process_time()
        samples = model.sample(len(self.held), given=given, scale=1.0, seed=0, show=False, **how)
        spent = time.process_time() - begun
        hook.remove()
        figures = judge(
            model.borders.codec.encode(samples.raw),
            self.states["real"],
            self.states["train"],
            labels=self.labels["real"],
            real_labels=self.labels["real"],
            train_labels=self.labels["train"],
            kind=model.config.kind,
            only=METRICS,
            net=self.net,
        )
        named = {figure.name: figure for figure in figures}
        return named, sum(calls) / len(samples), 1000 * spent / len(samples)

    def straight(self, model: Trained) -> float:
        """Mean straightness of 128 paths of 32 steps, conditioned on held-out labels."""
        rng = SampleRng(1, range(128))
        path, shape = model.net.path, model.config.shape
        noise = path.prior(torch.empty(128, *shape), rng=rng)
        cond = {self.given: self.labels["real"][torch.arange(128) % len(self.held)]}
        with torch.no_grad():
            predict = model.net.bind(cond)
            return float(straightness(predict, path, noise, LinearGrid()(path, 32), rng=rng).mean())


def cells(figures: dict[str, Any]) -> list[str]:
    """The figures with their 95 % intervals."""
    texts = []
    for name in METRICS:
        figure = figures[name]
        texts.append(f"{figure.value:.3g} ({figure.low:.3g} to {figure.high:.3g})")
    return texts


def row(*texts: Any) -> None:
    print("| " + " | ".join(str(text) for text in texts) + " |", flush=True)


def main() -> None:
    """Train, judge, print."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--source", type=pathlib.Path, help="image folder or .npz; digits if left out")
    ask.add_argument("--given", default="label", help="the column of classes")
    ask.add_argument("--budget", type=float, default=45.0, help="CPU seconds of training each")
    ask.add_argument("--judge", type=float, default=20.0, help="CPU seconds for the judge net")
    ask.add_argument("--count", type=int, default=360, help="samples and held-out items judged")
    ask.add_argument("--recipes", nargs="+", default=recipes.names(), choices=recipes.names())
    asked = ask.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        source = asked.source
        if source is None:
            source = pathlib.Path(place) / "digits"
            write_digits(source)
        bench = Bench(source, {}, asked.given, asked.count, asked.judge)
        measure(bench, asked.recipes, asked.budget)


def measure(bench: Bench, names: list[str], budget: float) -> None:
    """The two tables; Ctrl-C leaves out the recipes that are still to come."""
    row("recipe", "net", "updates", "CPU s", "calls", "ms a sample", *METRICS)
    row(*["---"] * (6 + len(METRICS)))
    few: list[list[str]] = []
    figures: dict[str, Any] = {}
    try:
        for name in names:
            model, spent = bench.trained(name, budget)
            figures, calls, each = bench.judged(model)
            updates = model.config.train.steps
            shown = {name: model} if name == "flow" else {}
            if name == "rectified":
                first = unfog.load(model.folder / "first", device="cpu")
                updates += first.config.train.steps
                shown = {"rectified, before reflow": first, "rectified, after": model}
            net = f"{model.config.net['name']}, {model.config.space['name']}"
            said = f"{spent:.0f}", f"{calls:.0f}", f"{each:.1f}"
            row(f"`{name}`", net, updates, *said, *cells(figures))
            few += [[title, *few_steps(bench, one)] for title, one in shown.items()]
    except (KeyboardInterrupt, Stopped):
        pass
    if figures:
        floors = [figures[metric] for metric in METRICS]
        texts = [f"{f.floor:.3g} ({f.floor_low:.3g} to {f.floor_high:.3g})" for f in floors]
        row("real data", "", "", "", "", "", *texts)
    if few:
        print()
        row("paths", "straightness", *[f"frechet in {n} steps" for n in FEW])
        row(*["---"] * (2 + len(FEW)))
    for texts in few:
        row(*texts)


def few_steps(bench: Bench, model: Trained) -> list[str]:
    """Straightness, and the Frechet distance in a few Euler steps."""
    how = {"solver": "euler", "grid": "linear"}
    found = [bench.judged(model, steps=n, **how)[0]["frechet"] for n in FEW]
    return [f"{bench.straight(model):.4f}", *[f"{figure.value:.3g}" for figure in found]]


if __name__ == "__main__":
    main()
