"""Quality per compute: Fashion-MNIST at 32 x 32 by the fixed judge, CIFAR-10, the first minute.

Everybody learns from the same bytes for the same CPU-seconds and draws with its own sampler; peers
are torchcfm's MNIST recipe (Euler, 50 steps) and diffusers' UNet2DModel (DPM-Solver++, 20 steps).
"""

from __future__ import annotations

import argparse
import functools
import pathlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.environments import Home, there
from benchmarks.figures import chosen, contestants, markdown, median, ordered, said, values
from benchmarks.judges import colours, images, points
from benchmarks.picture import Panel, dots
from benchmarks.turns import Book, Record, Turn, rotated, run

NAME = "quality"
ABOUT = "what a budget buys: Fashion-MNIST and CIFAR-10 by fixed judges; dino, digits, moons"
SHORT = {"budgets": [30.0], "turns": 1, "count": 500, "most": 5.0, "images": ["fashion"]}
PICTURES = {
    "unfog": ("unfog_images", "unfog"),
    "torchcfm": ("torchcfm_images", "torchcfm"),
    "diffusers": ("diffusers_images", "diffusers"),
}
PARTS = ("train", "test")
SMALL = {"unfog": ("unfog_points", "unfog"), "torchcfm MLP": ("torchcfm_points", "torchcfm")}
SECONDS = {"dino": (4, 20), "moons": (5, 30), "digits": (10, 60)}
REAL = "real data (floor)"
TEN = 600.0
"""CPU-seconds after which most bars are measured."""


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--budgets", type=float, nargs="*", default=[60, 600])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--most", type=float, default=60, help="CPU-seconds on small sets")
    parser.add_argument("--methods", nargs="*", default=list(PICTURES), choices=list(PICTURES))
    parser.add_argument("--images", nargs="*", default=list(IMAGES), choices=list(IMAGES))
    parser.add_argument("--small", action=argparse.BooleanOptionalAction, default=True)


def play(asked: argparse.Namespace, home: Home, book: Book) -> None:
    for turn in range(asked.turns):
        if asked.small:
            first_minute(turn, asked, home, book)
        for budget in asked.budgets:
            for case in asked.images:
                if there(asked.data / f"images_{FOLDERS[case]}", asked.judge):
                    IMAGES[case](turn, budget, asked, home, book)


def fashion(turn: int, budget: float, asked: argparse.Namespace, home: Home, book: Book) -> None:
    source = home.cache / "runs" / "fashion-32.npz"
    with np.load(asked.data / "images_fashion_mnist" / "train.npz") as file:
        train = file[next(k for k in file.files if file[k].ndim >= 3)]
    _kept(source, lambda: np.pad(train, ((0, 0), (2, 2), (2, 2))))
    compete("fashion", turn, budget, source, asked, home, book, Judging(
        lambda drawn: images.scored(asked.judge, drawn),
        lambda: images.floor(asked.judge, train, asked.count),
    ))  # fmt: skip


def cifar(turn: int, budget: float, asked: argparse.Namespace, home: Home, book: Book) -> None:
    train, test = (colours.read(asked.data / "images_cifar10" / f"{part}.zip") for part in PARTS)
    source = home.cache / "runs" / "cifar10.npz"
    _kept(source, lambda: train[0])
    order = np.random.default_rng(1).permutation(len(train[0]))[: asked.count]

    def scored(drawn: np.ndarray) -> Record:
        return colours.scored(colours.judge(home.cache, train), drawn, test)

    judging = Judging(scored, lambda: scored(train[0][order]))
    compete("cifar10", turn, budget, source, asked, home, book, judging)


@dataclass(frozen=True)
class Judging:
    """What drawn images score, and what as many real training images do."""

    scored: Callable[[np.ndarray], Record]
    floor: Callable[[], Record]


def _kept(path: pathlib.Path, made: Callable[[], np.ndarray]) -> None:
    """Write the training images once."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, images=made())


def compete(
    case: str,
    turn: int,
    budget: float,
    source: pathlib.Path,
    asked: argparse.Namespace,
    home: Home,
    book: Book,
    judging: Judging,
) -> None:
    """All contestants on one set of images for one budget."""
    floor = Turn(REAL, "", "unfog", {"case": case, "count": asked.count})
    if book.find(floor) is None:
        book.add({"contestant": REAL, "key": floor.key, **judging.floor()})
    request = {"source": str(source), "count": asked.count}
    key = {"case": case, "budget": budget, "seed": turn}
    turns = [Turn(name, *where, dict(key), dict(request), limit=20 * budget + 3600)
             for name, where in PICTURES.items() if name in asked.methods]  # fmt: skip

    def judged(turn: Turn, folder: pathlib.Path, record: Record) -> Record:
        with np.load(folder / "drawn.npz") as file:
            return judging.scored(file["images"])

    run(rotated(turns, turn), book, home, judged)


IMAGES = {"fashion": fashion, "cifar10": cifar}
FOLDERS = {"fashion": "fashion_mnist", "cifar10": "cifar10"}


def first_minute(turn: int, asked: argparse.Namespace, home: Home, book: Book) -> None:
    folder = home.cache / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    for case, budgets in SECONDS.items():
        train, held = points.data(case)
        source = folder / f"{case}.npy"
        np.save(source, train)
        floor = Turn(REAL, "", "unfog", {"case": case})
        if book.find(floor) is None:
            book.add({"contestant": REAL, "key": floor.key, **points.floor(case, train, held)})
        for budget in (b for b in budgets if b <= asked.most):
            key = {"case": case, "budget": float(budget), "seed": turn}
            count = points.COUNT if case == "dino" else len(held)
            request = {"source": str(source), "count": count, "own": case == "dino"}
            turns = [Turn(name, *where, key, request) for name, where in SMALL.items()]
            look = functools.partial(apart, case, held)
            run(rotated(turns, turn), book, home, look)


def apart(case: str, held: np.ndarray, turn: Turn, folder: pathlib.Path, record: Record) -> Record:
    return points.scored(case, np.load(folder / "drawn.npy"), held)


def ours(figure: str) -> Callable[[list[Record]], float | None]:
    return lambda records: _after(records, TEN, "unfog", figure, "fashion")


def _after(records: list[Record], budget: float, name: str, figure: str, case: str) -> float | None:
    return median(chosen(records, name, case=case, budget=budget), figure)


def early(records: list[Record]) -> float | None:
    return median(chosen(records, "unfog", case="fashion", budget=60), "frechet")


def beside(case: str, budget: float = TEN) -> Callable[[list[Record]], float | None]:
    """Our distance over the best peer's, after as many CPU-seconds each."""

    def ratio(records: list[Record]) -> float | None:
        mine = _after(records, budget, "unfog", "frechet", case)
        peers = [
            value
            for name in PICTURES
            if name != "unfog" and (value := _after(records, budget, name, "frechet", case))
        ]
        return mine / min(peers) if mine is not None and peers else None

    return ratio


def first(case: str, budget: float) -> Callable[[list[Record]], float | None]:
    return lambda records: median(chosen(records, "unfog", case=case, budget=budget), "distance")


def told(records: list[Record]) -> str:
    parts = []
    for case in ordered(records, "case"):
        here = chosen(records, case=case)
        rows = []
        for budget in sorted(ordered(here, "budget")):
            for name in contestants(here):
                found = chosen(here, name, budget=budget)
                if found:
                    shown = [said(values(found, f)) for f in shows(case)]
                    rows.append([name, f"{budget:g}", said(values(found, "fit_cpu")), *shown,
                                 str(len(found))])  # fmt: skip
        floor = chosen(here, REAL)
        if floor:
            rows.append([REAL, "", "", *(said(values(floor, f)) for f in shows(case)), ""])
        head = ["contestant", "CPU-seconds asked", "used", *shows(case).values(), "runs"]
        parts.append(f"**{case}**\n\n" + markdown(head, rows))
    return "\n".join(parts)


def shows(case: str) -> dict[str, str]:
    if case in IMAGES:
        return {"frechet": "Fréchet", "sliced": "sliced Wasserstein"}
    return {"distance": points.WORDS[case]}


def drawn(records: list[Record], path: pathlib.Path) -> bool:
    panels = []
    for case in ordered(records, "case"):
        here = chosen(records, case=case)
        for figure, words in shows(case).items():
            cells = {}
            for budget in sorted(ordered(here, "budget")):
                row = {n: values(chosen(here, n, budget=budget), figure) for n in contestants(here)}
                row[REAL] = values(chosen(here, REAL), figure)
                cells[f"{budget:g} CPU-s"] = {n: v for n, v in row.items() if v}
            panels.append(Panel(f"{case}: {words} (less is better)", cells, log=True))
    dots(panels, path, "Quality per compute")
    return bool(panels)
