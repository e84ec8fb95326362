"""Where a run's own flow takes some noise, and how far other draws from that noise end from it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from unfog.judge.sliced import sliced
from unfog.maths.states import State
from unfog.tasks.generate import Samples, generate
from unfog.tasks.tuning import SHARE, SLICED

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

FINE = 64
"""Steps of the reference."""
SEED = 0x7E5E


def straight(model: Trained) -> bool:
    """Whether all of the state follows an ordinary differential equation."""
    return bool(model.net.path.affine)


def fine(model: Trained) -> dict[str, Any]:
    """How the reference is drawn: the finest way for what the net answers."""
    # a net that answers for the whole step from t to s must not be extrapolated
    mapped = model.config.flowmap is not None
    solver = model.config.solver if mapped else {"name": "threestep"}
    return {"solver": solver, "grid": {"name": "angle"}, "steps": FINE}


class Ends:
    """The ends of `count` noises, and the distance of other draws from them.

    Where all of the state follows an ordinary differential equation, that is the mean distance of
    every sample from where the flow takes its noise. Where categories are drawn on the way, samples
    of equal noise part, so clouds are compared by their sliced distance. Both over the samples'
    spread.

    Args:
        given, scale, away: what requests are conditioned on, and how they are guided.
    """

    def __init__(
        self,
        model: Trained,
        count: int,
        *,
        given: dict[str, Any] | None,
        scale: float | None,
        away: float,
        seed: int,
    ):
        self.model, self.count, self.seed = model, count, seed
        self.asked: dict[str, Any] = {"given": given, "scale": scale, "autoguidance": away}
        self.plain = straight(model)
        self.measure = SHARE if self.plain else SLICED
        self.truth = features(model, self.draw(fine(model)).state)
        self.spread = float(self.truth.std(0).square().mean().sqrt())

    def draw(self, how: dict[str, Any], seed: int | None = None) -> Samples:
        """From the same noise (or that of another seed) without fresh noise on the way."""
        return generate(
            self.model, self.count, **self.asked, seed=self.seed if seed is None else seed,
            eta=0.0, corrector="none", obeying=False, show=False, **how,
        )  # fmt: skip

    def error(self, state: State) -> float:
        """Of states drawn from the same noise; NaN where they are not finite."""
        x = features(self.model, state)
        away = (x - self.truth).square().mean(1).sqrt().mean() if self.plain else None
        return float(_sliced(x, self.truth) if away is None else away) / self.spread

    def floor(self) -> float:
        """The error of other noise, as well drawn; 0 where samples are compared one by one."""
        return 0.0 if self.plain else self.error(self.draw(fine(self.model), self.seed + 1).state)


def features(model: Trained, state: State) -> Tensor:
    """(N, n) float64, categories as ones among zeros."""
    if not isinstance(state, dict):
        return state.flatten(1).double()
    columns = []
    for name, value in state.items():
        spec = model.config.fields[name]
        if spec["type"] == "number":
            columns.append(value.flatten(1).double())
            continue
        for place, size in enumerate(spec["sizes"]):
            columns.append(torch.nn.functional.one_hot(value[:, place], size + 1).double())
    return torch.cat(columns, 1)


def _sliced(x: Tensor, y: Tensor) -> float:
    generator = torch.Generator().manual_seed(SEED)
    scale = math.sqrt(x.shape[1])  # of unit directions, to that of single entries
    return scale * sliced(x.float(), y.float(), generator=generator)
