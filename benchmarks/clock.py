"""The memorisation clock against the amount of data: when samples get good, when they are copies.

    python benchmarks/clock.py --data train.npz --held test.npz --items 50 100 200 400 --out FOLDER

Images are halved in size and learnt as vectors by one net at one constant step size, with nothing
to stop it. At updates in geometric distances 1000 samples from fresh noise are compared with the
items learnt from and with held-out ones:

* good: the first look at which the sliced Wasserstein distance to held-out items is within a tenth
  of the way from its least value before copying begins to its first;
* copying: the first look at which the share of samples that are nearer to a training item than 95 %
  of 2000 held-out items is five points above these, and its 95 % interval above theirs.

Prints a markdown table and writes clock.png and clock.json. In the lowest picture a grey
arrow means that nothing was copied by then.
"""

from __future__ import annotations

import argparse
import copy
import json
import pathlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from few import updates
from torch import Tensor

from unfog.judge.clock import copies
from unfog.judge.copies import control
from unfog.judge.finders import Vectors
from unfog.judge.sliced import sliced
from unfog.tasks.assemble import device_of
from unfog.tasks.prepare import prepare
from unfog.tasks.trained import Trained
from unfog.train.schedule import Horizon

COUNT, UNSEEN = 1000, 2000
RATIO = 2**0.5
TENTH = 0.1
EXCESS = 0.05


@dataclass(frozen=True)
class Look:
    """One look: how far from held-out items, and the share of copies with its control."""

    step: int
    distance: float
    rate: float
    low: float
    high: float
    control: float
    control_high: float

    @property
    def copying(self) -> bool:
        return self.rate >= self.control + EXCESS and self.low > self.control_high


def vectors(path: pathlib.Path) -> np.ndarray:
    """(N, 28, 28) uint8 → (N, 196) float32 in [-1, 1], means of 2×2 pixels."""
    images = np.load(path)["images"].astype(np.float32)
    halved = images.reshape(len(images), 14, 2, 14, 2).mean((2, 4))
    return halved.reshape(len(images), -1) / 127.5 - 1


def watched(train: np.ndarray, held: Tensor, most: int, *, batch: int, seed: int) -> list[Look]:
    """Learn `train`; look until nearly all samples are copies, or for `most` updates."""
    made = prepare(
        train,
        kind="array",
        given=[],
        recipe="flow",
        batch=batch,
        lr=2e-3,
        settings={"net.width": 256, "net.depth": 3, "schedule": "constant"},
        reading={},
        seed=seed,
        device="cpu",
        held=0.0,
    )
    items = torch.from_numpy(train)
    finder = Vectors(items)
    usual = control(finder, held, most=UNSEEN)
    looks: list[Look] = []
    due = 16.0
    for progress, ema in updates(made, Horizon(most)):
        if progress.step < due and progress.step < most:
            continue
        due *= RATIO
        model = Trained(
            pathlib.Path(),
            made.config,
            copy.deepcopy(ema.model),
            made.borders,
            made.splits,
            device=device_of("cpu"),
        )
        drawn = torch.from_numpy(model.sample(COUNT, steps=10, seed=progress.step, show=False).data)
        far = sliced(drawn, held[:COUNT], generator=torch.Generator().manual_seed(0))
        one = copies(finder.near(drawn), usual)
        looks.append(
            Look(progress.step, far, one.rate, one.low, one.high, one.control, one.control_high)
        )
        if one.rate > 0.8:
            break
    return looks


def good_at(looks: list[Look]) -> int:
    """The step of the first good look."""
    copied = copied_at(looks)
    looks = [one for one in looks if copied is None or one.step < copied]
    best, first = min(one.distance for one in looks), looks[0].distance
    return next(o.step for o in looks if o.distance <= best + TENTH * (first - best))


def copied_at(looks: list[Look]) -> int | None:
    """The step of the first look from which on every look copies."""
    found = None
    for one in reversed(looks):
        if not one.copying:
            break
        found = one.step
    return found


def picture(path: pathlib.Path, found: dict[int, list[Look]]) -> None:
    """Both figures over the updates, a colour for each amount of data; both times over that."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    shape, (above, below, times) = plt.subplots(3, 1, figsize=(6.4, 8.0))
    colours = plt.cm.viridis(np.linspace(0, 0.85, len(found)))
    for (count, looks), colour in zip(found.items(), colours):
        steps = [one.step for one in looks]
        above.plot(steps, [o.distance for o in looks], color=colour, marker=".")
        below.plot(
            steps, [100 * o.rate for o in looks], color=colour, marker=".", label=f"{count} items"
        )
        below.fill_between(
            steps,
            [100 * o.low for o in looks],
            [100 * o.high for o in looks],
            color=colour,
            alpha=0.2,
        )
    below.axhline(5, color="grey", linestyle="--", linewidth=1)
    above.set(ylabel="distance to held-out items", xscale="log")
    below.set(ylabel="copies, % of samples", xlabel="updates", xscale="log")
    below.legend(frameon=False)
    below.sharex(above)
    counts = list(found)
    times.plot(counts, [good_at(found[n]) for n in counts], marker="o", label="samples are good")
    copied = [(n, step) for n in counts if (step := copied_at(found[n])) is not None]
    times.plot(*zip(*copied), marker="s", label="copying begins") if copied else None
    for n in counts:
        if copied_at(found[n]) is None:
            last = found[n][-1].step
            times.annotate(
                "", (n, 1.6 * last), (n, last), arrowprops={"arrowstyle": "->", "color": "grey"}
            )
            times.plot(n, last, marker="_", color="grey", markersize=12)
    times.set(xlabel="items learnt from", ylabel="updates", xscale="log", yscale="log")
    times.set_xticks(counts, [str(n) for n in counts], minor=False)
    times.set_xticks([], minor=True)
    times.legend(frameon=False)
    for part in (above, below, times):
        part.spines[["top", "right"]].set_visible(False)
    shape.tight_layout()
    shape.savefig(path, dpi=110)


def show(found: dict[int, list[Look]], batch: int) -> None:
    """One markdown table."""
    print("| items | good from update | copying from update | in passes | copies at the end |")
    print("|---|---|---|---|---|")
    for count, looks in found.items():
        good, bad, last = good_at(looks), copied_at(looks), looks[-1]
        passes = "" if bad is None else f"{bad * batch / count:.0f}"
        when = f"not by {last.step}" if bad is None else bad
        print(
            f"| {count} | {good} | {when} | {passes} | "
            f"{100 * last.rate:.0f} % ({100 * last.low:.0f} to {100 * last.high:.0f}), "
            f"control {100 * last.control:.0f} % |",
            flush=True,
        )


def main() -> None:
    """Learn from each amount of data, print, draw."""
    ask = argparse.ArgumentParser(description="the memorisation clock against the amount of data")
    ask.add_argument("--data", type=pathlib.Path, required=True, help="an .npz of 28×28 images")
    ask.add_argument("--held", type=pathlib.Path, required=True, help="others, not learnt from")
    ask.add_argument("--items", type=int, nargs="+", default=[50, 100, 200, 400])
    ask.add_argument("--most", type=int, default=12_000, help="updates")
    ask.add_argument("--batch", type=int, default=64)
    ask.add_argument("--seed", type=int, default=0)
    ask.add_argument("--out", type=pathlib.Path, required=True)
    asked = ask.parse_args()
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    pool, held = vectors(asked.data), torch.from_numpy(vectors(asked.held)[:UNSEEN])
    order = np.random.default_rng(asked.seed).permutation(len(pool))
    found: dict[int, list[Look]] = {}
    for count in asked.items:
        train = pool[order[:count]]
        found[count] = watched(train, held, asked.most, batch=asked.batch, seed=asked.seed)
        kept: dict[str, Any] = {str(n): [vars(one) for one in ls] for n, ls in found.items()}
        (asked.out / "clock.json").write_text(json.dumps(kept, indent=1) + "\n")
        picture(asked.out / "clock.png", found)
    show(found, asked.batch)


if __name__ == "__main__":
    main()
