"""Training throughput: images 32 x 32 x 1, batch 64, forward + backward + update + average; the
default perceptron also at the batch of 512 that it trains with.

Peers run their own nets, losses and optimisers in the loops of their tutorials; ours is `fit`
itself, the difference of two runs of different length. Nets differ in size, so what is compared is
images/s times FLOPs per image; the share is that of a bf16 convolution's rate in the same process.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
from collections.abc import Callable

from benchmarks.environments import Home
from benchmarks.figures import chosen, contestants, markdown, median, ordered, said, values
from benchmarks.picture import Panel, dots
from benchmarks.turns import Book, Record, Turn, rotated, run

NAME = "throughput"
ABOUT = "training images per second at equal FLOPs"
SHORT = {"turns": 1, "seconds": 6.0}
PRECISIONS = ("float32", "bfloat16")
OWN = "unfog default, batch 512"
BATCHES = {OWN: 512}
"""Loops with a batch of their own."""
LOOPS = {
    "unfog U-Net": ("unfog_loop", "unfog", {"net.name": "unet", "space.name": "identity"}),
    "unfog default (MLP, PCA)": ("unfog_loop", "unfog", {}),
    OWN: ("unfog_loop", "unfog", {}),
    "diffusers": ("diffusers_loop", "diffusers", None),
    "torchcfm": ("torchcfm_loop", "torchcfm", None),
    "denoising-diffusion-pytorch": ("ddp_loop", "denoising_diffusion_pytorch", None),
    "smalldiffusion": ("small_loop", "smalldiffusion", None),
}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0, help="CPU-seconds of each loop")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--loops", nargs="+", default=list(LOOPS), choices=[*LOOPS])


def play(asked: argparse.Namespace, home: Home, book: Book) -> None:
    for turn in range(asked.turns):
        for threads in asked.threads:
            for precision in PRECISIONS:
                turns = []
                for name in asked.loops:
                    module, environment, settings = LOOPS[name]
                    key = {"case": precision, "turn": turn, "threads": threads}
                    request = {
                        "precision": precision, "seconds": asked.seconds,
                        "batch": BATCHES.get(name, asked.batch), "settings": settings,
                    }  # fmt: skip
                    turns.append(Turn(name, module, environment, key, request, threads))
                run(rotated(turns, turn), book, home)


def over(peer: str, precision: str) -> Callable[[list[Record]], float | None]:
    """Our U-Net's best precision over the peer's, in GFLOP per CPU-second of one thread."""

    def ratio(records: list[Record]) -> float | None:
        mine = [
            median(chosen(records, "unfog U-Net", case=p, threads=1), "gflops") for p in PRECISIONS
        ]
        known = [value for value in mine if value is not None]
        theirs = median(chosen(records, peer, case=precision, threads=1), "gflops")
        return max(known) / theirs if known and theirs else None

    return ratio


def shares(records: list[Record], name: str) -> list[float]:
    """Of the peak in the same process, one for each turn; in the better precision."""
    mine = chosen(records, name, threads=1)
    by = [
        [r["gflops"] / r["peak_gflops"] for r in chosen(mine, case=p) if "gflops" in r]
        for p in PRECISIONS
    ]
    found = [numbers for numbers in by if numbers]
    return max(found, key=statistics.median) if found else []


def share(records: list[Record]) -> float | None:
    return _middle(shares(records, "unfog U-Net"))


def flat_share(records: list[Record]) -> float | None:
    return _middle(shares(records, OWN))


def _middle(numbers: list[float]) -> float | None:
    return statistics.median(numbers) if numbers else None


def told(records: list[Record]) -> str:
    rows = []
    for threads in ordered(records, "threads"):
        for name in contestants(records):
            here = chosen(records, name, threads=threads)
            rates = [said(values(chosen(here, case=p), "images_per_cpu")) for p in PRECISIONS]
            size, work = median(here, "parameters"), median(here, "gflop")
            rows.append([
                name, str(threads), f"{(size or 0) / 1e6:.2f}", f"{work or 0:.2f}", *rates,
                said(shares(records, name), 2),
            ])  # fmt: skip
    head = ["contestant", "threads", "M parameters", "GFLOP/image", "images per CPU-s fp32", "bf16",
            "share of the bf16 peak"]  # fmt: skip
    return f"Turns: {len(ordered(records, 'turn'))}.\n\n" + markdown(head, rows)


def drawn(records: list[Record], path: pathlib.Path) -> bool:
    cells = {
        name: {p: values(chosen(records, name, case=p, threads=1), "gflops") for p in PRECISIONS}
        for name in contestants(records)
    }
    part = {name: {"share": shares(records, name)} for name in contestants(records)}
    panels = [Panel("GFLOP per CPU-second (more is better)", cells),
              Panel("share of the measured bf16 peak", part, 0.5)]  # fmt: skip
    dots(panels, path, "Training throughput")
    return True
