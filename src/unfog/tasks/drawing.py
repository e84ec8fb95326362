"""What the net computes in when it draws: settled by measuring, once, when a run is planned."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from unfog.model.half import quick
from unfog.sample.randomness import SampleRng
from unfog.tasks.assemble import blank, build_model
from unfog.tasks.config import Config

if TYPE_CHECKING:
    from unfog.tasks.plan import Wishes

ROWS, CALLS = 512, 3
GAIN = 0.9
"""bfloat16 is taken where it needs less than this share of float32's time."""


@dataclass(frozen=True)
class Drawing:
    """How a run draws.

    Attributes:
        precision: what the net computes in.     seconds: of an answer for one row; None where that
            was not measured.
    """

    precision: str
    seconds: float | None = None


def drawn_in(config: Config, device: torch.device, wishes: Wishes) -> Drawing:
    """ "bfloat16" for a table whose net answers quicker in it, "float32" for all else.

    Tables only: three digits of a rank are enough, and their draws were compared (docs/choices.md).
    Nothing is measured where the number of steps is fixed, so that such a run repeats bit for bit.
    """
    usual = config.sampling_precision
    if wishes.steps is not None or not config.fields:
        return Drawing(usual)
    plain = wishes.precision == "float32" or config.flowmap is not None
    open_ = usual == "float32" and not plain and quick(device)
    found = call_seconds(config, device, ("float32", "bfloat16") if open_ else (usual,))
    if open_ and found["bfloat16"] < GAIN * found["float32"]:
        usual = "bfloat16"
    return Drawing(usual, found[usual] / ROWS)


def call_seconds(
    config: Config, device: torch.device, precisions: Sequence[str]
) -> dict[str, float]:
    """Precision -> median seconds of a call of the net on a batch, taken in turns on one thread."""
    model = build_model(config).to(device).requires_grad_(False).eval()
    rng, t = SampleRng(0, range(ROWS)), torch.tensor(0.5)
    x_t = model.path.prior(blank(config, ROWS, device), rng=rng)
    taken: dict[str, list[float]] = {precision: [] for precision in precisions}
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            for _ in range(CALLS + 1):
                for precision, found in taken.items():
                    with model.computing(precision):
                        begun = time.perf_counter()
                        if device.type == "cuda":
                            torch.cuda.synchronize(device)
                        model.predict(x_t, t)
                        if device.type == "cuda":
                            torch.cuda.synchronize(device)
                        found.append(time.perf_counter() - begun)
    finally:
        torch.set_num_threads(before)
    return {name: statistics.median(found[1:]) for name, found in taken.items()}


def precision_of(config: Config, device: torch.device, asked: str | None) -> str:
    """As asked; else as the run was planned for, where this machine is quick in it."""
    if asked is not None or quick(device):
        return asked or config.sampling_precision
    return "float32"
