"""What makes few calls enough, measured: a run as it is, with fitted times, with tuned solvers, and
flow maps of it, at several numbers of calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from unfog.errors import ArgumentError, DataError
from unfog.judge import metrics, table_metrics
from unfog.tasks.assemble import build_sampling
from unfog.tasks.curve import Curve, Line, Point
from unfog.tasks.ends import Ends, straight
from unfog.tasks.evaluate import conditions_of, heldout_items, judge_of, training_data
from unfog.tasks.generate import Samples
from unfog.tasks.landed import Lander
from unfog.tasks.pick import like_of
from unfog.tasks.show import bar
from unfog.tasks.trained import Trained

COUNTS = (1, 2, 3, 4, 6, 8, 12, 16)
MOST = 1000
"""Samples that every point is judged by, at most, where nobody says."""
LEAST = 3
"""Steps from which on times are fitted."""
TEXTBOOK: dict[str, Any] = {"solver": {"name": "euler"}, "grid": {"name": "linear"}}
Ways = dict[str, Any]


def curve(
    model: Trained,
    others: Sequence[Trained] = (),
    source: Any = None,
    *,
    counts: Sequence[int] = COUNTS,
    count: int | None = None,
    metric: str | None = None,
    budget: float = 60.0,
    part: str | None = None,
    seed: int = 0,
    show: bool | None = None,
) -> Curve:
    """Draw samples in every way at every number of calls, and measure them.

    Args:
        others: flow maps of the run, or other runs of the same data.
        source: held-out data; the run's own test split where None.
        counts: calls of the solver; where guidance asks more nets a step, calls are so many more.
        count: samples of every point; as many as are held out, at most 1000, where None.
        metric: against held-out items: frechet, of tables c2st_auc, where None.
        budget: seconds for fitting times to all numbers of calls; 0 leaves these out.
        part: images: which of the source's train, validation and test folders to read.
    Raises: ArgumentError for counts that are none, or runs of other data; UnknownName for a metric.
    """
    asked = sorted(set(counts))
    if not asked or not all(isinstance(n, int) and n >= 1 for n in asked):
        raise ArgumentError(f"calls are whole numbers, 1 or more; got {list(counts)!r}")
    for other in others:
        if list(other.config.data.item) != list(model.config.data.item) or (
            other.config.kind != model.config.kind
        ):
            raise ArgumentError(
                f"{other.folder} makes {other.config.kind} items of {other.config.data.item}, "
                f"{model.folder} {model.config.kind} items of {model.config.data.item}; a curve "
                "compares runs of the same data"
            )
    quality = Quality(model, source, count=count, metric=metric, part=part, seed=seed)
    return quality.curve(lines_of(quality, [model, *others], asked, budget=budget, show=show))


class Quality:
    """Judges draws of runs that answer the same request.

    Args:
        model: whose flow the error is of.     source: held-out data; the run's own where None.
        metric: see `unfog metrics` and `unfog table-metrics`.
    """

    def __init__(
        self,
        model: Trained,
        source: Any = None,
        *,
        count: int | None = None,
        metric: str | None = None,
        part: str | None = None,
        seed: int = 0,
    ):
        table = model.config.kind == "table"
        known = table_metrics if table else metrics
        self.metric = metric or ("c2st_auc" if table else "frechet")
        known[self.metric]  # a wrong name is refused before anything is drawn
        self.model, self.seed, self.notes = model, seed, []
        self.judged, self.heldout, self.given = None, "", None
        try:
            items = training_data(model)
            held, self.heldout = heldout_items(model, items, source, part)
        except DataError as error:
            if source is not None:
                raise
            self.notes.append(f"nothing to judge by, so only the error is drawn: {error}")
            self.count = count or MOST
        else:
            self.count = count or min(len(held), MOST)
            self.given = conditions_of(model, held, self.count, seed)
            train = items.take(model.splits.train)
            self.judged, _ = judge_of(model, held, train, seed, 20.0)
        like = like_of(model, {"given": self.given}, self.count)
        self.ends = Ends(model, self.count, given=self.given, scale=None, away=like.away, seed=seed)

    def point(self, model: Trained, calls: int, samples: Samples) -> Point:
        """Of samples that were drawn by `model` with so many calls of nets each."""
        figure = None
        if self.judged is not None:
            figures = self.judged(samples, only=[self.metric])
            if not figures:
                raise ArgumentError(f"metric {self.metric!r} says nothing of such data")
            figure = figures[0]
        follows = model is self.model or bool(model.config.teacher)
        error = self.ends.error(samples.state) if follows else None
        return Point(calls, figure, error if error is None or math.isfinite(error) else None)

    def curve(self, lines: Sequence[Line]) -> Curve:
        """Of these lines."""
        return Curve(
            metric=self.metric,
            measure=self.ends.measure,
            floor=self.ends.floor(),
            count=self.count,
            heldout=self.heldout,
            lines=tuple(lines),
            notes=tuple(self.notes),
        )


def lines_of(
    quality: Quality,
    runs: Sequence[Trained],
    counts: Sequence[int],
    *,
    budget: float,
    show: bool | None = None,
) -> list[Line]:
    """Every way of sampling of these runs, drawn and judged.

    Args:
        runs: the first is the one whose flow errors are of.     counts: calls of the solver.
        budget: seconds for fitting times.
    """
    planned = [(run, *way) for run in runs for way in _ways(run, quality, counts, budget)]
    lines: dict[str, list[Point]] = {}
    with bar("curve", len(planned), show=show) as told:
        for done, (run, name, calls, how) in enumerate(planned):
            title = f"{run.folder.name}: {name}" if len(runs) > 1 else name
            told.to(done, f"{title}, {calls} calls")
            given = quality.given if run.config.given else None
            drawn = run.sample(quality.count, given=given, seed=quality.seed, show=False, **how())
            lines.setdefault(title, []).append(quality.point(run, calls, drawn))
        told.to(len(planned), "done")
    return [Line(name, tuple(points)) for name, points in lines.items()]


def _ways(
    model: Trained, quality: Quality, counts: Sequence[int], budget: float
) -> Iterator[tuple[str, int, Callable[[], Ways]]]:
    """(name, calls, choices of `sample`) of all that is drawn with a run."""
    config = model.config
    given = quality.given if config.given else None
    like = like_of(model, {"given": given}, quality.count)
    each = build_sampling(config).solver.calls
    own = {"solver": config.solver, "grid": config.grid}
    steps = {n: n // each for n in counts if n % each == 0}
    name = "in jumps" if config.flowmap is not None else "as it is"
    name += ", times fitted" if config.grid["name"] == "fitted" else ""
    for n in steps:
        yield name, n * like.times, partial(dict, own, steps=steps[n])
    if config.flowmap is not None:
        return
    if own != TEXTBOOK:
        for n in counts:
            yield "euler, even times", n * like.times, partial(dict, TEXTBOOK, steps=n)
    fitted = [n for n in steps if steps[n] >= LEAST]
    if not straight(model):
        quality.notes.append(f"no fitted times in {model.folder}: categories are drawn on the way")
    elif budget > 0 and fitted:
        lander = Lander(model)
        for n in fitted:
            share = budget / len(fitted)
            yield "times fitted", n * like.times, partial(_timed, lander, steps[n], share)
    known = next((t for t in model.tunings if t.fits(like.guided, like.away)), None)
    tuned = [] if known is None else [n for n in counts if known.tuned_at(n) is not None]
    for n in tuned:
        yield "tuned solver", n * like.times, partial(dict, solver="tuned", steps=n)
    if not tuned:
        quality.notes.append(f"no tuned solvers in {model.folder}: `unfog tune` makes them")


def _timed(lander: Lander, steps: int, budget: float) -> Ways:
    """The run's own solver on times that are fitted to so many steps."""
    cut, _ = lander.fit(steps, budget=budget, show=False)
    grid = {"name": "fitted", "knots": cut.tolist()}
    return {"solver": lander.model.config.solver, "grid": grid, "steps": steps}
