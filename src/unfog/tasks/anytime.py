"""The same samples drawn better and better: an answer is there at any time.

Every round starts from the same noise with twice the calls of the last, so the samples keep their
subject and gain in detail; all rounds together cost about twice the last. Where the run was tuned
and has a solver for a round's calls, that is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from unfog.errors import ArgumentError
from unfog.maths.states import State
from unfog.sample.tuning import distances, flat
from unfog.tasks.ends import straight
from unfog.tasks.generate import Samples

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

FIRST, LAST = 2, 512
SETTLED = 1e-3
"""Change from one round to the next, in the samples' size, after which more calls are no gain."""
OURS = ("steps", "nfe", "budget", "tol", "solver", "grid")


def anytime(model: Trained, count: int, *, most: int = LAST, **choices: Any) -> Iterator[Samples]:
    """Samples with 2, 4, 8, … calls each, until they settle or `most` calls are reached.

    Every one has a `pick` that says its calls and the error to expect.

    Args:
        choices: as for `sample`, but for what sets the number of calls.
    Raises: ArgumentError for a choice of steps or solver.
    """
    named = [name for name in OURS if choices.get(name) is not None]
    if named:
        raise ArgumentError(f"anytime picks the calls itself; leave out {', '.join(named)}")
    if not isinstance(most, int) or most < FIRST:
        raise ArgumentError(f"most is a whole number of calls, {FIRST} or more; got {most!r}")
    choices = {name: value for name, value in choices.items() if value is not None}
    calls, before = FIRST, None
    settles = straight(model)  # categories are drawn afresh in every round
    while calls <= most:
        samples = model.sample(count, **choices, nfe=calls)
        yield samples
        if before is not None and settles and _change(before, samples.state) < SETTLED:
            return
        calls, before = 2 * calls, samples.state


def _change(before: State, now: State) -> float:
    """Mean distance of the samples from what they were, over their size."""
    return float(distances(before, now).mean() / flat(now).square().mean().sqrt().clamp_min(1e-12))
