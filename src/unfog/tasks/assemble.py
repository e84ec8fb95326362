"""From a configuration to live objects: registries make every part by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from unfog.errors import ArgumentError
from unfog.maths.couplings import Independent, couplings
from unfog.maths.discrete import Masking
from unfog.maths.flowmaps import FlowMap, flowmaps
from unfog.maths.grids import grids
from unfog.maths.heads import Categories, Joint
from unfog.maths.jumps import flows
from unfog.maths.paths import paths
from unfog.maths.product import Product
from unfog.maths.states import State
from unfog.maths.targets import first_time, targets
from unfog.maths.times import times
from unfog.maths.weights import weights
from unfog.model.model import Model
from unfog.nets import nets
from unfog.sample.correctors import UNCHANGED, correctors
from unfog.sample.reveal import Ancestral, reveals
from unfog.sample.solvers import solvers
from unfog.sample.solvers.dormand_prince import DormandPrince
from unfog.sample.solvers.euler import Euler
from unfog.sample.solvers.tuned import Tuned
from unfog.tasks.choices import chosen
from unfog.tasks.config import Config
from unfog.tasks.stable import stable
from unfog.train.loop import Objective
from unfog.train.schedule import schedules


@dataclass(frozen=True)
class Sampling:
    """How a model is sampled unless the caller says otherwise."""

    solver: Any
    grid: Any
    steps: int
    eta: float
    corrector: Any
    reveal: Any = field(default_factory=Ancestral)
    tol: float | None = None

    @property
    def jumps(self) -> bool:
        """Whether a flow map's own jumps are what is to be trusted; else it is an ordinary model,
        as every run that is no flow map is either way. A solver that was tuned to a flow map was
        tuned to its jumps.
        """
        return isinstance(self.solver, Euler | Tuned) and self.eta == 0 and self.tol is None


def build_path(config: Config) -> Any:
    """The state's path: the configured one, or a Product with masking paths for categories."""
    path = paths.build(config.path)
    if not config.fields:
        return path
    return Product({n: _member(spec, path, _masking) for n, spec in config.fields.items()})


def build_target(config: Config) -> Any:
    """The state's target: the configured one, or one per field."""
    target = targets.build(config.target)
    if not config.fields:
        return target
    return Joint(
        {n: _member(spec, target, lambda _: Categories()) for n, spec in config.fields.items()}
    )


def _member(spec: dict[str, Any], number: Any, category: Callable[[dict[str, Any]], Any]) -> Any:
    if spec.get("type") not in ("number", "category"):
        raise ArgumentError(f"a field is of type number or category; got {spec}")
    return number if spec["type"] == "number" else category(spec)


def _masking(spec: dict[str, Any]) -> Masking:
    return Masking(tuple(spec["sizes"]))


def blank(config: Config, count: int, device: torch.device | str = "cpu") -> State:
    """A state of zeros, (count, *shape) or a dict of these: what priors and rehearsals take."""
    if not config.fields:
        return torch.zeros(count, *config.shape, device=device)
    return {
        name: torch.zeros(count, spec["size"], device=device)
        if spec["type"] == "number"
        else torch.zeros(count, len(spec["sizes"]), dtype=torch.long, device=device)
        for name, spec in config.fields.items()
    }


def entries(config: Config) -> int:
    """How many numbers and categories one state holds."""
    state = blank(config, 1)
    return sum(v.numel() for v in (state.values() if isinstance(state, dict) else [state]))


def build_model(config: Config) -> Model:
    """A freshly initialised model; its weights depend on the seed only."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        net = nets.build(config.net) if "name" in config.net else None
    if net is None:
        raise ArgumentError(f"the net has no name: {config.net}")
    return Model(
        net,
        build_path(config),
        build_target(config),
        sigma_data=config.sigma_data,
        precision=config.train.precision,
    )


def build_objective(config: Config) -> Objective:
    """What training minimises. Raises ArgumentError for a coupling that wants its own source."""
    coupling = couplings.build(config.coupling)
    drawn = config.reflow is not None and config.reflow.pairs is not None
    if coupling.needs_source and not drawn:
        raise ArgumentError(
            f"coupling {config.coupling['name']!r} pairs data with a source that comes with it, "
            "which fit does not read yet; use independent, optimal_transport or sinkhorn"
        )
    if config.fields and not isinstance(coupling, Independent):
        raise ArgumentError(
            f"coupling {config.coupling['name']!r} pairs noise with one tensor; a state of fields "
            "has masks too: leave the coupling independent"
        )
    return Objective(
        times=times.build(config.times),
        weight=weights.build(config.weight),
        coupling=None if isinstance(coupling, Independent) else coupling,
        dropout=config.train.dropout,
        flowmap=None if config.flowmap is None else _flowmap(config),
        stable=stable(config),
    )


def _flowmap(config: Config) -> FlowMap:
    """Raises ArgumentError where states, net or target can't be those of a flow map."""
    content = {"name": None} if config.flowmap is None else config.flowmap
    found: FlowMap = flowmaps.build(content)
    target = targets.build(config.target)
    if not flows(build_path(config)):
        raise ArgumentError(
            "a flow map moves numbers, and this data has categories only, which are revealed and "
            "do not flow: take recipe flow, and more --steps or another --reveal when sampling"
        )
    if not config.net.get("two_times", False):
        raise ArgumentError(
            "a flow map needs a net that is told two times; leave net.two_times out, or take "
            "recipe flow"
        )
    if target.parts > 1:
        raise ArgumentError(
            f"a flow map answers where its flow leads and learns no variance; target "
            f"{config.target['name']!r} has one: take velocity or v"
        )
    if config.net.get("dropout", 0):
        raise ArgumentError("flow maps are trained without dropout of units; set net.dropout=0")
    if config.train.shard == "fsdp":
        raise ArgumentError("flow maps need whole weights in every process; use train.shard=ddp")
    return found


def build_schedule(config: Config) -> Any:
    return schedules.build(config.schedule)


def build_sampling(config: Config, **choices: Any) -> Sampling:
    """The run's own sampling with the caller's choices on top; None means no choice.

    Args:
        choices: solver, grid, corrector, reveal (names, with options as in "unipc:order=4"),
            steps, eta, tol.
    """
    path, target = paths.build(config.path), targets.build(config.target)
    named = {name: value for name, value in choices.items() if value is not None}
    solver = solvers.build(chosen(named.get("solver", config.solver)))
    corrector = correctors.build(chosen(named.get("corrector", config.corrector)))
    grid = chosen(named.get("grid", config.grid))
    grid["start"] = min(grid.get("start", 1.0), first_time(target, path))
    steps = config.sampling_steps if choices.get("steps") is None else choices["steps"]
    # a solver made for fresh noise brings its share of it where it is asked for by name
    usual = getattr(solver, "eta", config.eta) if "solver" in named else config.eta
    eta = named.get("eta", usual)
    if not isinstance(steps, int) or not 1 <= steps <= 100_000:
        raise ArgumentError(f"steps is a whole number from 1 to 100000; got {steps!r}")
    if not 0 <= eta <= 1:
        raise ArgumentError(f"eta lies in [0, 1], 0 = deterministic and 1 = ancestral; got {eta!r}")
    tol = named.get("tol")
    reveal = reveals.build(chosen(named.get("reveal", config.reveal)))
    if tol is not None:
        _check_tol(named)
        eta, corrector = 0.0, UNCHANGED
        if "reveal" not in named:  # steps are tried again, entry by entry
            reveal = Ancestral()
    return Sampling(solver, grids.build(grid), steps, eta, corrector, reveal, tol)


def _check_tol(named: dict[str, Any]) -> None:
    """Raise ArgumentError where what is asked for does not go with steps of their own length."""
    if not isinstance(named["tol"], float | int) or not 0 < named["tol"] < 1:
        raise ArgumentError(f"tol lies in (0, 1), for example 1e-3; got {named['tol']!r}")
    solver = chosen(named.get("solver", "dormand_prince"))["name"]
    if named.get("eta") or solvers[solver] is not DormandPrince:
        raise ArgumentError(
            "tol follows the flow with dormand_prince and steps of their own length; leave out "
            "solver and eta"
        )
    for name in ("steps", "grid", "corrector"):
        if name in named and named[name] != "none":
            raise ArgumentError(f"tol chooses its own times; leave out {name}")


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
