"""Pick how to sample: within so many calls, so much time, or so much error; and say what it is.

    model.sample(64, nfe=6)            the least error within six calls of the net
    model.sample(64, budget="50ms")    the least error within that time, by measured cost
    model.sample(64, tol=0.05)         the fewest calls that are expected to miss less than that
    model.sample(64, steps=6)          the tuned solver where `unfog tune` left one for six calls

Errors come from the run's table (`unfog.tasks.tune`); without one, from a quick measurement at
first use, which a budget does not count. A run that is a flow map has its own way of sampling in
that table, with its own errors, and is picked by the same rule.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from unfog.errors import ArgumentError
from unfog.tasks.choices import chosen
from unfog.tasks.generate import Samples, away_of, generate
from unfog.tasks.tune import describe, measured
from unfog.tasks.tuning import MEASURES, Entry, Tuning

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

ASKED = ("nfe", "budget", "tol", "steps")
OTHER = ("eta", "interval", "corrector", "reveal", "guide", "begin", "held")
"""Choices that make a request another than those that errors were measured on."""
PROBE = (2, 8)
"""Steps of the two draws that tell what a call and what all the rest costs."""
BATCHES = (1, 4, 16, 64, 256)
SPARE = 0.9
"""Of a budget: measured times are not met to the last tenth."""


@dataclass(frozen=True)
class Pick:
    """How samples are drawn, and what to expect.

    Attributes:
        calls: of the net per sample, guidance counted once.     error: in units of `measure`.
        seconds: for all samples; None where nothing was asked about time.
        exact: whether the error was measured on requests like this one.
        beyond: whether it was measured with fewer calls, so that this one has less.
    """

    solver: str
    grid: str
    steps: int
    calls: int
    batch: int | None
    error: float
    measure: str
    exact: bool
    seconds: float | None = None
    beyond: bool = False

    def __str__(self) -> str:
        of = MEASURES[self.measure]
        said = f"{self.solver} solver, {self.calls} calls; "
        said += f"expected error {'below ' if self.beyond else ''}{self.error:.2g} {of}"
        if not self.exact:
            said += " (measured without the conditions or guides of this request)"
        if self.seconds is not None:
            said += f"; about {1000 * self.seconds:.3g} ms"
            said += "" if self.batch is None else f" in batches of {self.batch}"
        return said

    def facts(self) -> dict[str, Any]:
        """For --json."""
        return {
            "solver": self.solver,
            "grid": self.grid,
            "calls": self.calls,
            "beyond": self.beyond,
            "batch": self.batch,
            "expected_error": self.error,
            "measure": self.measure,
            "seconds": self.seconds,
        }


def picked(model: Trained, count: int, choices: Mapping[str, Any]) -> Samples:
    """Samples, drawn as was picked."""
    how, pick = resolve(model, count, choices)
    return replace(generate(model, count, **how), pick=pick)


def resolve(
    model: Trained, count: int, choices: Mapping[str, Any]
) -> tuple[dict[str, Any], Pick | None]:
    """Choices for `generate`, with solver, grid, steps and batch picked where that was asked for.

    Raises: ArgumentError for two limits at once, a budget that no sampling meets, a tuned solver
        that is not there.
    """
    how = {name: value for name, value in choices.items() if value is not None}
    asked = [name for name in ASKED if name in how]
    name = "" if "solver" not in how else chosen(how["solver"])["name"]
    if len(asked) > 1:
        raise ArgumentError(f"{' and '.join(asked)} exclude each other; give one of them")
    nfe, budget = how.pop("nfe", None), how.pop("budget", None)
    limit = nfe is not None or budget is not None or ("tol" in how and not name)
    if limit and (name or "grid" in how):
        raise ArgumentError(
            f"{asked[0]} picks solver and grid; leave them out, or take steps with them"
        )
    like = like_of(model, how, count)
    if not limit:
        return _by_steps(model, count, how, name, like)
    given = how.get("given")
    known = measured(model, like.guided, like.away, given)
    exact = like.plain and known.fits(like.guided, like.away)
    if budget is not None:
        if not like.values:
            raise ArgumentError(
                "ranges, sets and aggregates take tries whose number is not known before, so no "
                "budget can be kept; take nfe, or conditions that are values"
            )
        return _by_budget(model, count, how, known, duration(budget), exact, like)
    if nfe is not None:
        if not isinstance(nfe, int) or nfe < 1:
            raise ArgumentError(f"nfe is a whole number of calls, 1 or more; got {nfe!r}")
        if nfe < like.times:
            often = "twice" if like.times == 2 else f"{like.times} times"
            raise ArgumentError(
                f"guidance asks the net {often} a step, so nfe={nfe} is too few; take "
                f"{like.times} or more, or scale=1, autoguidance=1"
            )
        calls = nfe // like.times
        entry = known.best(calls, stock=not exact or calls > known.most)
        if entry is not None and calls > known.most:
            more = calls * entry.steps // entry.calls
            entry = entry.model_copy(update={"steps": more, "calls": calls})
    else:
        _check_tol(how["tol"])
        entry = known.within(how["tol"], stock=not exact)
        if entry is None:
            return how, None  # finer than was measured: steps of their own length
        del how["tol"]
    return _taken(model, how, known, _some(entry), exact, like)


@dataclass(frozen=True)
class Like:
    """What a request is like.

    Attributes:
        values: conditions, if any, are plain values.     plain: and nothing else is asked.
        guided: the scale, where there are any.     away: the strength of autoguidance.
        times: predictions of a net in each of a solver's calls.
    """

    values: bool
    plain: bool
    guided: float | None
    away: float
    times: int


def like_of(model: Trained, how: Mapping[str, Any], count: int) -> Like:
    from unfog.tasks.constrain import as_it_stands

    given = {n: v for n, v in (how.get("given") or {}).items() if v is not None}
    fields = model.borders.given.fields
    values = all(as_it_stands(fields, name, value, count) for name, value in given.items())
    scale = float(how.get("scale", model.config.scale))
    away = away_of(model, how)
    weaker = 0 if away == 1 else 1
    plain = values and not any(how.get(name) not in (None, "none", 0.0) for name in OTHER)
    if not given:
        return Like(values, plain, None, away, 1 + weaker)
    return Like(values, plain, scale, away, (1 if scale in (0.0, 1.0) else 2) + weaker)


def _by_steps(
    model: Trained, count: int, how: dict[str, Any], name: str, like: Like
) -> tuple[dict[str, Any], Pick | None]:
    """The tuned solver where there is one for these steps and nothing else was chosen."""
    wanted = name == "tuned" and isinstance(how["solver"], str)
    if not wanted and (name or "grid" in how or "steps" not in how or not like.plain):
        return how, None
    known = next((t for t in model.tunings if t.fits(like.guided, like.away)), None)
    steps = how.get("steps", model.config.sampling_steps)
    entry = None if known is None or not like.plain else known.tuned_at(steps)
    if entry is None or known is None:
        if wanted:
            there = sorted(known.solvers) if known is not None else []
            raise ArgumentError(
                f"this run has no tuned solver for {steps} steps of such a request; there is one "
                f"for {there or 'none'}: run `unfog tune`, or leave out solver and guides"
            )
        return how, None
    how.pop("solver", None)
    return _taken(model, how, known, entry, True, like)


def _by_budget(
    model: Trained,
    count: int,
    how: dict[str, Any],
    known: Tuning,
    budget: float,
    exact: bool,
    like: Like,
) -> tuple[dict[str, Any], Pick | None]:
    """The least error that the time allows; of batch sizes the quickest."""
    fitting: list[tuple[float, float, int, Entry]] = []
    least = math.inf
    sizes = [how["batch"]] if "batch" in how else sizes_for(count)
    for size in sizes:
        rest, call = cost(model, size)
        for entry in known.entries:
            if entry.tuned and not exact:
                continue
            seconds = math.ceil(count / size) * (rest + call * entry.calls * like.times)
            least = min(least, seconds)
            if seconds <= SPARE * budget:
                fitting.append((entry.error, seconds, size, entry))
    if not fitting:
        raise ArgumentError(
            f"a budget of {1000 * budget:.4g} ms is too short for {count} samples here: the "
            f"quickest way takes about {1000 * least / SPARE:.3g} ms; give more time or draw fewer"
        )
    _, seconds, size, entry = min(fitting, key=lambda one: one[:2])
    return _taken(model, {**how, "batch": size}, known, entry, exact, like, seconds)


def _taken(
    model: Trained,
    how: dict[str, Any],
    known: Tuning,
    entry: Entry,
    exact: bool,
    like: Like,
    seconds: float | None = None,
) -> tuple[dict[str, Any], Pick]:
    tuned = entry.tuned
    how = {
        **how,
        "solver": known.solver(entry.steps) if tuned else entry.solver,
        "grid": known.grid(entry.steps) if tuned else entry.grid,
        "steps": entry.steps,
    }
    how.setdefault("eta", 0.0)
    how.setdefault("corrector", "none")
    solver, grid = describe(entry.solver), describe(entry.grid)
    calls = entry.calls * like.times
    return how, Pick(
        solver, grid, entry.steps, calls, how.get("batch"), entry.error, known.measure, exact,
        seconds, entry.calls > known.most,
    )  # fmt: skip


def _some(entry: Entry | None) -> Entry:
    if entry is None:
        raise ArgumentError(
            "no way of sampling with so few calls was measured in this run; take more, or steps "
            "with a solver"
        )
    return entry


def _check_tol(tol: Any) -> None:
    if not isinstance(tol, int | float) or not 0 < tol < 1:
        raise ArgumentError(f"tol lies in (0, 1), for example 0.01; got {tol!r}")


def sizes_for(count: int) -> list[int]:
    """Batch sizes worth timing for so many samples."""
    return [size for size in BATCHES if size < count and size * 16 >= count] + [min(count, 512)]


def cost(model: Trained, size: int) -> tuple[float, float]:
    """(seconds of a batch besides its calls, seconds of a call), measured once for each size.

    From the least of three draws each with few and with more steps, after one that warms up.
    """
    if size not in model.costs:
        taken = []
        generate(model, size, steps=1, autoguidance=1.0, batch=size, obeying=False, show=False)
        for steps in PROBE:
            times = []
            for seed in range(3):
                begun = time.perf_counter()
                generate(model, size, steps=steps, solver="unipc", eta=0.0, corrector="none",
                         autoguidance=1.0, seed=seed, batch=size, obeying=False,
                         show=False)  # fmt: skip
                times.append(time.perf_counter() - begun)
            taken.append(min(times))
        few, more = PROBE
        rest = max(0.0, (more * taken[0] - few * taken[1]) / (more - few))
        model.costs[size] = (rest, max(taken[1] - rest, 1e-6) / more)
    return model.costs[size]


def duration(budget: str | float) -> float:
    """A time such as 50ms, 2s or 1m, or a number of seconds, in seconds.

    >>> duration("50ms")
    0.05
    """
    if isinstance(budget, int | float) and not isinstance(budget, bool):
        found = float(budget)
    else:
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|)\s*", str(budget))
        if not match:
            raise ArgumentError(f"a budget is a time such as 50ms, 2s or 1m; got {budget!r}")
        found = float(match[1]) * {"ms": 1e-3, "s": 1.0, "m": 60.0}[match[2] or "s"]
    if not 0 < found < math.inf:
        raise ArgumentError(f"a budget is more than nothing; got {budget!r}")
    return found
