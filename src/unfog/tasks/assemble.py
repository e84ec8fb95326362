"""From a configuration to live objects: registries make every part by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from unfog.errors import ArgumentError
from unfog.maths.couplings import Independent, couplings
from unfog.maths.grids import grids
from unfog.maths.paths import paths
from unfog.maths.targets import first_time, targets
from unfog.maths.times import times
from unfog.maths.weights import weights
from unfog.model.model import Model
from unfog.nets import nets
from unfog.sample.solvers import solvers
from unfog.tasks.config import Config
from unfog.train.loop import Objective
from unfog.train.schedule import schedules


@dataclass(frozen=True)
class Sampling:
    """How a model is sampled unless the caller says otherwise."""

    solver: Any
    grid: Any
    steps: int
    eta: float


def build_model(config: Config) -> Model:
    """A freshly initialised model; its weights depend on the seed only."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        net = nets.build(config.net) if "name" in config.net else None
    if net is None:
        raise ArgumentError(f"the net has no name: {config.net}")
    return Model(
        net,
        paths.build(config.path),
        targets.build(config.target),
        sigma_data=config.sigma_data,
        precision=config.train.precision,
    )


def build_objective(config: Config) -> Objective:
    """What training minimises. Raises ArgumentError for a coupling that wants its own source."""
    coupling = couplings.build(config.coupling)
    if coupling.needs_source:
        raise ArgumentError(
            f"coupling {config.coupling['name']!r} pairs data with a source that comes with it, "
            "which fit does not read yet; use independent, optimal_transport or sinkhorn"
        )
    return Objective(
        times=times.build(config.times),
        weight=weights.build(config.weight),
        coupling=None if isinstance(coupling, Independent) else coupling,
        dropout=config.train.dropout,
    )


def build_schedule(config: Config) -> Any:
    return schedules.build(config.schedule)


def build_sampling(config: Config, **choices: Any) -> Sampling:
    """The run's own sampling with the caller's choices on top; None means no choice.

    Args:
        choices: solver (name), grid (name), steps, eta.
    """
    path, target = paths.build(config.path), targets.build(config.target)
    solver = config.solver if choices.get("solver") is None else {"name": choices["solver"]}
    grid = dict(config.grid if choices.get("grid") is None else {"name": choices["grid"]})
    grid["start"] = min(grid.get("start", 1.0), first_time(target, path))
    steps = config.sampling_steps if choices.get("steps") is None else choices["steps"]
    eta = config.eta if choices.get("eta") is None else choices["eta"]
    if not isinstance(steps, int) or not 1 <= steps <= 100_000:
        raise ArgumentError(f"steps is a whole number from 1 to 100000; got {steps!r}")
    if not 0 <= eta <= 1:
        raise ArgumentError(f"eta lies in [0, 1], 0 = deterministic and 1 = ancestral; got {eta!r}")
    return Sampling(solvers.build(solver), grids.build(grid), steps, eta)


def device_of(name: str) -> torch.device:
    """The device called `name`; "auto" takes cuda, then mps, then cpu."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ArgumentError(
            f"unknown device {name!r}; known: auto, cpu, cuda, cuda:0, mps"
        ) from error
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        raise ArgumentError(f"device {name!r} is not here; this machine has cpu; use --device cpu")
    return device
