"""Train on synthetic, test on real: does a model that learns from samples work on real rows?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from unfog.judge import bootstrap
from unfog.judge.figure import Figure
from unfog.judge.states import np_rng
from unfog.judge.table.case import TableCase, table_metrics
from unfog.judge.table.features import MISSING, Rows

MOST = 10_000
MOST_CLASSES = 50
DRAWS = 200
ROUNDS = 100
LEAST = 10
FITS = 4  # models that learn from real rows


@dataclass(frozen=True)
class Answers:
    """What a model that learnt from some rows says of the test rows.

    Attributes: classes: (N, K) chance of each class, or None; numbers: (N,) predictions, or None.
    """

    classes: np.ndarray | None = None
    numbers: np.ndarray | None = None


def target_of(train: Rows) -> str | None:
    """The last category of 2 to 50 levels, else the last number, that at least 10 rows hold."""
    for name in reversed(train.category_names):
        known = train.column(name)
        known = known[known != MISSING]
        if 2 <= len(np.unique(known)) <= MOST_CLASSES and len(known) >= LEAST:
            return name
    for name in reversed(train.number_names):
        known = train.column(name)
        if len(np.unique(known[~np.isnan(known)])) >= LEAST:
            return name
    return None


def answers(learn: Rows, test: Rows, target: str, classes: np.ndarray, *, seed: int) -> Answers:
    """Boosted trees learn `target` from the other columns of `learn` and answer for `test`.

    Args:
        classes: (K,) codes of the classes; empty for a number.
    Rows of `learn` without the target are left out. A class that `learn` lacks gets chance 0.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    learn = learn[_known(learn, target)]
    inputs, marks = learn.matrix(without=target)
    truth, asked = learn.column(target), test.matrix(without=target)[0]
    options: dict[str, Any] = {
        "categorical_features": marks,
        "early_stopping": False,
        "random_state": seed,
    }
    if len(classes) == 0:
        if len(truth) < LEAST:
            return Answers(numbers=np.zeros(len(test)))
        model = HistGradientBoostingRegressor(max_iter=ROUNDS, **options).fit(inputs, truth)
        return Answers(numbers=model.predict(asked))
    out = np.zeros((len(test), len(classes)))
    seen = np.unique(truth)
    if len(seen) < 2:  # nothing to tell apart: every test row gets the same answer
        return Answers(classes=out)
    # one tree per class and round: many classes get fewer rounds for the same time
    rounds = ROUNDS if len(seen) == 2 else max(10, 3 * ROUNDS // len(seen))
    found = HistGradientBoostingClassifier(max_iter=rounds, **options).fit(inputs, truth)
    chance = found.predict_proba(asked)
    for k, code in enumerate(classes):
        if code in seen:
            out[:, k] = chance[:, list(found.classes_).index(code)]
    return Answers(classes=out)


def scores(said: Answers, truth: np.ndarray, classes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(draws,) area under the curve (mean over classes, one against the rest) or R^2.

    Args:
        truth: (N,) codes or numbers.      counts: (draws, N) how often each test row counts.
    """
    if said.classes is None:
        assert said.numbers is not None
        n = counts.sum(1)
        mean = counts @ truth / n
        spread = counts @ truth**2 / n - mean**2
        return 1 - (counts @ (truth - said.numbers) ** 2 / n) / np.maximum(spread, 1e-300)
    if len(classes) == 2:
        return _areas(said.classes[:, 1] - said.classes[:, 0], truth == classes[1], counts)
    areas = [_areas(said.classes[:, k], truth == code, counts) for k, code in enumerate(classes)]
    return np.mean(areas, 0)


def _areas(score: np.ndarray, positive: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(draws,) Mann-Whitney area of scores (N,); a half where a draw holds one side only."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf) > 0)
    counts = counts[:, order]
    yes = np.add.reduceat(counts * positive[order], starts, axis=1)  # by groups of equal scores
    no = np.add.reduceat(counts * ~positive[order], starts, axis=1)
    below = np.cumsum(no, 1) - no / 2
    pairs = yes.sum(1) * no.sum(1)
    return np.where(pairs > 0, (yes * below).sum(1) / np.maximum(pairs, 1), 0.5)


def _known(rows: Rows, name: str) -> np.ndarray:
    column = rows.column(name)
    return column != MISSING if name in rows.category_names else ~np.isnan(column)


def _setting(case: TableCase, target: str) -> tuple[Rows, np.ndarray, np.ndarray]:
    """The test rows that hold the target, the classes they show, and (1 + draws, N) counts."""
    rng = np_rng(case.seed, "tstr")
    test = case.real[_known(case.real, target)]
    test = test[rng.permutation(len(test))[:MOST]]
    truth = test.column(target)
    classes = np.unique(truth) if target in test.category_names else np.empty(0)
    counts = np.stack(
        [np.ones(len(test))]
        + [
            np.bincount(rng.integers(len(test), size=len(test)), minlength=len(test))
            for _ in range(DRAWS)
        ]
    ).astype(np.float64)
    return test, classes, counts


@table_metrics.add("tstr", reference="Esteban et al. 2017", aliases=("efficacy",))
def efficacy_figure(case: TableCase) -> list[Figure]:
    """Boosted trees trained on samples and tested on real rows, beside the same trained on real."""
    target = case.target
    if target is None or len(case.samples.names) < 2:
        return []
    test, classes, counts = _setting(case, target)
    if len(test) < LEAST or (target in test.category_names and len(classes) < 2):
        return []
    n = min(len(case.samples), len(case.train), MOST)
    truth, seed = test.column(target), case.seed % 2**32
    rng = np_rng(case.seed, "tstr training rows")
    mixed = rng.permutation(len(case.train))

    def learnt(rows: Rows) -> np.ndarray:
        return scores(answers(rows, test, target, classes, seed=seed), truth, classes, counts)

    def floor() -> np.ndarray:
        starts = np.arange(FITS) * max(1, (len(mixed) - n) // (FITS - 1))
        return np.stack([learnt(case.train[np.roll(mixed, -start)[:n]]) for start in starts])

    reals = case.floor(("tstr", n, target, case.samples.names), floor)
    drawn = learnt(case.samples[rng.permutation(len(case.samples))[:n]])
    # another training set of n rows would have given another model: its spread widens the intervals
    mean, spread = reals.mean(0), float(reals[:, 0].std(ddof=1))
    noise = np.concatenate([np.zeros((2, 1)), spread * rng.standard_normal((2, DRAWS))], 1)
    unit = "area under the curve" if len(classes) else "R squared"
    notes: tuple[str, ...] = (
        f"{unit} of {target!r} on {len(test)} held-out rows; learnt from {n} samples, the floor "
        f"{FITS} times from {n} training rows",
    )
    if n * FITS > len(case.train):
        notes += ("these rows overlap, so the intervals are a little narrow",)
    out = _figure("tstr", drawn + noise[0], mean + noise[1], n, unit, notes)
    if mean[0] <= 0:
        return [replace(out, notes=(*notes, "no ratio: real rows themselves predict nothing"))]
    bottom = np.maximum(mean, 1e-9)
    ratio = _figure(
        "tstr_ratio", (drawn + noise[0]) / bottom, 1 + noise[1] / bottom, n, "share", notes
    )
    share = f"{100 * ratio.value:.1f} % of what real rows give"
    return [replace(out, notes=(*notes, share)), ratio]


def _figure(
    name: str, value: np.ndarray, floor: np.ndarray, n: int, unit: str, notes: tuple[str, ...]
) -> Figure:
    """A figure from scores (1 + draws,): the first is the value, the others are resamples."""
    low, high = bootstrap.percentile(torch.from_numpy(value[1:]))
    floor_low, floor_high = bootstrap.percentile(torch.from_numpy(floor[1:]))
    return Figure(
        name=name,
        value=float(value[0]),
        low=min(low, float(value[0])),
        high=max(high, float(value[0])),
        floor=float(floor[0]),
        floor_low=min(floor_low, float(floor[0])),
        floor_high=max(floor_high, float(floor[0])),
        better="higher",
        n=n,
        unit=unit,
        notes=notes,
    )
