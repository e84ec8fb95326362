"""Objectives of flow maps against a mixture's exact flow: `python benchmarks/flowmaps_exact.py`.

Every objective is distilled from the exact predictor for the same number of updates of one small
net, once with exact derivatives where it has any, once with differences. Prints, per row, the root
mean square distance to where the exact flow lands, after 1, 2 and 4 jumps from the same noise, and
how far two jumps are from one, over the state's size.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from torch import Tensor

from unfog.maths.flowmaps import flowmaps
from unfog.maths.grids import AngleGrid
from unfog.maths.paths import Linear
from unfog.maths.randomness import BatchRng
from unfog.maths.targets import Velocity
from unfog.maths.times import Angle
from unfog.maths.truth import Mixture
from unfog.maths.weights import Unit
from unfog.model.ema import Ema
from unfog.model.model import Model
from unfog.nets import nets
from unfog.sample.loop import sample
from unfog.sample.solvers import solvers
from unfog.train.batches import Batches
from unfog.train.loop import Objective, train
from unfog.train.optim import adamw
from unfog.train.schedule import CosineFall, Horizon

MIXTURE = Mixture(
    torch.tensor([[1.2, 0.3], [-1.0, 0.8], [0.0, -1.2]]),
    torch.tensor([0.3, 0.25, 0.35]),
    torch.tensor([0.4, 0.3, 0.3]),
)
PATH = Linear()
ROWS: list[tuple[str, dict[str, Any]]] = [
    ("progressive", {}),
    ("progressive", {"middle": True}),
    ("shortcut", {}),
    ("consistency", {}),
    ("mean_flow", {}),
    ("mean_flow", {"step": 0.0}),
    ("continuous_consistency", {}),
    ("continuous_consistency", {"step": 0.0}),
    ("lagrangian", {}),
    ("lagrangian", {"step": 0.0}),
]


def learnt(name: str, options: dict[str, Any], steps: int, seed: int) -> Model:
    exact = MIXTURE.predictor(PATH)
    data = MIXTURE.draw(20_000, rng=BatchRng(1))
    torch.manual_seed(seed)
    net = nets.make("mlp", shape=[2], width=96, depth=3, two_times=True)
    model = Model(net, PATH, Velocity())
    ema: Ema[Model] = Ema(model, 0.1)
    objective = Objective(
        times=Angle(),
        weight=Unit(),
        flowmap=flowmaps.make(name, **options),
        teacher=lambda cond, keep: exact,
    )
    for _ in train(
        model,
        Batches(len(data), 256, seed, lambda index: (data[torch.from_numpy(index)], {})),
        adamw(model, lr=2e-3),
        objective,
        CosineFall(),
        horizon=Horizon(steps),
        seed=seed,
        ema=ema,
    ):
        pass
    return ema.model


def end(predict: Any, solver: str, z: Tensor, steps: int) -> Tensor:
    """Where sampling lands."""
    cut = AngleGrid()(PATH, steps)
    *_, last = sample(predict, PATH, solvers.make(solver), z, cut, rng=BatchRng(0))
    found: Tensor = last.x
    return found


def size(v: Tensor) -> float:
    return float(v.square().mean().sqrt())


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--updates", type=int, default=500)
    words.add_argument("--seed", type=int, default=0)
    asked = words.parse_args()
    torch.set_num_threads(1)
    z = PATH.prior(torch.zeros(4000, 2), rng=BatchRng(5))
    wanted = end(MIXTURE.predictor(PATH), "heun", z, 200)
    x_t = PATH.corrupt(MIXTURE.draw(4000, rng=BatchRng(6)), torch.tensor(0.8), rng=BatchRng(7)).x_t
    print("| objective | options | CPU s | 1 | 2 | 4 | two jumps against one |")
    print("|---|---|---|---|---|---|---|")
    for name, options in ROWS:
        begun = time.process_time()
        model = learnt(name, options, asked.updates, asked.seed).requires_grad_(False)
        spent = time.process_time() - begun

        def jump(x: Tensor, t: float, s: float, model: Model = model) -> Tensor:
            at, to = torch.tensor(t), torch.tensor(s)
            found: Tensor = PATH.move(x, model.predict(x, at, None, to), at, to)
            return found

        away = [size(end(model.bind(None), "euler", z, k) - wanted) for k in (1, 2, 4)]
        apart = size(jump(jump(x_t, 0.8, 0.5), 0.5, 0.2) - jump(x_t, 0.8, 0.2)) / size(x_t)
        said = ", ".join(f"{k}={v}" for k, v in options.items())
        cells = " | ".join(f"{v:.3f}" for v in away)
        print(f"| {name} | {said} | {spent:.0f} | {cells} | {apart:.3f} |", flush=True)


if __name__ == "__main__":
    main()
