"""The judge of filled holes: the same for all who fill, nothing of unfog's.

* crps: of numbers, in standard deviations of the training column: the fair estimate from draws
  (points are charged in full), the mean over all hidden cells.
* log_loss: of categories, in nats. Chances that a method says are taken at 0.001 at least; of draws
  they are (count + 1/2) / (draws + levels / 2).
* coverage: share of the hidden numbers in the 90 % interval, between the order statistics of draws.
  Of numbers with ties (ages, a half of noughts) an interval that is right holds more.
* calibrated: the same with ties in shares: a hidden number that equals some draws lies anywhere
  among them. 0.9 for draws that are distributed as the truth, ties or not.

Ref: Gneiting and Raftery 2007 (both are proper); Ferro 2014 (fair from few draws).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

LEAST = 1e-3
ENDS = (0.05, 0.95)


@dataclass(frozen=True)
class Case:
    """One table with hidden cells, in some patterns.

    Args:
        train: rows without holes.     truth: held-out rows of no other levels.
        hidden: pattern -> (rows, columns) bool.     categories: columns that are no numbers.
    """

    train: pd.DataFrame
    truth: pd.DataFrame
    hidden: Mapping[str, np.ndarray]
    categories: tuple[str, ...]

    @property
    def levels(self) -> dict[str, list[str]]:
        return {name: sorted(self.train[name].unique()) for name in self.categories}

    def asked(self, pattern: str) -> pd.DataFrame:
        """The held-out rows with holes."""
        return self.truth.mask(self.hidden[pattern])


def judged(case: Case, pattern: str, made: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The figures of what one method made of one pattern.

    Args:
        made: `draws/COLUMN` (draws, rows) numbers or places of levels, `shares/COLUMN` (rows,
            levels) chances; of no column both are needed.
    """
    errors, losses, inside, shared = [], [], [], []
    levels = case.levels
    for place, name in enumerate(case.train.columns):
        hidden = case.hidden[pattern][:, place]
        true = case.truth[name].to_numpy()[hidden]
        if name in levels:
            codes = np.array([levels[name].index(word) for word in true], dtype=int)
            chances = likely(made, name, hidden, len(levels[name]))
            losses.append(-np.log(chances[np.arange(len(codes)), codes]))
        else:
            unit = float(case.train[name].std())
            draws = made[f"draws/{name}"][:, hidden].astype(float) / unit
            errors.append(crps(draws, true.astype(float) / unit))
            inside.append(covered(draws, true.astype(float) / unit))
            shared.append(between(draws, true.astype(float) / unit))
    found = {"crps": errors, "log_loss": losses, "coverage": inside, "calibrated": shared}
    return {
        figure: float(np.concatenate(parts).mean())
        for figure, parts in found.items()
        if sum(map(len, parts))
    }


def likely(made: Mapping[str, np.ndarray], name: str, hidden: np.ndarray, size: int) -> np.ndarray:
    """(holes, levels) chances, each row summing to 1."""
    if f"shares/{name}" in made:
        shares = np.maximum(made[f"shares/{name}"][hidden], LEAST)
        return shares / shares.sum(1, keepdims=True)
    draws = made[f"draws/{name}"][:, hidden]
    counts = np.stack([(draws == place).sum(0) for place in range(size)], 1)
    return (counts + 0.5) / (len(draws) + size / 2)


def crps(draws: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(holes,): E|X - y| - E|X - X'| / 2 from (draws, holes), without bias."""
    count = len(draws)
    far = np.abs(draws - true).mean(0)
    apart = np.abs(draws[:, None] - draws[None]).sum((0, 1)) / max(1, count * (count - 1))
    return far - apart / 2


def covered(draws: np.ndarray, true: np.ndarray) -> np.ndarray:
    low, high = np.quantile(draws, ENDS, axis=0, method="weibull")
    return (true >= low - 1e-9) & (true <= high + 1e-9)


def between(draws: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(holes,): the share of the places that the truth may have among draws and itself, from 0 to
    1, that lies between the ends.

    Ref: Czado, Gneiting and Held 2009, Predictive Model Assessment for Count Data, sec. 2.
    """
    places = len(draws) + 1
    low = (draws < true - 1e-9).sum(0) / places
    high = ((draws <= true + 1e-9).sum(0) + 1) / places
    inner = np.minimum(high, ENDS[1]) - np.maximum(low, ENDS[0])
    return np.maximum(inner, 0) / (high - low)
