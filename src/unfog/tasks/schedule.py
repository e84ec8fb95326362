"""Times fitted to the data: every step of sampling adds about the same error, or all together the
least.

Four things can be measured. "landing": how far samples end from where the flow takes their noise,
which is made small itself. The others are made even. "prediction": how what the trained net
predicts changes along its own trajectories, which needs no data. "posterior": the same for the
exact posterior of the data, each item a narrow bell, which needs no net: `fit --set times=fitted
--set grid=fitted` measures that before it trains. "loss": how much of the data is still unknown at
each time, by the net's error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import ArgumentError, DataError
from unfog.maths.affine import Affine
from unfog.maths.grids import grids
from unfog.maths.paths import paths
from unfog.maths.product import fieldwise
from unfog.maths.randomness import mix
from unfog.maths.states import State, each, lead
from unfog.maths.truth import Mixture
from unfog.model import files
from unfog.sample.randomness import SampleRng
from unfog.sample.schedule import Course, clock_of, evened, followed, step_errors
from unfog.sample.solvers.angles import time_at
from unfog.sample.solvers.threestep import ThreeStep
from unfog.tasks import calibrate, runfolder, tuning
from unfog.tasks.assemble import build_sampling, entries
from unfog.tasks.config import Config
from unfog.tasks.ends import straight
from unfog.tasks.landed import FINE, PATHS, UNFITTED, Lander, net_course

if TYPE_CHECKING:
    from unfog.sample.marginals import Marginals
    from unfog.tasks.trained import Trained

MEASURES = ("landing", "prediction", "posterior", "loss")
BUDGET = 120.0
CENTRES, NUMBERS = 256, 400_000
MANY, VALUES = 192, 50_000
"""Trajectories at most, and numbers in all of them together."""
MOST = 24
"""Steps that times are fitted for at most; a fine grid of many more would be needed for more."""


@dataclass(frozen=True)
class Schedule:
    """Fitted times.

    Attributes:
        knots: falling times; equal shares of what is measured lie between them.
        worst: largest step's error over the mean one, on other trajectories than those fitted to;
            of the fitted times, and of unfitted ones by name.
        fields: field -> error of each step at these times; one field, "", of plain states.
        landed: of "landing", the distance at the end over the samples' spread, on other
            trajectories; of the fitted times, and of unfitted ones and the run's by name.
    """

    measure: str
    knots: tuple[float, ...]
    worst: dict[str, float]
    fields: dict[str, tuple[float, ...]]
    landed: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.landed:
            others = ", ".join(f"{n} {v:.3g}" for n, v in self.landed.items() if n != "fitted")
            return (
                f"{len(self.knots) - 1} times fitted by landing: samples end "
                f"{self.landed['fitted']:.3g} of their spread from where the flow does ({others})"
            )
        unfitted = ", ".join(f"{n} {v:.2f}" for n, v in self.worst.items() if n != "fitted")
        said = f"{len(self.knots) - 1} times fitted by {self.measure}: the largest step's error is "
        return f"{said}{self.worst['fitted']:.2f} times the mean one ({unfitted})"

    def to_json(self) -> dict[str, Any]:
        return {
            "measure": self.measure,
            "knots": list(self.knots),
            "worst": self.worst,
            "fields": {name: list(values) for name, values in self.fields.items()},
            "landed": self.landed,
        }


@torch.no_grad()
def fit_schedule(
    model: Trained,
    measure: str | None = None,
    *,
    steps: int | None = None,
    seed: int = 0,
    budget: float = BUDGET,
    write: bool = True,
    show: bool | None = None,
) -> Schedule:
    """Fit the times of a run's sampling and make them its own.

    Args:
        measure: one of `MEASURES`; posterior and loss need the run's own data, landing a state that
            is all numbers. Where None landing, or prediction where there are categories.
        steps: how many the times are fitted for; the run's own number, at most 24, where None.
            With other numbers the same curve is cut more finely or coarsely.
        budget: seconds that landing may search for, at most.
        write: whether the run folder's configuration gets the times.
        show: a progress bar while landing searches; where None, on a terminal.
    Raises: ArgumentError for an unknown measure, or landing with categories; DataError where the
        data is gone.
    """
    plain = straight(model)
    measure = measure or ("landing" if plain else "prediction")
    if measure not in MEASURES:
        raise ArgumentError(f"measure is one of {', '.join(MEASURES)}; got {measure!r}")
    if measure == "landing" and not plain:
        raise ArgumentError(
            "landing follows each sample to its end, and categories are drawn by chance on the "
            "way; take --measure prediction"
        )
    steps = min(model.config.sampling_steps, MOST) if steps is None else steps
    if not isinstance(steps, int) or not 2 <= steps <= FINE // 3:
        raise ArgumentError(f"steps lie between 2 and {FINE // 3}; got {steps!r}")
    how = build_sampling(model.config, solver=model.config.solver, grid="angle", steps=steps)
    start, path = how.grid.start, model.net.path
    states = None if measure in ("landing", "prediction") else states_of(model)
    landed: dict[str, float] = {}
    lander = Lander(model, seed) if measure == "landing" else None
    number = _number(entries(model.config)) if lander is None else PATHS
    courses = [
        _course(model, measure, states, SampleRng(mix(seed, 53 + part), range(number)))
        for part in ((0, 1) if lander is None else (1,))
    ]
    if measure == "loss":
        assert states is not None
        cut = _by_loss(model, states, steps, start, seed)
    elif lander is None:
        cut, _ = evened(courses[0], how.solver, steps, start=start)
    else:
        cut, landed = lander.fit(steps, budget=budget, show=show)
    worst = {}
    fields: dict[str, Tensor] = {}
    for name in ("fitted", *UNFITTED):
        times = cut if name == "fitted" else grids.make(name, start=start)(path, steps)
        parts = step_errors(courses[-1], how.solver, times)
        added = torch.stack(list(parts.values())).mean(0)
        worst[name] = round(float(added.max() / added.mean()), 3)
        fields = parts if name == "fitted" else fields
    told = {n: tuple(v.tolist()) for n, v in fields.items()}
    found = Schedule(measure, tuple(cut.tolist()), worst, told, landed)
    if write:
        _write(model, found)
    return found


def _number(size: int) -> int:
    """How many trajectories, by the numbers in a state."""
    return max(PATHS, min(MANY, VALUES // size))


def states_of(model: Trained) -> State:
    """The run's training states. Raises DataError where its data is gone."""
    from unfog.tasks.evaluate import training_data
    from unfog.tasks.stored import encoded

    return encoded(training_data(model), model.splits, model.borders)[0]


def _write(model: Trained, found: Schedule) -> None:
    """Make the times the run's own, in memory and in its folder."""
    grid = {"name": "fitted", "knots": list(found.knots)}
    config, folder = model.config, model.folder
    plain = None if config.plain is None else config.plain.model_copy(update={"grid": grid})
    update = {"grid": grid, "plain": plain, "reasons": [*config.reasons, str(found)]}
    config = config.model_copy(update=update)
    model.config = config
    if model.marginals is not None:  # they were measured at the old times
        model.marginals = _marginals(model)
    config = model.config
    (folder / files.MANIFEST).unlink()
    files.write_json(folder / "config.json", config.to_json())
    (folder / calibrate.FILE).unlink(missing_ok=True)
    if model.marginals is not None:
        calibrate.write(folder, model.marginals, config.plain_steps)
    runfolder.sign(folder)
    if model.tunings:
        tuning.write(folder, model.tunings)  # it has times of its own


def _marginals(model: Trained) -> dict[int, Marginals] | None:
    """Measured at the run's times as they are now; None, with a reason, where the data is gone."""
    try:
        states = states_of(model)
    except DataError as error:
        said = f"marginals are no longer calibrated: the times are others, and {error}"
        reasons = [*model.config.reasons, said]
        model.config = model.config.model_copy(update={"reasons": reasons})
        return None
    return calibrate.calibrate(model, states, show=False)


def _course(model: Trained, measure: str, states: State | None, rng: SampleRng) -> Course:
    """Fine trajectories of the net, or of the exact posterior of these states."""
    if measure == "posterior":
        assert states is not None
        return of_data(clock_of(model.net.path), states, rng)
    return net_course(model, rng)


def of_data(path: Affine, states: State, rng: SampleRng) -> Course:
    """Fine trajectories of the exact posterior of data, numbers alone.

    Every one of a few items stands for a bell whose deviation is the distance to its neighbours,
    so that the posterior does not end in single items.
    """
    fields = states.values() if isinstance(states, dict) else [states]
    numbers = [v.flatten(1).double() for v in fields if v.is_floating_point()]
    if not numbers:
        raise ArgumentError("the state has no numbers to fit times to; leave times and grid as is")
    data = torch.cat(numbers, 1)
    picked = np.random.default_rng(mix(rng.seed, 61)).permutation(len(data))
    picked = picked[: max(16, min(CENTRES, NUMBERS // data.shape[1]))]
    data = data[torch.from_numpy(picked)]
    if len(data) < 4:
        raise DataError(f"{len(data)} items are too few to fit times to; at least 4 are needed")
    apart = torch.cdist(data, data).fill_diagonal_(torch.inf).min(1).values
    size = float(apart.median()) / data.shape[1] ** 0.5
    count = len(data)
    truth = Mixture(
        data, data.new_full((count,), max(size, 1e-3)), data.new_full((count,), 1 / count)
    )
    cut = grids.make("angle")(path, FINE)
    like = data.new_zeros(len(rng.indices), data.shape[1])
    z = path.prior(like, rng=rng)
    return followed(truth.predictor(path), path, ThreeStep(), z, cut, rng=rng)


def _by_loss(model: Trained, states: State, steps: int, start: float, seed: int) -> Tensor:
    """Times at even shares of the net's error, which rises from data to noise."""
    path, rng = model.net.path, SampleRng(mix(seed, 67), range(min(256, len(lead(states)))))
    x = each(lambda v: v[: len(rng.indices)].to(model.device), states)
    clock = clock_of(path)
    first = float(clock.angle(torch.tensor(start, dtype=torch.float64)))
    angles = np.linspace(0, first, FINE + 1)[1:]
    errors = [0.0]
    for u in angles:
        t = torch.tensor(time_at(clock, float(u)), dtype=torch.float64)
        x_hat = model.net.predict(path.corrupt(x, t, rng=rng.at(1)).x_t, t)
        apart = fieldwise(
            path,
            lambda member, a, b: (
                float((a - b).double().square().mean().sqrt())
                if isinstance(member, Affine)
                else None
            ),
            x_hat,
            x,
        )
        parts = apart.values() if isinstance(apart, dict) else [apart]
        errors.append(float(np.mean([v for v in parts if v is not None])))
    risen = np.maximum.accumulate(errors) + 1e-3 * np.linspace(0, errors[-1], FINE + 1)
    levels = np.linspace(risen[-1], 0, steps + 1)
    cut = np.interp(levels, risen, [0.0, *angles])
    times = [start, *(time_at(clock, float(u)) for u in cut[1:-1]), 0.0]
    return torch.tensor(times, dtype=torch.float64)


def fitted_to(config: Config, states: State) -> Config:
    """The configuration with its fitted times and grid measured on the data, where it asks for
    these and says no knots.
    """
    empty = [
        part
        for part in ("times", "grid")
        if getattr(config, part)["name"] == "fitted" and not getattr(config, part).get("knots")
    ]
    if not empty:
        return config
    how = build_sampling(config, steps=config.sampling_steps)
    path = paths.build(config.path)
    rows = range(_number(entries(config)))
    course = of_data(path, states, SampleRng(mix(config.seed, 71), rows))
    steps = min(config.sampling_steps, MOST)
    cut, added = evened(course, how.solver, steps, start=how.grid.start)
    said = (
        f"{' and '.join(empty)} fitted to the posterior of {CENTRES} items at most: the largest "
        f"step's error is {float(added.max() / added.mean()):.2f} times the mean one"
    )
    knots = {"name": "fitted", "knots": cut.tolist()}
    update: dict[str, Any] = {part: {**getattr(config, part), **knots} for part in empty}
    return config.model_copy(update={**update, "reasons": [*config.reasons, said]})
