"""Tune a run's sampling: what every number of calls misses, and solvers fitted to the model.

Errors are against reference samples of the model itself, from the same noise. Where all of the
state follows an ordinary differential equation, the distance of every sample from where the flow
takes its noise, over the samples' spread. Where categories are drawn on the way, samples of equal
noise part, so clouds are compared; no solver is fitted there, but solver and grid are chosen.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.maths.states import State
from unfog.sample.loop import sample
from unfog.sample.randomness import SampleRng
from unfog.sample.tuning import Reference
from unfog.sample.tuning import tune as fit_solver
from unfog.tasks import tuning
from unfog.tasks.assemble import blank, build_sampling, entries
from unfog.tasks.ends import FINE, SEED, Ends, fine, straight
from unfog.tasks.generate import away_of
from unfog.tasks.predictor import guided
from unfog.tasks.show import bar
from unfog.tasks.tuning import Entry, Tuning

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

CALLS = range(3, 17)
TABLE, QUICK = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32), (1, 2, 4, 8, 16, 32)
LOOKED, CLOUD, VALUES = 64, 512, 4096
"""Samples that errors are measured on, one by one and as clouds."""
SOLVER = {"name": "unipc"}
GRIDS = ({"name": "linear"}, {"name": "angle"}, {"name": "shifted", "shift": 1.5})


@torch.no_grad()
def tune(
    model: Trained,
    calls: Sequence[int] = CALLS,
    *,
    given: dict[str, Any] | None = None,
    scale: float | None = None,
    trajectories: int | None = None,
    budget: float = 180.0,
    seed: int = SEED,
    show: bool | None = None,
) -> Tuning:
    """Measure the run's sampling errors, fit a solver for each number of calls, and store both.

    Args:
        calls: numbers of calls to fit a solver for.
        given, scale: tune for requests with conditions at this guidance; `given` as for `sample`
            of as many samples as there are trajectories of both sorts. Without it, for requests
            without.
        trajectories: that solvers are fitted to, half as many others choose; where None 64, and
            more of states of few numbers, which say less each.
        budget: seconds for the fitting, shared out among the numbers of calls.
    Raises: ArgumentError for calls outside 1 to 64, too few trajectories, conditions that are
        missing.
    """
    counts = sorted(set(calls))
    if not counts or not all(isinstance(n, int) and 1 <= n <= FINE for n in counts):
        raise ArgumentError(f"calls are whole numbers from 1 to {FINE}; got {list(calls)!r}")
    trajectories = enough(model) if trajectories is None else trajectories
    if trajectories < 8:
        raise ArgumentError(f"at least 8 trajectories are needed; got {trajectories}")
    if scale is not None and not given:
        raise ArgumentError("a guidance scale needs conditions: name some with given")
    begun = time.monotonic()
    away = away_of(model, {"scale": scale})
    scale = model.config.scale if scale is None else scale
    held = trajectories // 2
    cond = None
    if given:
        cond = model.borders.given.encode(given, trajectories + held)
        cond = {name: value.to(model.device) for name, value in cond.items()}
    parts = [range(trajectories), range(trajectories, trajectories + held)]
    work = [float(n) for n in counts]
    with bar("tuning", 1.0, show=show) as line:
        solvers: dict[int, list[tuning.RowPart]] = {}
        if straight(model):
            fitted, others = (reference(model, rows, cond, scale, away, seed) for rows in parts)
            line.to(0.05, "reference trajectories")
            left = budget
            for place, count in enumerate(counts):
                now = time.monotonic()
                share = left * work[place] / sum(work[place:])
                starts = _starts(model, count, solvers.get(count - 1))
                solver, _ = fit_solver(fitted, others, starts, until=now + share)
                solvers[count] = tuning.stored_rows(solver)
                left -= time.monotonic() - now
                line.to(0.05 + 0.85 * sum(work[: place + 1]) / sum(work), f"{count} calls")
        found = _table(model, TABLE, counts, solvers, given, scale, away, seed + 1, line)
    found = found.model_copy(update={"seconds": round(time.monotonic() - begun, 2)})
    kept = [t for t in model.tunings if not t.fits(found.guided, found.away)]
    model.tunings = [*kept, found]
    tuning.write(model.folder, model.tunings)
    return found


def enough(model: Trained) -> int:
    """Trajectories that determine the hundred numbers of a solver, by the numbers in a state."""
    return max(LOOKED, min(CLOUD, VALUES // entries(model.config)))


def measured(
    model: Trained, guided: float | None, away: float, given: dict[str, Any] | None
) -> Tuning:
    """The stored errors for such requests; else those of a few quick draws, kept in memory."""
    for known in (*model.tunings, *model.quick):
        if known.fits(guided, away):
            return known
    if guided is not None and given is not None:
        return measured(model, None, away, None)  # the plain ones are the nearest that is known
    found = _table(model, QUICK, (), {}, None, model.config.scale, away, SEED + 1, None)
    model.quick = [*model.quick, found]
    return found


def _starts(model: Trained, count: int, fewer: list[tuning.RowPart] | None) -> list[list[float]]:
    """Times to begin from: even in t, in the angle, the run's own, those fitted to a call less."""
    own = {name: value for name, value in model.config.grid.items() if name != "start"}
    grids = [*GRIDS, *([own] if own not in GRIDS else [])]
    if fewer:
        grids.append({"name": "fitted", "knots": (*(row.t for row in fewer), 0.0)})
    found: list[list[float]] = []
    for grid in grids:
        how = build_sampling(model.config, grid=grid, steps=count)
        cut = how.grid(model.net.path, count)
        if bool((cut.diff() < 0).all()) and cut[:-1].tolist() not in found:
            found.append(cut[:-1].tolist())
    return found


def reference(
    model: Trained,
    rows: range,
    cond: dict[str, Tensor] | None,
    scale: float,
    away: float,
    seed: int,
) -> Reference:
    """Trajectories of the model on a fine grid, of the samples `rows` of this seed.

    Args:
        cond: of all samples.     scale, away: of guidance by it, and of autoguidance.
    """
    mine = None if cond is None else {n: v[rows.start : rows.stop] for n, v in cond.items()}
    predict = guided(
        model.net, mine, scale,
        weaker=model.weaker_at(away), away=away, interval=model.config.interval,
    )  # fmt: skip
    how = build_sampling(model.config, **fine(model), eta=0.0, corrector="none")
    path, rng = model.net.path, SampleRng(seed, rows)
    cut = how.grid(path, how.steps)
    states: list[State] = [path.prior(blank(model.config, len(rows), model.device), rng=rng)]
    for step in sample(predict, path, how.solver, states[0], cut, rng=rng):
        states.append(step.x)
    return Reference(predict, path, cut, tuple(states))


def _table(
    model: Trained,
    stock: Sequence[int],
    counts: Sequence[int],
    solvers: dict[int, list[tuning.RowPart]],
    given: dict[str, Any] | None,
    scale: float,
    away: float,
    seed: int,
    line: Any,
) -> Tuning:
    """Errors of stock solvers and of tuned ones, on noise that nothing was fitted to."""
    number = _rows(given, enough(model)) if given else (enough(model) if straight(model) else CLOUD)
    ends = Ends(model, number, given=given, scale=scale, away=away, seed=seed)
    found = Tuning(
        guided=scale if given else None,
        away=away,
        measure=ends.measure,
        floor=ends.floor(),
        trajectories=number,
        entries=[],
        solvers=solvers,
    )
    ways = _ways(model, quick=not counts)
    tried: list[tuple[int, int, dict[str, Any], dict[str, Any]]] = []
    for calls in sorted({*stock, *counts}):
        for solver, grid, each_step in ways:
            if calls % each_step == 0:
                tried.append((calls, calls // each_step, solver, grid))
    tried += [(n, n, {"name": "tuned"}, {"name": "fitted"}) for n in solvers]
    entries = []
    for place, (calls, steps, solver, grid) in enumerate(tried):
        tuned = solver["name"] == "tuned"
        how = {
            "solver": found.solver(steps) if tuned else solver,
            "grid": found.grid(steps) if tuned else grid,
            "steps": steps,
        }
        off = ends.error(ends.draw(how).state)
        if math.isfinite(off):
            entries.append(Entry(calls=calls, steps=steps, solver=solver, grid=grid, error=off))
        if line is not None:
            line.to(0.9 + 0.1 * place / len(tried), "errors")
    return found.model_copy(update={"entries": entries, "solvers": _kept(entries, solvers)})


def _kept(
    entries: list[Entry], solvers: dict[int, list[tuning.RowPart]]
) -> dict[int, list[tuning.RowPart]]:
    """The tuned solvers that are better than all stock ones; the entries of others go too."""
    for steps in list(solvers):
        mine = next((e for e in entries if e.tuned and e.steps == steps), None)
        others = [e.error for e in entries if not e.tuned and e.calls <= steps]
        if mine is None or mine.error >= min(others, default=math.inf):
            solvers = {n: rows for n, rows in solvers.items() if n != steps}
            if mine is not None:
                entries.remove(mine)
    return solvers


def _ways(model: Trained, *, quick: bool) -> list[tuple[dict[str, Any], dict[str, Any], int]]:
    """(solver, grid, calls per step) of what is tried: the run's own, and a few good ones."""
    own = {name: value for name, value in model.config.grid.items() if name != "start"}
    pairs = [(model.config.solver, own), (SOLVER, GRIDS[0]), (SOLVER, own)]
    if not quick:
        pairs += [(SOLVER, grid) for grid in GRIDS]
    if model.config.flowmap is not None:
        pairs = [(model.config.solver, own), (model.config.solver, GRIDS[0])]
    found: list[tuple[dict[str, Any], dict[str, Any], int]] = []
    for solver, grid in pairs:
        how = build_sampling(model.config, solver=solver, grid=grid, steps=4)
        falls = bool((how.grid(model.net.path, 4).diff() < 0).all())
        if falls and (solver, grid, how.solver.calls) not in found:
            found.append((solver, grid, how.solver.calls))
    return found


def _rows(given: dict[str, Any], most: int) -> int:
    """How many samples conditions are for."""
    lengths = [len(v) for v in given.values() if isinstance(v, list)]
    return min([most, *lengths])


def describe(how: dict[str, Any]) -> str:
    """A solver or grid with its options, as --solver takes it.

    >>> describe({"name": "unipc", "order": 4})
    'unipc:order=4'
    """
    options = ",".join(f"{name}={value}" for name, value in how.items() if name != "name")
    return f"{how['name']}:{options}" if options else str(how["name"])


def table(found: Tuning) -> str:
    """The errors as a table for people."""
    lines = [f"error by calls, {tuning.MEASURES[found.measure]}", ""]
    if found.floor:
        lines[0] += f" (two equally good sets: {found.floor:.3g})"
    lines.append(f"{'calls':>5}  {'tuned':>8}  {'untuned':>8}  best untuned")
    for calls in sorted({entry.calls for entry in found.entries}):
        there = [entry for entry in found.entries if entry.calls == calls]
        stock = min((e for e in there if not e.tuned), key=lambda e: e.error)
        mine = next((f"{e.error:8.4f}" for e in there if e.tuned), f"{'':8}")
        way = f"{describe(stock.solver)} on {describe(stock.grid)}"
        lines.append(f"{calls:5d}  {mine}  {stock.error:8.4f}  {way}")
    return "\n".join(lines)
