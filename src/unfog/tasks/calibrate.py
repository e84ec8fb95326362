"""Calibrated marginals of a run of tables: measured once at its end, used in every plain draw."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from unfog.maths.randomness import mix
from unfog.maths.states import State, each
from unfog.model import files
from unfog.sample.marginals import Marginals, measured
from unfog.sample.randomness import SampleRng
from unfog.tasks import runfolder
from unfog.tasks.assemble import Sampling, blank, build_sampling, entries
from unfog.tasks.config import Config
from unfog.tasks.drawing import Drawing, precision_of
from unfog.tasks.predictor import guided
from unfog.tasks.show import bar

if TYPE_CHECKING:
    from unfog.tasks.plan import Wishes
    from unfog.tasks.trained import Trained

FILE = runfolder.MARGINALS
WEIGHTS = "weights"
"""Beside the corrections: the SHA-256 of the weights that they were measured for."""
SHARE = 0.08
"""Of the time for training, at most, that measuring may take."""
FEWEST = 2000
"""Rows below which quantiles are less certain than what a net misses."""
HELD = 4_000_000
"""Numbers of state that are drawn at once, at most."""
ROWS = 2560
"""Rows of a table at once, whose nets do little for each: 1.5 times as quick as 512."""
LEVEL = ("random", "ancestral", "forward")
"""Orders that do not look at what they reveal, so that a masked cell is as any other."""


def rows_of(config: Config, calls: float) -> int:
    """How many rows a run may measure on; 0 where too few for it to be worth it.

    Args:
        calls: rows that the net could answer for once in the time of the whole training.
    """
    if config.train.calibrate == 0 or not config.fields or config.reveal["name"] not in LEVEL:
        return 0
    afforded = int(SHARE * calls / config.sampling_steps)
    rows = min(config.train.calibrate, afforded, HELD // entries(config))
    return rows if rows >= FEWEST else 0


def calibrating(config: Config, wishes: Wishes, drawn: Drawing, gone: float) -> tuple[int, float]:
    """Rows that marginals are calibrated on at the end, and the seconds that this takes."""
    if wishes.steps is not None or drawn.seconds is None:
        passes = 3 * (wishes.steps or 0) * config.train.batch  # an update is three answers' work
        return rows_of(config, passes), 0.0
    rows = rows_of(config, max(0.0, wishes.left - gone) / drawn.seconds)
    return rows, rows * config.sampling_steps * drawn.seconds


@torch.no_grad()
def calibrate(model: Trained, states: State, *, show: bool | None = None) -> Marginals:
    """Draw `train.calibrate` rows as the run samples by itself, and measure its marginals.

    Args:
        states: of training rows, whose categories' frequencies are the goal.
    """
    config, path, rows = model.config, model.net.path, model.config.train.calibrate
    how = build_sampling(config)
    grid = how.grid(path, how.steps)
    rng = SampleRng(mix(config.seed, 61), range(rows))
    x_t = path.prior(blank(config, rows, model.device), rng=rng)
    away = config.autoguidance
    predict = guided(
        model.net, None, 1.0, jumps=how.jumps,
        weaker=None if away == 1 else model.weaker, away=away,
    )  # fmt: skip
    computing = model.net.computing(precision_of(config, model.device, None))
    with bar("calibrating", len(grid) - 1, show=show) as line, computing:
        found = measured(
            _in_pieces(predict), path, how.solver, x_t, grid,
            frequencies=frequencies(config, states), eta=how.eta, rng=rng, tell=line.to,
        )  # fmt: skip
    sound = all(bool(torch.isfinite(value).all()) for value in found.tensors().values())
    return found if sound else Marginals()  # draws of a broken net are refused as they are


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


def applies(model: Trained, how: Sampling, *asked: Any) -> bool:
    """Whether draws are as they were when the run was measured: nothing asked, nothing changed.

    Args:
        how: what is sampled by.     asked: guides, conditions and starts; None where there is none.
    """
    plain = model.marginals is not None and all(one is None for one in asked)
    return plain and how == build_sampling(model.config)


def write(folder: pathlib.Path, marginals: Marginals) -> None:
    """Store them beside the weights; `runfolder.sign` lists them."""
    digest = bytes.fromhex(files.digest(folder / "model.safetensors")["sha256"])
    tensors = {**marginals.tensors(), WEIGHTS: torch.tensor(list(digest), dtype=torch.uint8)}
    files.write_tensors(folder / FILE, tensors)


def read(folder: pathlib.Path, path: Any, device: torch.device) -> Marginals | None:
    """What was measured; None where the manifest lists nothing, or its weights are others.

    Raises: RunError for content that does not fit.
    """
    manifest = files.read_json(folder / files.MANIFEST)["files"]
    if FILE not in manifest:
        return None
    tensors = files.read_tensors(folder / FILE)
    digest = tensors.pop(WEIGHTS, torch.zeros(0, dtype=torch.uint8))
    found = Marginals.from_tensors({n: v.to(device) for n, v in tensors.items()}, path)
    weights = manifest["model.safetensors"]["sha256"]
    return found if bytes(digest.tolist()).hex() == weights else None
