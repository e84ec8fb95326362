"""Few images: the plain recipe against `few` and its parts, for the same CPU time.

    python benchmarks/few.py --data FOLDER --items 30 100 --sides 32 64 --budget 30

FOLDER holds zips of images. Those named by --target are learnt from (a few) and judged against (the
others); those named by --other train the run that `few, from` starts from. --judge is a folder or
zip of other images still, in classes, that train the judge net; without it, it is --other.

Every run is looked at several times along its training. A look counts where its copy rate is within
what real unseen items give. Of those, one half of the held-out items chooses the best, the other
half judges it, and the other way round; the mean of both is reported. So no arm is judged by what
chose it, and all are compared at equal novelty.
"""

from __future__ import annotations

import argparse
import copy
import json
import pathlib
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

import unfog
from unfog.judge.bootstrap import spread
from unfog.judge.classifier import JudgeNet, train_judge
from unfog.judge.frechet import frechet
from unfog.judge.novelty import novelty
from unfog.kinds import kinds
from unfog.model.ema import Ema
from unfog.tasks.assemble import build_model, build_objective, build_schedule, device_of
from unfog.tasks.fit import started
from unfog.tasks.learn import batches_of
from unfog.tasks.prepare import prepare
from unfog.tasks.start import read_start
from unfog.tasks.trained import Trained
from unfog.train.loop import train
from unfog.train.optim import adamw
from unfog.train.schedule import Horizon

LOOKS = (0.2, 0.4, 0.7, 1.0)
EARLY = (0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0)
"""Shares of the training at which a run is looked at; a perceptron copies soon."""
COPIED = 0.6
"""The copy rate at which a run ends: no later look could count."""
COUNT = 160
"""Samples a look."""
DRAWS = 200
"""Bootstrap replicates."""


@dataclass
class Look:
    """One look at a run: where, samples' judge features, and copy rates."""

    seconds: float
    step: int
    features: Tensor
    novelty: Any
    raw: np.ndarray

    @property
    def novel(self) -> bool:
        return bool(self.novelty.value <= self.novelty.floor_high)


@dataclass
class Task:
    """Items to learn from, and those held out, in two halves.

    Args:
        train, held: (N, H, W, C) uint8.     net: the judge.
    """

    train: np.ndarray
    held: np.ndarray
    net: JudgeNet
    features: Tensor = field(init=False)
    known: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.features = self.net.features(states(self.held))
        x = states(self.train)
        self.known = torch.cat([x, x.flip(3)])  # a mirrored copy is a copy

    @property
    def halves(self) -> tuple[Tensor, Tensor]:
        """Places of the held-out items' halves."""
        places = torch.arange(len(self.held))
        return places[::2], places[1::2]


def states(images: np.ndarray) -> Tensor:
    """(N, H, W, C) uint8 → (N, C, H, W) in [-1, 1]."""
    return torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2) / 127.5 - 1


def images(path: pathlib.Path, side: int, given: str | None = None) -> tuple[np.ndarray, Any]:
    """All images of a zip's train and test folders, and their classes."""
    room, found, labels = kinds["image"], [], []
    for part in ("train", "test"):
        items = room.read(path, given=[given] if given else None, size=side, part=part)
        found.append(items.data)
        labels += list(items.columns[given]) if given else []
    return np.concatenate(found), np.array(labels)


def run(task: Task, arm: dict[str, Any], seconds: float, seed: int) -> list[Look]:
    """Train for `seconds` of CPU time; look at it along the way."""
    begin = read_start(arm["start"]) if "start" in arm else None
    made = prepare(
        task.train,
        kind="image",
        given=[],
        recipe=arm.get("recipe", "flow"),
        batch=arm.get("batch"),
        lr=arm.get("lr"),
        settings=arm.get("settings", {}),
        reading={},
        seed=seed,
        device="cpu",
        held=0.0,
        start=begin,
    )
    made = made if begin is None else started(made, begin)
    horizon = Horizon(max(20, int(seconds / pace(made))))
    looks: list[Look] = []
    when = list(arm.get("looks", LOOKS))
    spent, last = 0.0, time.process_time()
    for progress, ema in updates(made, horizon):
        spent += time.process_time() - last
        if progress.step % 10 == 0:  # a busy machine changes the number of updates, not the time
            horizon.steps = max(progress.step, round(progress.step * seconds / spent))
        due = seconds * when[len(looks)]
        if spent >= due or progress.step == horizon.steps:
            looks.append(look(task, made, ema, spent, progress.step))
            if len(looks) == len(when) or looks[-1].novelty.value > COPIED:
                break
        last = time.process_time()
    return looks


def updates(made: Any, horizon: Horizon) -> Any:
    """Progress and the averaged model, after every update."""
    c = made.config
    model = build_model(c)
    if made.start is not None:
        model.load_state_dict(made.start)
    ema = Ema(model, c.train.ema)
    optimiser = adamw(model, lr=c.train.lr, betas=c.train.betas, weight_decay=c.train.weight_decay)
    for progress in train(
        model,
        batches_of(made),
        optimiser,
        build_objective(c),
        build_schedule(c),
        horizon=horizon,
        seed=c.seed,
        ema=ema,
        clip=c.train.clip,
    ):
        yield progress, ema


def pace(made: Any) -> float:
    """CPU seconds of an update, roughly."""
    taken, last = [], time.process_time()
    for _ in updates(made, Horizon(8)):
        taken.append(time.process_time() - last)
        last = time.process_time()
    return statistics.mean(taken[2:])


def look(task: Task, made: Any, ema: Ema[Any], seconds: float, step: int) -> Look:
    """Draw, and see how new the samples are and what the judge makes of them."""
    model = Trained(
        pathlib.Path(),
        made.config,
        copy.deepcopy(ema.model),
        made.borders,
        made.splits,
        device=device_of("cpu"),
    )
    raw = model.sample(COUNT, steps=12, seed=7, show=False).raw
    drawn = states(raw)
    new = novelty(drawn, task.known, states(task.held), relative=True).figure
    return Look(seconds, step, task.net.features(drawn), new, raw)


def chosen(looks: list[Look], real: Tensor) -> Look:
    """Of the looks that are novel the nearest to `real` features; else that which copies least."""
    novel = [one for one in looks if one.novel]
    if not novel:
        return min(looks, key=lambda one: one.novelty.value)
    return min(novel, key=lambda one: frechet(one.features, real))


def crossed(looks: list[Look], task: Task) -> list[tuple[Look, Tensor]]:
    """For each half: what the other half chose, and the places that judge it."""
    first, second = task.halves
    return [(chosen(looks, task.features[a]), b) for a, b in ((first, second), (second, first))]


def distance(pairs: list[tuple[Look, Tensor]], task: Task) -> float:
    return statistics.mean(frechet(one.features, task.features[b]) for one, b in pairs)


def replicates(runs: list[tuple[list[tuple[Look, Tensor]], Task]], seed: int) -> Tensor:
    """Bootstrap of the mean distance over runs: samples and held-out items drawn again.

    The same held-out items are drawn for every arm, so that differences are paired.
    """
    found = []
    for draw in range(DRAWS):
        total = []
        for number, (pairs, task) in enumerate(runs):
            for half, (one, b) in enumerate(pairs):
                rng = np.random.default_rng([seed, draw, number, half])
                held = b[torch.from_numpy(rng.integers(0, len(b), len(b)))]
                drawn = torch.from_numpy(rng.integers(0, COUNT, COUNT))
                total.append(frechet(one.features[drawn], task.features[held]))
        found.append(statistics.mean(total))
    return torch.tensor(found)


def arms(base: pathlib.Path) -> dict[str, dict[str, Any]]:
    """What is compared, by name."""
    flat = {"net": "mlp", "net.width": 512, "space": "pca", "space.explained": 0.9999}
    return {
        "plain": {},
        "plain, perceptron on components": {
            "settings": flat,
            "batch": 512,
            "lr": 1e-3,
            "looks": EARLY,
        },
        "few": {"recipe": "few"},
        "few without crops": {"recipe": "few", "settings": {"train.crop": 0.0}},
        "few without augmentation": {"recipe": "few", "settings": {"train.augment": 0.0}},
        "few without dropout": {"recipe": "few", "settings": {"net.dropout": 0.0}},
        "few, from": {"recipe": "few", "start": base},
        "plain, from": {"start": base},
    }


def judge_net(
    asked: argparse.Namespace, others: tuple[np.ndarray, Any], side: int, place: pathlib.Path
) -> JudgeNet:
    """A judge of images of this side that never saw the target; kept in `place`."""
    if (place / "judge.json").exists():
        return JudgeNet.load(place)
    data, labels = others
    if asked.judge:
        items = kinds["image"].read(asked.judge, given=["label"], size=min(side, 32))
        data, labels = items.data, items.columns["label"]
    x, codes = states(data), torch.from_numpy(np.unique(labels, return_inverse=True)[1])
    held = torch.arange(len(x)) % 20 == 0
    x = x if x.shape[3] == side else F.interpolate(x, (side, side), mode="bilinear")
    net = train_judge(x[~held], codes[~held], seed=0, budget=asked.judge_seconds)
    right = net.accuracy(x[held], codes[held])
    print(f"judge of {side}×{side}: {100 * right:.0f} % of {int(held.sum())} held-out images right")
    net.save(place)
    return net


def base_run(others: np.ndarray, seconds: float, place: pathlib.Path) -> pathlib.Path:
    """A run of the other images to start from, trained for `seconds` of CPU time."""
    how = {"kind": "image", "recipe": "few"}
    made = prepare(
        others,
        given=[],
        batch=None,
        lr=None,
        settings={},
        reading={},
        seed=0,
        device="cpu",
        held=0.0,
        **how,
    )
    steps = max(20, int(seconds / pace(made)))
    unfog.fit(
        others,
        out=place,
        steps=steps,
        device="cpu",
        precision="float32",
        quiet=True,
        show=False,
        held=0.0,
        **how,
    )
    return place


def tasks(pool: np.ndarray, count: int, seeds: int, net: JudgeNet) -> list[Task]:
    """One task for each seed: `count` images to learn from, the others held out."""
    found = []
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(pool))
        found.append(Task(pool[order[:count]], pool[order[count:]], net))
    return found


def measured(made: list[Task], asked: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Every arm on every task: distances with intervals, each as a share of the first arm's."""
    results: dict[str, Any] = {}
    plain = None
    for name, arm in asked.items():
        looked = [run(task, arm, seconds, seed) for seed, task in enumerate(made)]
        pairs = [(crossed(looks, task), task) for looks, task in zip(looked, made)]
        each = [distance(one, task) for one, task in pairs]
        value, drawn = statistics.mean(each), replicates(pairs, 0)
        plain = (value, drawn) if plain is None else plain
        low, high = spread(value, drawn)
        ratio = value / plain[0]
        ratio_low, ratio_high = spread(ratio, drawn / plain[1])
        results[name] = {
            "frechet": value,
            "low": low,
            "high": high,
            "each": each,
            "ratio": ratio,
            "ratio_low": ratio_low,
            "ratio_high": ratio_high,
            "novel": [any(one.novel for one in looks) for looks in looked],
            "looks": [
                [
                    {
                        "seconds": round(one.seconds, 1),
                        "step": one.step,
                        "frechet": frechet(one.features, task.features),
                        "copies": one.novelty.value,
                        "allowed": one.novelty.floor_high,
                    }
                    for one in looks
                ]
                for looks, task in zip(looked, made)
            ],
            "picked": [[one.step for one, _ in one_pairs] for one_pairs, _ in pairs],
            "copies": statistics.mean(one.novelty.value for ps, _ in pairs for one, _ in ps),
            "pictures": [ps[0][0].raw for ps, _ in pairs],
        }
    return results


def floors(made: list[Task]) -> dict[str, float]:
    """What real items reach: the learnt ones, and the other half of those held out."""
    learnt, other = [], []
    for task in made:
        known = task.net.features(states(task.train))
        first, second = task.halves
        learnt += [frechet(known, task.features[half]) for half in (first, second)]
        other.append(frechet(task.features[first], task.features[second]))
    return {
        "the learnt items themselves": statistics.mean(learnt),
        "the other half of the held-out items": statistics.mean(other),
    }


def save_grid(path: pathlib.Path, found: dict[str, Any], learnt: np.ndarray) -> None:
    """A row of the learnt items, then a row of each arm's samples."""
    from PIL import Image

    rows = [learnt[:12], *(one["pictures"][0][:12] for one in found.values())]
    Image.fromarray(np.concatenate([np.concatenate(list(row), 1) for row in rows], 0)).save(path)


def row(*texts: Any) -> None:
    print("| " + " | ".join(str(text) for text in texts) + " |", flush=True)


def show(title: str, found: dict[str, Any], real: dict[str, float]) -> None:
    """One markdown table."""
    print(f"\n**{title}**\n")
    row("arm", "Fréchet at equal novelty", "over plain", "each split", "copy rate", "looks taken")
    row(*["---"] * 6)
    for name, one in found.items():
        row(
            name,
            f"{one['frechet']:.1f} ({one['low']:.1f} to {one['high']:.1f})",
            f"{one['ratio']:.2f} ({one['ratio_low']:.2f} to {one['ratio_high']:.2f})",
            ", ".join(f"{value:.1f}" for value in one["each"]),
            f"{100 * one['copies']:.0f} %" + ("" if all(one["novel"]) else " (none was novel)"),
            "; ".join(", ".join(str(step) for step in steps) for steps in one["picked"]),
        )
    for name, value in real.items():
        row(name, f"{value:.1f}", "", "", "", "")


def main() -> None:
    """Train, judge, print."""
    ask = argparse.ArgumentParser(description="few images: the plain recipe against `few`")
    ask.add_argument("--data", type=pathlib.Path, required=True, help="folder of zips of images")
    ask.add_argument("--target", nargs="+", default=["tigerlily_80.zip", "fritillary_80.zip"])
    ask.add_argument("--other", default="species12_small.zip", help="zip with classes as folders")
    ask.add_argument("--leave", nargs="*", default=["tigerlily", "fritillary"])
    ask.add_argument("--items", type=int, nargs="+", default=[30, 100])
    ask.add_argument("--sides", type=int, nargs="+", default=[32, 64])
    ask.add_argument("--budget", type=float, default=6.0, help="CPU seconds of every training")
    ask.add_argument(
        "--base", type=float, default=10.0, help="CPU seconds of the run to start from"
    )
    ask.add_argument("--judge", type=pathlib.Path, help="images with classes that train the judge")
    ask.add_argument("--judge-seconds", type=float, default=40.0, help="CPU seconds of its net")
    ask.add_argument("--keep", type=pathlib.Path, help="where the judge and the base run stay")
    ask.add_argument("--seeds", type=int, default=2, help="splits of the target, each trained once")
    ask.add_argument("--looks", type=float, nargs="+", help="shares of a training to look at")
    ask.add_argument("--arms", nargs="+", help="of those compared; plain is always")
    ask.add_argument("--json", type=pathlib.Path, help="write all figures here")
    ask.add_argument("--pictures", type=pathlib.Path, help="a folder for grids of samples")
    asked = ask.parse_args()
    torch.set_num_threads(1)
    kept: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        for side in asked.sides:
            others, labels = images(asked.data / asked.other, side, "label")
            keep = ~np.isin(labels, asked.leave)
            stay = asked.keep or pathlib.Path(place)
            net = judge_net(asked, (others[keep], labels[keep]), side, stay / f"judge-{side}")
            pool = np.concatenate([images(asked.data / name, side)[0] for name in asked.target])
            base = stay / f"base-{side}"
            chosen = arms(base)
            if asked.looks:
                chosen = {name: {"looks": asked.looks, **arm} for name, arm in chosen.items()}
            wanted = {k: v for k, v in chosen.items() if k in ["plain", *(asked.arms or chosen)]}
            if (
                any("start" in arm for arm in wanted.values())
                and not (base / "manifest.json").exists()
            ):
                base_run(others[keep], asked.base, base)
            for count in asked.items:
                made = tasks(pool, count, asked.seeds, net)
                found, real = measured(made, wanted, asked.budget), floors(made)
                title = f"{count} images of {side}×{side}, {len(pool) - count} held out"
                show(title, found, real)
                if asked.pictures:
                    asked.pictures.mkdir(parents=True, exist_ok=True)
                    save_grid(asked.pictures / f"few-{side}-{count}.png", found, made[0].train)
                for one in found.values():
                    del one["pictures"]
                kept[f"{side}/{count}"] = {"arms": found, "real": real}
                if asked.json:
                    asked.json.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    main()
