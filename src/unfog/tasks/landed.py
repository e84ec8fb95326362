"""Times fitted by landing: from which a run's own solver ends nearest to where its flow does."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING

from torch import Tensor

from unfog.maths.randomness import mix
from unfog.sample.landing import TRIES, apart, landing
from unfog.sample.randomness import SampleRng
from unfog.sample.schedule import Course, evened, followed
from unfog.tasks.assemble import blank, build_sampling
from unfog.tasks.generate import away_of
from unfog.tasks.show import bar
from unfog.tasks.tune import enough, reference

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

UNFITTED = ("linear", "angle")
FINE, PATHS = 128, 48
"""Steps and number of the trajectories that even steps are told from."""


class Lander:
    """What times are fitted to, prepared once for all numbers of steps."""

    def __init__(self, model: Trained, seed: int = 0):
        self.model = model
        rows = enough(model)
        parts = [range(rows), range(rows, 2 * rows)]
        away, self.seed = away_of(model, {}), seed
        self.fitting, self.other = (
            reference(model, part, None, model.config.scale, away, mix(seed, 59)) for part in parts
        )
        self.rngs = [SampleRng(mix(seed, 59), part) for part in parts]

    @cached_property
    def course(self) -> Course:
        """Fine trajectories of the net, that even steps are told from."""
        return net_course(self.model, SampleRng(mix(self.seed, 53), range(PATHS)))

    def fit(
        self, steps: int, *, budget: float, show: bool | None = None
    ) -> tuple[Tensor, dict[str, float]]:
        """The times from which samples land nearest, and how far they land from these and others.

        The search begins at the best of all others, and what it finds is taken only where it is
        better than they are on other trajectories.

        Args:
            budget: seconds that it may take.     show: a progress bar.
        """
        begun, model = time.monotonic(), self.model
        own = {name: value for name, value in model.config.grid.items() if name != "start"}
        ways = {"the run's own": own, **{name: {"name": name} for name in UNFITTED}}
        hows = {
            name: build_sampling(model.config, grid=grid, steps=steps, eta=0.0)
            for name, grid in ways.items()
        }
        starts = {name: how.grid(model.net.path, steps) for name, how in hows.items()}
        starts = {name: cut for name, cut in starts.items() if bool((cut.diff() < 0).all())}
        solver, start = hows["the run's own"].solver, float(starts[UNFITTED[0]][0])
        with bar("fitting times", TRIES, show=show) as line:
            starts["even steps"] = evened(self.course, solver, steps, start=start)[0]
            found = landing(
                self.fitting,
                solver,
                [*starts.values()],
                rng=self.rngs[0],
                until=begun + budget,
                tell=line.to,
            )
        starts["fitted"] = found.times
        landed = {n: apart(self.other, solver, cut, rng=self.rngs[1]) for n, cut in starts.items()}
        best = min(landed, key=landed.__getitem__)
        landed["fitted"] = landed[best]
        return starts[best], {name: float(f"{value:.4g}") for name, value in landed.items()}


def net_course(model: Trained, rng: SampleRng) -> Course:
    """Fine trajectories of the net, of the samples that `rng` is of."""
    path, config = model.net.path, model.config
    how = build_sampling(config, solver="threestep", grid="angle", steps=FINE)
    z = path.prior(blank(config, len(rng.indices), model.device), rng=rng)
    cut = how.grid(path, FINE)
    return followed(model.net.bind(None, jumps=False), path, how.solver, z, cut, rng=rng)
