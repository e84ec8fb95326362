"""The bars: every figure that was promised, what was measured for it, and whether it is won.

A bar's `why` is printed where it is lost: what the reason is, as far as it is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.figures import Record
from benchmarks.suites import quality, sampling, scale, startup, tables, throughput

Results = Mapping[str, list[Record]]


@dataclass(frozen=True)
class Bar:
    """One promise.

    Args:
        suite: whose records it is about.     text: what is promised, without the number.
        figure: what was measured, from the suite's records; None where it was not.
        wanted: the bar.     least: whether the figure must be at least that, or at most.
    """

    suite: str
    text: str
    figure: Callable[[list[Record]], float | None]
    wanted: float
    least: bool = field(default=False, kw_only=True)
    why: str = field(default="", kw_only=True)

    def verdict(self, results: Results) -> tuple[float | None, str]:
        """What was measured, and "won", "**lost**" or "not measured"."""
        records = results.get(self.suite) or []
        value = self.figure(records) if records else None
        if value is None:
            return None, "not measured"
        won = value >= self.wanted if self.least else value <= self.wanted
        return value, "won" if won else "**lost**"


SIZE = "images/s times FLOPs per image, our U-Net over diffusers'"
DEAR = (
    "twelve steps of a perceptron, or three for five categories, and 1 to 8 % for the marginals "
    "that each step corrects; one 512 wide, as budgets of minutes are planned, draws about 2000 "
    "on Zen 4"
)
BARS = (
    Bar(
        "tables", "Adult: train on synthetic over on real", tables.adult("useful"), 0.97, least=True
    ),
    Bar("tables", "Adult: two-sample AUC", tables.adult("two_sample"), 0.60),
    Bar("tables", "Adult: share nearer to training rows", tables.adult("nearer"), 0.52),
    Bar(
        "tables",
        "of seven, best in both: two-sample AUC, column distance",
        tables.both_best(),
        6,
        least=True,
    ),
    Bar(
        "tables",
        "of seven, best in both, the empirical copula apart",
        tables.both_best(tables.NAMED),
        6,
        least=True,
    ),
    Bar(
        "tables", "of seven with the best two-sample AUC", tables.best("two_sample"), 6, least=True
    ),
    Bar(
        "tables",
        "of seven with the best column distance",
        tables.best("columns"),
        6,
        least=True,
        why="the empirical copula draws each column from the training rows themselves. Ours are as "
        "near to those since marginals are calibrated, so which of the two is nearer to the "
        "held-out rows is chance",
    ),
    Bar(
        "tables",
        "of seven with the best column distance, the empirical copula apart",
        tables.best("columns", tables.NAMED),
        6,
        least=True,
    ),
    Bar(
        "tables",
        "rows per CPU-second, the least of the tables",
        tables.slowest,
        5000,
        least=True,
        why=DEAR,
    ),
    Bar(
        "tables",
        "rows per CPU-second over TabDDPM's, median",
        tables.faster,
        20,
        least=True,
        why=DEAR,
    ),
    Bar("tables", "two-sample AUC after 25 CPU-seconds on 6 366 rows", tables.raced, 0.60),
    Bar(
        "throughput", f"{SIZE} fp32 loop", throughput.over("diffusers", "float32"), 1.7, least=True
    ),
    Bar(
        "throughput", f"{SIZE} bf16 loop", throughput.over("diffusers", "bfloat16"), 1.4, least=True
    ),
    Bar(
        "throughput",
        "share of the measured bf16 peak, our U-Net",
        throughput.share,
        0.5,
        least=True,
    ),
    Bar(
        "throughput",
        "share of the measured bf16 peak, the default (perceptron), at its batch of 512",
        throughput.flat_share,
        0.5,
        least=True,
        why="its products are of 1024 columns; the norms, gates and casts between them and the "
        "optimiser's and the average's passes over 15 M numbers are not counted as work; at the "
        "other loops' batch of 64 it is 0.26",
    ),
    Bar(
        "throughput_amx",
        f"{SIZE} fp32 loop",
        throughput.over("diffusers", "float32"),
        1.7,
        least=True,
    ),
    Bar(
        "throughput_amx",
        "share of the measured bf16 peak, our U-Net",
        throughput.share,
        0.5,
        least=True,
        why="on a processor with matrix tiles (AMX) the peak is some five times that of one "
        "without, and what is no convolution weighs more",
    ),
    Bar("quality", "Fashion-MNIST, 600 CPU-seconds: Fréchet", quality.ours("frechet"), 20),
    Bar("quality", "Fashion-MNIST, 600 CPU-seconds: sliced", quality.ours("sliced"), 0.07),
    Bar("quality", "Fashion-MNIST, Fréchet over the best peer's", quality.beside("fashion"), 1 / 3),
    Bar(
        "quality",
        "Fashion-MNIST, one hour: Fréchet over the best peer's",
        quality.beside("fashion", 3600.0),
        1 / 3,
    ),
    Bar(
        "quality",
        "CIFAR-10, Fréchet over the best peer's",
        quality.beside("cifar10"),
        1 / 3,
        why="ten minutes of one thread are few for 20 000 coloured images",
    ),
    Bar("quality", "Fashion-MNIST, 60 CPU-seconds: Fréchet", quality.early, 60),
    Bar(
        "quality",
        "dino, 4 CPU-seconds: sliced Wasserstein",
        quality.first("dino", 4),
        0.035,
    ),
    Bar("quality", "digits, 10 CPU-seconds: pixel Fréchet", quality.first("digits", 10), 0.65),
    Bar("sampling", "calls to within 10 % of the converged distance", sampling.calls, 8),
    Bar("sampling", "µs per call beyond the net's, 64×1×32×32", sampling.overhead, 100),
    Bar("scale", "memory foreseen, away from what was held, worst of six nets", scale.missed, 0.2),
    Bar("scale", "memory held over the limit that was stated, worst of six nets", scale.kept, 1),
    Bar("scale", "peak for 10 million rows over that for a million or two", scale.grown, 1.1),
    Bar("scale", "an epoch's time over what its rows make it", scale.doubled, 1.1),
    Bar(
        "scale",
        "items a second, two processes over one thread, a U-Net",
        scale.together("unet"),
        1.7,
        least=True,
    ),
    Bar(
        "scale",
        "items a second, two processes over one thread, a table, batches of 2048",
        scale.together("table, batches of 2048"),
        1.7,
        least=True,
    ),
    Bar(
        "scale",
        "items a second, two processes over one thread, a table, batches of 512",
        scale.together("table"),
        1.7,
        least=True,
        why="each process has 256 rows of every update, and all gradients, the optimiser's and the "
        "average's passes whatever the rows; without any gradients sent it would be 1.63",
    ),
    Bar("startup", "seconds of `import unfog`", startup.imported, 0.3),
)
