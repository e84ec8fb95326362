"""Calibrated marginals of a run of tables: measured once at its end, used in every plain draw.

Of a flow map also in fewer jumps than it takes by itself, which cost little to measure, and with
the correlations of its numbers.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from unfog.errors import RunError
from unfog.maths.randomness import mix
from unfog.maths.states import State, each
from unfog.model import files
from unfog.sample.correlations import correlations
from unfog.sample.marginals import Marginals, measured
from unfog.sample.randomness import SampleRng
from unfog.tasks import runfolder
from unfog.tasks.assemble import Sampling, blank, build_sampling, entries
from unfog.tasks.config import Config
from unfog.tasks.drawing import Drawing, precision_of
from unfog.tasks.predictor import guided
from unfog.tasks.show import bar
from unfog.tasks.usual import DEARER

if TYPE_CHECKING:
    from unfog.tasks.plan import Wishes
    from unfog.tasks.trained import Trained

FILE = runfolder.MARGINALS
WEIGHTS = "weights"
"""Beside the corrections: the SHA-256 of the weights that they were measured for."""
STEPS = " steps|"
"""Between a number of steps and the name of a correction in as many."""
SHARE = 0.08
"""Of the time for training, at most, that measuring may take."""
MAPS = 0.15
"""The same of a flow map, whose correlations take more rows to be told from chance."""
FEWEST = 2000
"""Rows below which quantiles are less certain than what a net misses."""
HELD = 4_000_000
"""Numbers of state that are drawn at once, at most."""
ROWS = 2560
"""Rows of a table at once, whose nets do little for each: 1.5 times as quick as 512."""
LEVEL = ("random", "ancestral", "forward")
"""Orders that do not look at what they reveal, so that a masked cell is as any other."""


def step_counts(config: Config) -> list[int]:
    """Numbers of steps that are measured: the run's own, and of a flow map 1, 2, 4, … below it."""
    own = config.plain_steps
    fewer = [] if config.flowmap is None else [2**k for k in range(own.bit_length())]
    return sorted({own, *(k for k in fewer if k < own)})


def plainly(config: Config, steps: int | None = None) -> Sampling:
    """How a draw is made whose marginals are calibrated, in so many steps, or its own."""
    own = config.plain
    if own is None or steps not in (None, own.steps):
        return build_sampling(config, steps=steps)
    return build_sampling(config, steps=own.steps, grid=own.grid)


def rows_of(config: Config, calls: float) -> int:
    """How many rows a run may measure on; 0 where too few for it to be worth it.

    Args:
        calls: rows that the net could answer for once in the time of the whole training.
    """
    if config.train.calibrate == 0 or not config.fields or config.reveal["name"] not in LEVEL:
        return 0
    share = SHARE if config.flowmap is None else MAPS
    afforded = int(share * calls / sum(step_counts(config)))
    rows = min(config.train.calibrate, afforded, HELD // entries(config))
    return rows if rows >= FEWEST else 0


def calibrating(config: Config, wishes: Wishes, drawn: Drawing, gone: float) -> tuple[int, float]:
    """Rows that marginals are calibrated on at the end, and the seconds that this takes."""
    if wishes.steps is not None or drawn.seconds is None:
        passes = 3 * (wishes.steps or 0) * config.train.batch  # an update is three answers' work
        return rows_of(config, passes * (1.0 if config.flowmap is None else DEARER)), 0.0
    rows = rows_of(config, max(0.0, wishes.left - gone) / drawn.seconds)
    return rows, rows * sum(step_counts(config)) * drawn.seconds


@torch.no_grad()
def calibrate(model: Trained, states: State, *, show: bool | None = None) -> dict[int, Marginals]:
    """Draw `train.calibrate` rows as the run samples by itself, and measure its marginals.

    Args:
        states: of training rows, whose categories' frequencies, and of a flow map its numbers'
            correlations, are the goal.
    Returns: number of steps -> corrections.
    """
    config, path, rows = model.config, model.net.path, model.config.train.calibrate
    shares, counts, found = frequencies(config, states), step_counts(config), {}
    known = None if config.flowmap is None else correlated(config, states)
    away = config.autoguidance
    computing = model.net.computing(precision_of(config, model.device, None))
    with bar("calibrating", sum(counts), show=show) as line, computing:
        for steps in counts:
            how = plainly(config, steps)
            grid = how.grid(path, steps)
            rng = SampleRng(mix(config.seed, 61), range(rows))
            x_t = path.prior(blank(config, rows, model.device), rng=rng)
            predict = guided(
                model.net, None, 1.0, jumps=how.jumps,
                weaker=model.weaker_at(away), away=away, interval=model.config.interval,
            )  # fmt: skip
            before = sum(k for k in counts if k < steps)
            one = measured(
                _in_pieces(predict), path, how.solver, x_t, grid, frequencies=shares, known=known,
                eta=how.eta, rng=rng, tell=partial(_ahead, line, before),
            )  # fmt: skip
            # draws of a broken net are refused as they are
            if all(bool(torch.isfinite(value).all()) for value in one.tensors().values()):
                found[steps] = one
    return found


def _ahead(line: Any, before: int, step: int) -> None:
    line.to(before + step)


def correlated(config: Config, states: State) -> dict[str, Tensor]:
    """Field of several numbers -> (n, n) correlations of its columns, float64."""
    assert isinstance(states, Mapping)
    several = [n for n, spec in config.fields.items() if spec.get("size", 0) > 1]
    return {name: correlations(states[name]) for name in several}


def frequencies(config: Config, states: State) -> dict[str, list[Tensor]]:
    """Field of categories -> for each column the (size,) shares of its levels, float64."""
    assert isinstance(states, Mapping)
    return {
        name: [
            torch.bincount(column, minlength=size).double() / len(column)
            for column, size in zip(states[name].t(), spec["sizes"])
        ]
        for name, spec in config.fields.items()
        if spec["type"] == "category"
    }


def _in_pieces(predict: Callable[..., Any]) -> Callable[..., Any]:
    """The net asked for some rows at a time, which is quicker and takes less memory."""

    def told(x_t: Any, t: Tensor, s: Tensor | None = None) -> Any:
        count = len(next(iter(x_t.values())))
        parts = []
        for start in range(0, count, ROWS):
            rows = {name: value[start : start + ROWS] for name, value in x_t.items()}
            parts.append(predict(rows, t, s))
        return each(lambda *pieces: torch.cat(pieces), *parts)

    return told


def corrected(
    model: Trained, how: Sampling, free: bool, *asked: Any
) -> tuple[Sampling, Marginals | None]:
    """How to sample, and the corrections for draws as they were when the run was measured: nothing
    asked, nothing changed but perhaps the number of steps, if that was measured too.

    Args:
        how: what is asked to be sampled by.     free: whether the steps are not asked for; then
            they are those that were measured.
        asked: guides, conditions and starts; None where there is none.
    """
    steps = None if free else how.steps
    if not model.marginals or any(one is not None for one in asked):
        return how, None
    if how != build_sampling(model.config, steps=steps):
        return how, None
    mine = plainly(model.config, steps)
    found = model.marginals.get(mine.steps)
    return (how if found is None else mine), found


def write(folder: pathlib.Path, marginals: Mapping[int, Marginals], own: int) -> None:
    """Store them beside the weights; `runfolder.sign` lists them.

    Args:
        own: the run's own plain steps, whose names have no number of steps before them.
    """
    digest = bytes.fromhex(files.digest(folder / "model.safetensors")["sha256"])
    tensors = {WEIGHTS: torch.tensor(list(digest), dtype=torch.uint8)}
    for steps, one in marginals.items():
        before = "" if steps == own else f"{steps}{STEPS}"
        tensors |= {before + name: value for name, value in one.tensors().items()}
    files.write_tensors(folder / FILE, tensors)


def read(
    folder: pathlib.Path, path: Any, device: torch.device, own: int
) -> dict[int, Marginals] | None:
    """What was measured; None where the manifest lists nothing, or its weights are others.

    Raises: RunError for content that does not fit.
    """
    manifest = files.read_json(folder / files.MANIFEST)["files"]
    if FILE not in manifest:
        return None
    tensors = files.read_tensors(folder / FILE)
    digest = tensors.pop(WEIGHTS, torch.zeros(0, dtype=torch.uint8))
    parts: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        before, _, name = key.rpartition(STEPS)
        if before and not before.isdecimal():
            raise RunError(f"calibrated marginals have {key!r}, which fits nothing")
        parts.setdefault(int(before) if before else own, {})[name] = value.to(device)
    found = {steps: Marginals.from_tensors(part, path) for steps, part in parts.items()}
    weights = manifest["model.safetensors"]["sha256"]
    return found if bytes(digest.tolist()).hex() == weights else None
