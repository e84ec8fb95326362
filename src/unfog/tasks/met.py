"""How far what was asked is met: measured on the rows as the user gets them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unfog.kinds.asked import Asked, Rows

TOLERANCE = 0.02
"""An aggregate is met within this many standard deviations of what its mean is taken of."""


@dataclass(frozen=True)
class Met:
    """Conditions after the draw.

    Attributes:
        rates: condition as written -> share of the rows that meet it; of an aggregate 1 or 0.
        reached: aggregate as written -> its figure in the rows.
        tolerances: aggregate as written -> how far off still counts as met.
        ess: mean effective number of candidates per row, 1 to `candidates`; None without weights.
        candidates: that each row was picked from.
        notes: sentences about how conditions were taken.
    """

    rates: dict[str, float]
    reached: dict[str, float] = field(default_factory=dict)
    tolerances: dict[str, float] = field(default_factory=dict)
    ess: float | None = None
    candidates: int = 1
    notes: list[str] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "satisfied": self.rates,
            "reached": self.reached,
            "ess": self.ess,
            "candidates": self.candidates,
            "notes": self.notes,
        }

    def lines(self) -> list[str]:
        """What to print."""
        said = []
        for words, rate in self.rates.items():
            if words in self.reached:
                off = "within" if rate == 1 else "NOT within"
                said.append(
                    f"{words}: reached {self.reached[words]:g}, {off} {self.tolerances[words]:.3g}"
                )
            else:
                said.append(f"{words}: met by {rate:.1%} of the rows")
        if self.ess is not None:
            said.append(
                f"each row is one of {self.candidates} candidates, of which {self.ess:.1f} count "
                "(effective sample size)"
            )
        return [*said, *(f"note: {note}" for note in self.notes)]


def measure(
    asked: Asked,
    values: Mapping[str, list[Any]],
    *,
    ess: float | None = None,
    candidates: int = 1,
    notes: list[str] | None = None,
    rows: range | None = None,
) -> Met:
    """Rates and figures of rows whose plain values are given by name.

    Args:
        rows: which of the rows that were asked for these are; all where None.
    """
    rates: dict[str, float] = {}
    for name, condition in asked.conditions.items():
        if name not in values:
            continue
        if isinstance(condition, Rows) and rows is not None:
            condition = Rows(condition.values[rows.start : rows.stop])
        rates[asked.spelled[name]] = float(np.mean(condition.met(values[name])))
    reached, tolerances = {}, {}
    for key, aggregate in asked.aggregates.items():
        words, found = asked.spelled[key], values[aggregate.name]
        reached[words] = aggregate.reached(found)
        tolerances[words] = tolerance(aggregate, found)
        off = abs(reached[words] - aggregate.target)
        rates[words] = float(off <= tolerances[words])
    return Met(rates, reached, tolerances, ess, candidates, list(notes or []))


def tolerance(aggregate: Any, values: list[Any]) -> float:
    """How far off an aggregate may be: a share by half a row or 0.005, others by `TOLERANCE`."""
    if aggregate.how == "share":
        return max(0.5 / len(values), 0.005) + 1e-12
    there = np.array([float(v) for v in values if v is not None])
    spread = float(there.std()) if len(there) else 0.0
    wide = TOLERANCE * spread + 1e-9 * (1 + abs(aggregate.target))
    return wide * (len(values) if aggregate.how == "sum" else 1)
