"""What a sign says when it shows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """A fault by name.

    Attributes:
        name: of the sign.     severity: from 0 to 1, how far beyond its threshold the evidence is.
        evidence: the numbers, in a sentence.     cause: what most likely brought it about.
        fix: a setting to fit again with, or what to do.
    """

    name: str
    severity: float
    evidence: str
    cause: str
    fix: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def beyond(value: float, threshold: float) -> float:
    """Severity: 1/2 at the threshold, towards 1 as value / threshold grows."""
    if threshold <= 0 or value <= 0:
        return 0.5
    return round(value / (value + threshold), 3)
