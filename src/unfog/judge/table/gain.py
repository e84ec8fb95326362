"""Gain: what new rows add to learning a target, by nested cross-validation, against doing without.

Everything is fitted inside the training folds: generators, encoders, learners. The inner split of
each training fold chooses what to do (nothing included), so `chosen` is what one really gets.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unfog.errors import ArgumentError, DataError
from unfog.judge.states import np_rng
from unfog.judge.table.features import Rows, encode, roles_of
from unfog.judge.table.learners import LEARNERS, METRICS, learnt_score
from unfog.kinds.table.balance import class_counts
from unfog.kinds.table.cells import Table

ALONE, WEIGHTS, CHOSEN = "real rows alone", "class weights", "chosen inside"
INNER = 4  # the inner split keeps one in so many training rows to choose by
FEWEST = 3  # rows of the rarest class in every part that is tested on

Maker = Callable[[Table, int], Table]
"""Draws the new rows for training rows: (rows, seed) -> rows."""


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences to real rows alone, and its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Trial:
    """Scores of one pair of training and test rows: arm -> learner -> metric -> value."""

    outer: dict[str, dict[str, dict[str, float]]]
    inner: dict[str, dict[str, dict[str, float]]]
    share: float  # test rows per training row


@dataclass(frozen=True)
class Deal:
    """How rows are dealt: `seeds` times into `folds` parts, each tested on once."""

    seeds: int = 5
    folds: int = 3
    seed: int = 0

    @property
    def fits(self) -> int:
        """How often every generator is learnt: once for each outer and each inner training set."""
        return 2 * self.seeds * self.folds

    def parts(self, labels: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """(number, training, test) positions; every class is dealt out in proportion."""
        for turn in range(self.seeds):
            dice = np_rng(self.seed, "deal", str(turn))
            fold = _dealt(labels, self.folds, dice)
            for k in range(self.folds):
                yield turn * self.folds + k, np.flatnonzero(fold != k), np.flatnonzero(fold == k)


def measure_gain(
    table: Table,
    target: str,
    makers: Mapping[str, Maker],
    *,
    roles: Mapping[str, str] | None = None,
    deal: Deal | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Try every way to augment, and doing without.

    Args:
        table: real rows; those without the target are left out.
        makers: words -> what draws new rows for the training rows of a fold.
        roles: as `roles_of` takes them; the target's is "category" or "number".
        progress: called with (trials done, trials).
    Returns: {"trials": [Trial], "classes": bool, "rows": int}.
    Raises: DataError for a class too rare to be dealt out, or too few rows.
    """
    deal = deal or Deal()
    table, roles, labels = known_rows(table, target, roles, deal)
    classed = roles[target] == "category"
    trials: list[Trial] = []
    for number, train, test in deal.parts(labels):
        if progress is not None:
            progress(number, deal.seeds * deal.folds)
        seed = deal.seed * 1009 + number
        inside = _dealt(labels[train], INNER, np_rng(seed, "inner"))
        outer = _scores(table[train], table[test], target, roles, makers, classed, seed)
        within = table[train[inside != 0]], table[train[inside == 0]]
        inner = _scores(*within, target, roles, makers, classed, seed + 500_009)
        trials.append(Trial(outer, inner, len(test) / len(train)))
    return {"trials": trials, "classes": classed, "rows": len(table)}


def known_rows(
    table: Table, target: str, roles: Mapping[str, str] | None, deal: Deal
) -> tuple[Table, dict[str, str], np.ndarray]:
    """The rows that hold the target, without columns that are skipped; the roles of the others;
    labels (N,) to deal by, all 0 for a number.
    """
    if deal.seeds < 2 or deal.folds < 2:
        raise ArgumentError(f"{deal.seeds} seeds and {deal.folds} folds; give at least 2 of each")
    known = table[np.flatnonzero(table.columns[target].present)]
    said = roles_of(known, {n: r for n, r in (roles or {}).items() if n in known.columns})
    if said[target] not in ("category", "number"):
        raise DataError(f"column {target!r} can't be a target: it is neither classes nor a number")
    if all(role == "skip" for name, role in said.items() if name != target):
        raise DataError(f"there is no column to learn {target!r} from")
    known = Table({n: c for n, c in known.columns.items() if said[n] != "skip"})
    said = {name: said[name] for name in known.columns}
    if said[target] == "number":
        if len(known) < 20 * deal.folds:
            raise DataError(f"{len(known)} rows are too few for {deal.folds} folds; give more")
        return known, said, np.zeros(len(known), np.int64)
    counts = class_counts(known.columns[target], target)
    rarest = min(counts, key=lambda value: counts[value])
    if counts[rarest] < FEWEST * max(deal.folds, INNER + 1):
        raise DataError(
            f"class {rarest!r} of {target!r} has {counts[rarest]} rows, too few to be judged with "
            f"{deal.folds} folds (at least {FEWEST * max(deal.folds, INNER + 1)}); leave its rows "
            "out, or collect more"
        )
    code = {value: k for k, value in enumerate(counts)}
    return known, said, np.array([code[v] for v in known.columns[target].values.tolist()])


def pass_seconds(
    table: Table, target: str, roles: Mapping[str, str] | None, deal: Deal, arms: int
) -> float:
    """About how long all learners take, measured on the first fold's real rows."""
    known, said, labels = known_rows(table, target, roles, deal)
    _, train, test = next(deal.parts(labels))
    begun = time.monotonic()
    _scores(known[train], known[test], target, said, {}, said[target] == "category", 0)
    once = time.monotonic() - begun
    return once * (arms + 1) / (1 + (said[target] == "category")) * deal.fits


def _scores(
    train: Table,
    test: Table,
    target: str,
    roles: Mapping[str, str],
    makers: Mapping[str, Maker],
    classed: bool,
    seed: int,
) -> dict[str, dict[str, dict[str, float]]]:
    """Every arm's scores: arm -> learner -> metric -> value."""
    drawn = [make(train, seed) for make in makers.values()]
    real, held, *new = encode([train, test, *drawn], roles)
    classes = np.empty(0)
    if classed:
        codes, counts = np.unique(real.column(target), return_counts=True)
        classes = codes[np.argsort(-counts, kind="stable")]  # the rarest last
    arms: dict[str, tuple[Rows, bool]] = {ALONE: (real, False)}
    if classed:
        arms[WEIGHTS] = (real, True)
    arms |= {name: (real.with_other(rows), False) for name, rows in zip(makers, new)}
    return {
        arm: {
            name: learnt_score(
                name, rows, held, target, classes, weights=weights, seed=seed % 2**32
            )
            for name in LEARNERS
        }
        for arm, (rows, weights) in arms.items()
    }


def _dealt(labels: np.ndarray, parts: int, dice: np.random.Generator) -> np.ndarray:
    """Which part (N,) each row falls into, every class in proportion, in random order."""
    order = dice.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    part = np.empty(len(labels), np.int64)
    part[order] = np.arange(len(labels)) % parts
    return part


def difference(values: np.ndarray, share: float) -> Difference:
    """Mean of paired differences (n,) over folds, and its 95 % interval.

    Training sets of different folds overlap, so the plain interval is far too narrow; the variance
    of the mean is (1/n + test/train) s².

    Args:
        share: test rows per training row.
    Ref: Nadeau and Bengio 2003, Inference for the generalization error, section 3.
    """
    from scipy.stats import t

    n = len(values)
    half = float(t.ppf(0.975, n - 1)) * math.sqrt((1 / n + share) * float(values.var(ddof=1)))
    mean = float(values.mean())
    return Difference(mean, mean - half, mean + half)


@dataclass(frozen=True)
class Gain:
    """What each way to augment gained over real rows alone.

    Attributes:
        trials: of every seed and fold.      ours: the words of our arm.
        seconds: how long it took.      notes: what a reader has to know.
    """

    trials: list[Trial]
    target: str
    classes: bool
    rows: int
    ours: str
    seconds: float = 0.0
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def first(self) -> str:
        """The metric that choices are made by."""
        return METRICS[self.classes][0]

    @property
    def arms(self) -> list[str]:
        """All but real rows alone, what was chosen inside last."""
        return [*(arm for arm in self.trials[0].outer if arm != ALONE), CHOSEN]

    def values(self, arm: str, learner: str, metric: str) -> np.ndarray:
        """(trials,) scores."""
        found = []
        for trial in self.trials:
            name = arm
            if arm == CHOSEN:
                name = max(trial.inner, key=lambda a: trial.inner[a][learner][self.first])
            found.append(trial.outer[name][learner][metric])
        return np.array(found)

    def over(self, arm: str, learner: str, metric: str, base: str = ALONE) -> Difference:
        """The gain of an arm over another."""
        gap = self.values(arm, learner, metric) - self.values(base, learner, metric)
        return difference(gap, float(np.mean([trial.share for trial in self.trials])))

    @property
    def best(self) -> str:
        """The learner that is best on real rows alone."""
        return max(LEARNERS, key=lambda name: self.values(ALONE, name, self.first).mean())
