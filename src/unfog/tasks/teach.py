"""The objective of a run with its teacher, where it learns the flow of another run."""

from __future__ import annotations

import functools
import pathlib
from dataclasses import dataclass, replace

import torch

from unfog.maths.states import State
from unfog.model.model import Cond, Model, Predictor
from unfog.tasks.assemble import build_objective
from unfog.tasks.config import Config
from unfog.tasks.load import load
from unfog.tasks.predictor import guided
from unfog.tasks.start import begun
from unfog.tasks.trained import Trained
from unfog.train.loop import Objective


@dataclass(frozen=True)
class Guided:
    """A teacher: condition -> predictor, guided as it is to be learnt.

    Args:
        net: a trained model.     scale: of guidance, 1 = its conditional prediction unchanged.
        weaker, away: its earlier state, and the strength of guidance away from that.
        interval: times between which that guidance acts.
    """

    net: Model
    scale: float = 1.0
    weaker: Model | None = None
    away: float = 1.0
    interval: tuple[float, float] = (0.0, 1.0)

    def __call__(self, cond: Cond, keep: State | None = None) -> Predictor:
        predict = guided(
            self.net, cond, self.scale, jumps=False, keep=keep,
            weaker=self.weaker, away=self.away, interval=self.interval,
        )  # fmt: skip
        return torch.no_grad()(predict)


def learning(config: Config, device: torch.device) -> Objective:
    """What training minimises. Raises ArgumentError or RunError where the teacher is another run by
    now.
    """
    objective = build_objective(config)
    if not config.teacher:
        return objective
    told = config.teacher
    found = _teacher(told["run"], told["manifest"], str(device))
    away = told.get("autoguidance", 1.0)
    weaker = found.weaker_at(away)
    teacher = Guided(found.net, told["scale"], weaker, away, found.config.interval)
    return replace(objective, teacher=teacher)


@functools.lru_cache(maxsize=1)  # plans ask for it again and again
def _teacher(run: str, manifest: str, device: str) -> Trained:
    begun({"run": run, "manifest": manifest})
    return load(pathlib.Path(run), device=device)
