"""Signs: each reads one number off the facts and says what it means beyond its limit.

Here are the registry, the limits and what several signs use; `of_data` and `of_learning` hold them.

They stand in order, from root causes to consequences; `EXPLAINS` says which other findings a cause
accounts for. The limits were tuned on planted faults of other data than docs/doctor.md reports on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import median

from unfog.judge.doctor.facts import Facts
from unfog.judge.doctor.finding import Reading
from unfog.registry import Registry

Sign = Callable[[Facts], Reading | None]
signs: Registry[Sign] = Registry("sign")

MISFIT = 1.06
"""Median error over levels beside the simple reference, beyond which a run has not learnt."""
GAIN = 0.0125
"""Share by which 100 to 200 more updates may still lower the error."""
FAST = 0.05
"""Gain beyond which a net is only beginning to learn, and may yet come to hear its condition."""
STEP = 1.15
"""Ratio of short trainings' losses beyond which another step size is better."""
FEW = 50
LEARNT = frozenset({"under_fitting", "net_too_small", "slow_convergence"})
EXPLAINS: dict[str, frozenset[str]] = {
    "wrong_scale": LEARNT
    | {"dead_outputs", "condition_ignored", "ema_too_long", "step_too_large", "step_too_small"},
    "wrong_objective": LEARNT
    | {"dead_outputs", "condition_ignored", "ema_too_long", "step_too_small", "step_too_large"},
    "step_too_large": LEARNT | {"dead_outputs", "condition_ignored", "ema_too_long"},
    "step_too_small": LEARNT | {"dead_outputs", "condition_ignored", "ema_too_long"},
    "dead_outputs": LEARNT | {"condition_ignored"},
    "too_few_data": frozenset({"over_fitting", "duplicates"}),
    "ema_too_long": frozenset({"slow_convergence"}),
    "label_leak": frozenset({"condition_ignored", "over_fitting"}),
    "condition_ignored": frozenset({"net_too_small", "under_fitting"}),
    "over_fitting": LEARNT,
}


def misfit(facts: Facts) -> float | None:
    """Median over levels of the better weights' error beside the reference, less two standard
    errors; of held-out items, or of training items where those are restored much better (then it is
    the held-out ones that are at fault). A median, since at the least and the most noise a sound
    net of minutes is often a quarter worse than a closed form.
    """
    fit = facts.fit
    if fit is None:
        return None
    train = min(median(fit.train), median(fit.raw_train or fit.train))
    if fit.held is None:
        return train - 2 * fit.error
    held = min(median(fit.held), median(fit.raw_held or fit.held))
    return min(held, train + 0.1) - 2 * fit.error


def puzzling(facts: Facts) -> bool:
    """Whether step sizes are worth trying: the net restores badly, or still learns."""
    found, gain = misfit(facts), 0.0 if facts.more is None else facts.more.train
    return (found is not None and found > 1.03) or gain > GAIN


def kept_early(facts: Facts) -> bool:
    """Whether the run was ended where copying began and has the weights from before that: more
    updates are then no cure, however much they would lower the error.
    """
    return facts.clock is not None and facts.clock.kept is not None


def narrow(facts: Facts) -> bool:
    """Whether the net's answers span less than half of the directions that they could: then it
    can't vary all entries, however long it learns.
    """
    return facts.spanned < 0.5


def mean_of(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def gain_of(facts: Facts) -> float:
    """Share by which more updates lower the error of training and of held-out items: what lowers
    the first alone is learning by heart.
    """
    if facts.more is None:
        return 0.0
    held = facts.more.train if facts.more.held is None else facts.more.held
    return max(0.0, min(facts.more.train, held))


def longer(facts: Facts, times: int) -> str:
    """A longer run, in updates, and as a budget where the time is known."""
    steps = f"--steps {times * facts.steps}"
    if facts.seconds is None or facts.seconds < 1:
        return steps
    return f"{steps} (or --budget {math.ceil(times * facts.seconds)}s)"
