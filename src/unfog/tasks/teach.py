"""The objective of a run with its teacher, where it learns the flow of another run."""

from __future__ import annotations

import functools
import pathlib
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from unfog.guide.blend import blend
from unfog.maths.states import State
from unfog.model.model import Cond, Model, Predictor
from unfog.tasks.assemble import build_objective
from unfog.tasks.config import Config
from unfog.tasks.load import load
from unfog.tasks.start import begun
from unfog.train.loop import Objective


@dataclass(frozen=True)
class Guided:
    """A teacher: condition -> predictor, guided as it is to be learnt.

    Args:
        net: a trained model.     scale: of guidance, 1 = its conditional prediction unchanged.
    """

    net: Model
    scale: float = 1.0

    def __call__(self, cond: Cond, keep: State | None = None) -> Predictor:
        @torch.no_grad()
        def predict(x_t: State, t: Tensor, s: Tensor | None = None) -> Any:
            asked = self.net.predict(x_t, t, cond, None, keep)
            if cond is None or self.scale == 1:
                return asked
            alone = self.net.predict(x_t, t, None, None, keep)
            return blend(x_t, alone, [asked], [self.scale])

        return predict


def learning(config: Config, device: torch.device) -> Objective:
    """What training minimises. Raises ArgumentError or RunError where the teacher is another run by
    now.
    """
    objective = build_objective(config)
    if not config.teacher:
        return objective
    found = _teacher(config.teacher["run"], config.teacher["manifest"], str(device))
    return replace(objective, teacher=Guided(found, config.teacher["scale"]))


@functools.lru_cache(maxsize=1)  # plans ask for it again and again
def _teacher(run: str, manifest: str, device: str) -> Model:
    begun({"run": run, "manifest": manifest})
    return load(pathlib.Path(run), device=device).net
