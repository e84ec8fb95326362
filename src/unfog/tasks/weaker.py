"""The weaker model that autoguidance turns away from: the run's own average, early in training."""

from __future__ import annotations

import copy
import math
import pathlib
from dataclasses import dataclass

import torch

from unfog.errors import ArgumentError, RunError
from unfog.model import files
from unfog.model.model import Model
from unfog.tasks.config import Config
from unfog.tasks.runfolder import WEAKER

FILE = WEAKER
STEP = "taken.at"
"""Beside the weights: the number of the update after which they were taken."""


@dataclass
class Weaker:
    """Stores the averaged weights once, at a share of the training.

    Args:
        run: the run folder.     share: of the updates; 0 = never.
        step: the update after which they were taken; None = not yet.
    """

    run: pathlib.Path
    share: float
    step: int | None = None

    def due(self, step: int, steps: int) -> bool:
        """Whether they are to be taken after this update."""
        return self.share > 0 and self.step is None and step >= self.share * steps

    def take(self, step: int, averaged: Model) -> None:
        tensors = {**averaged.state_dict(), STEP: torch.tensor(step)}
        files.write_tensors(self.run / FILE, tensors)

    def passed(self, step: int) -> None:
        """They were taken after this update, by this or another process."""
        self.step = step

    def restore(self, step: int) -> None:
        """Go on from a checkpoint of this step; weights that were taken after it come again."""
        path = self.run / FILE
        if not path.exists():
            return
        taken = int(files.read_tensors(path)[STEP])
        if taken <= step:
            self.passed(taken)
        else:
            path.unlink()


def with_weaker(config: Config, weaker: Weaker, ends: int) -> Config:
    """The configuration of a run whose weights are those after `ends` updates; without
    autoguidance, and saying so, where the weaker model is not clearly earlier.
    """
    early = weaker.step is not None and 2 * weaker.step <= ends
    if early or config.autoguidance == 1:
        return config
    why = (
        f"no autoguidance: the run's weights are those of update {ends}, which is not clearly "
        "after the weaker model's"
    )
    return config.model_copy(update={"autoguidance": 1.0, "reasons": [*config.reasons, why]})


def autoguided(config: Config) -> str:
    """In words: how strong, and between which times unless between all."""
    low, high = config.interval
    some = f" for t from {low:g} to {high:g}" if (low, high) != (0, 1) else ""
    return f"{config.autoguidance:g}" + (some if config.autoguidance != 1 else "")


def checked_away(run: pathlib.Path, away: float) -> float:
    """A strength of autoguidance that this run can be sampled with.

    Raises: ArgumentError below 1, or where the run has no weaker model to turn away from.
    """
    if not away >= 1 or math.isinf(away):
        raise ArgumentError(f"autoguidance is a number, 1 (none) or more; got {away!r}")
    if away != 1 and FILE not in files.listed(run):
        raise ArgumentError(
            f"autoguidance={away:g} turns away from an early state of the model, and this run "
            "stored none; fit it with --set train.weaker=0.07"
        )
    return away


def read(run: pathlib.Path, like: Model) -> Model | None:
    """The weaker model of a finished run, built as `like`; None where there is none.

    Raises: RunError where the file does not fit the run's net.
    """
    path = run / FILE
    if FILE not in files.listed(run):
        return None
    files.check_manifest(run, only=(FILE,))
    tensors = files.read_tensors(path)
    if tensors.pop(STEP, None) is None:
        raise RunError(f"{path} does not say when it was taken; it was altered")
    files.check_fit(like, tensors, path)
    weaker = copy.deepcopy(like)
    weaker.load_state_dict(tensors)
    return weaker.eval().requires_grad_(False)
