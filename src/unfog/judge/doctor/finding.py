"""What a sign reads off the facts, and what it says when it shows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Reading:
    """One number beside its limit.

    Attributes:
        value: what was measured; beyond `limit` it is a fault.
        evidence: the numbers, in a sentence.     cause: what most likely brought it about.
        fix: a setting to fit again with, or what to do.
    """

    value: float
    limit: float
    evidence: str
    cause: str
    fix: str

    @property
    def shows(self) -> bool:
        return self.value > self.limit


@dataclass(frozen=True)
class Finding:
    """A fault by name.

    Attributes:
        severity: 1/2 at the limit of its sign, towards 1 far beyond it.
        evidence, cause, fix: sentences, see `Reading`.
    """

    name: str
    severity: float
    evidence: str
    cause: str
    fix: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def finding(name: str, reading: Reading) -> Finding:
    """The finding that a reading beyond its limit is."""
    whole = reading.value + reading.limit
    severity = round(reading.value / whole, 3) if whole > 0 and reading.limit > 0 else 1.0
    return Finding(name, severity, reading.evidence, reading.cause, reading.fix)


def worst(readings: list[Reading]) -> Reading | None:
    """The reading that is the furthest beyond, or the nearest to, its limit; None of none."""
    return max(readings, key=lambda r: r.value / max(r.limit, 1e-12), default=None)
