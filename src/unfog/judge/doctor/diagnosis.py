"""Diagnosis: all signs over the facts, root causes first, what they explain set aside."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from unfog.judge.doctor import of_data, of_learning  # noqa: F401  (they enter their signs)
from unfog.judge.doctor.facts import Facts
from unfog.judge.doctor.finding import Finding, finding
from unfog.judge.doctor.signs import EXPLAINS, signs

__all__ = ["Diagnosis", "Finding", "diagnosed"]


@dataclass(frozen=True)
class Diagnosis:
    """What a doctor found.

    Attributes:
        findings: root causes first.     explained: findings that one of those accounts for.
        facts: what was measured.
        margins: sign -> (measured, limit) of every sign that could be read.
    """

    findings: tuple[Finding, ...]
    explained: tuple[Finding, ...]
    facts: Facts
    margins: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def healthy(self) -> bool:
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        return {
            "healthy": self.healthy,
            "findings": [one.to_json() for one in self.findings],
            "explained": [one.to_json() for one in self.explained],
            "margins": {
                name: {"measured": value, "limit": limit}
                for name, (value, limit) in self.margins.items()
            },
            "not_read": [name for name in signs.names() if name not in self.margins],
            "facts": self.facts.to_json(),
        }

    def __str__(self) -> str:
        if self.healthy:
            lines = ["no fault found; measured beside its limit:"]
            lines += [
                f"  {name.replace('_', ' '):20} {value:.3g} of {limit:.3g}"
                for name, (value, limit) in self.margins.items()
            ]
            unread = [name for name in signs.names() if name not in self.margins]
            words = ", ".join(name.replace("_", " ") for name in unread)
            return "\n".join(lines + [f"not read: {words}"] * bool(unread))
        lines = []
        for number, one in enumerate(self.findings, 1):
            lines.append(f"{number}. {one.name.replace('_', ' ')}: {one.evidence}")
            lines += [f"   likely cause: {one.cause}", f"   fix: {one.fix}"]
        if self.explained:
            names = ", ".join(one.name.replace("_", " ") for one in self.explained)
            lines.append(f"also seen, and likely a consequence: {names}")
        return "\n".join(lines)


def diagnosed(facts: Facts) -> Diagnosis:
    """Every sign, in the registry's order: from root causes to consequences."""
    readings = {row.name: row.make(facts) for row in signs}
    known = {name: reading for name, reading in readings.items() if reading is not None}
    found = [finding(name, reading) for name, reading in known.items() if reading.shows]
    hidden: set[str] = set()
    for one in found:
        if one.name not in hidden:
            hidden |= EXPLAINS.get(one.name, frozenset())
    return Diagnosis(
        findings=tuple(one for one in found if one.name not in hidden),
        explained=tuple(one for one in found if one.name in hidden),
        facts=facts,
        margins={name: (reading.value, reading.limit) for name, reading in known.items()},
    )
