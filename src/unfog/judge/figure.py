"""A figure: a measured number with its interval, and what real data scores at the same size."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from unfog.errors import ArgumentError

BETTER = ("lower", "higher", "floor")


@dataclass(frozen=True)
class Figure:
    """One judgement: `value` in [low, high], beside what real data itself scores.

    Args:
        name: the metric's registry name.
        value, low, high: the estimate and its 95 % interval.
        floor, floor_low, floor_high: the same number for real against real at the same n.
        better: "lower", "higher", or "floor" (the best is to equal the floor).
        n: how many samples the number rests on.
        unit: what the number counts; "share" is printed in per cent.
        notes: what a reader has to know to trust it, one sentence each.
        words: the metric's own sentence for `verdict`; empty for the general one.
        parts: what the value is made of, such as one dict of JSON values per column.
    Raises: ArgumentError for a value that is not finite, a reversed interval, an unknown `better`.
    """

    name: str
    value: float
    low: float
    high: float
    floor: float
    floor_low: float
    floor_high: float
    better: str
    n: int
    unit: str = ""
    notes: tuple[str, ...] = ()
    words: str = ""
    parts: tuple[dict[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if self.better not in BETTER:
            raise ArgumentError(f"better={self.better!r}; allowed: {', '.join(BETTER)}")
        for field in ("value", "low", "high", "floor", "floor_low", "floor_high"):
            if not math.isfinite(getattr(self, field)):
                raise ArgumentError(f"figure {self.name!r}: {field} is {getattr(self, field)}")
        if self.low > self.high or self.floor_low > self.floor_high:
            raise ArgumentError(
                f"figure {self.name!r}: an interval's low end is above its high end"
            )

    @property
    def at_floor(self) -> bool:
        """Whether this value can't be told from the floor, or is better.

        It can when the gap exceeds the root of the summed squares of the two facing half-widths:
        one false alarm in about 40 per side. (Waiting for the intervals to part: one in 360.)
        """
        gap = self.value - self.floor
        above = math.hypot(self.value - self.low, self.floor_high - self.floor)
        below = math.hypot(self.high - self.value, self.floor - self.floor_low)
        not_above, not_below = gap <= above, -gap <= below
        return {"lower": not_above, "higher": not_below, "floor": not_above and not_below}[
            self.better
        ]

    def verdict(self) -> str:
        """The figure in plain words, its comparison with the floor included."""
        if self.words:
            return self.words
        measured = f"{self._span(self.value, self.low, self.high)} at n = {self.n}"
        real = f"real data {self._span(self.floor, self.floor_low, self.floor_high)}"
        if self.at_floor:
            return f"{self.name} {measured}, {real}: as good as real data, as far as n tells"
        if self.better == "lower" and self.floor > 0:
            return f"{self.name} {measured}, {real}: {self.value / self.floor:.1f} times the floor"
        side = "above" if self.value > self.floor else "below"
        return f"{self.name} {measured}, {real}: {side} the floor, not yet like real data"

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values, `verdict` and `at_floor` included."""
        return {
            **asdict(self),
            "notes": list(self.notes),
            "parts": list(self.parts),
            "at_floor": self.at_floor,
            "verdict": self.verdict(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Figure:
        """The inverse of `to_json`. Raises ArgumentError when a field is missing."""
        own = {field.name: data[field.name] for field in fields(cls) if field.name in data}
        try:
            lists = {name: tuple(own.get(name, ())) for name in ("notes", "parts")}
            return cls(**{**own, **lists})
        except TypeError as error:
            raise ArgumentError(f"not a figure: {error}") from error

    def _span(self, value: float, low: float, high: float) -> str:
        if self.unit == "share":
            return f"{100 * value:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
        return f"{value:.3g} ({low:.3g} to {high:.3g})"
