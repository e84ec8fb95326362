"""Diagnosis: all signs over the facts, root causes first, what they explain left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unfog.judge.doctor.facts import Facts
from unfog.judge.doctor.finding import Finding
from unfog.judge.doctor.signs import EXPLAINS, signs

__all__ = ["Diagnosis", "Finding", "diagnosed"]


@dataclass(frozen=True)
class Diagnosis:
    """What a doctor found.

    Attributes:
        findings: root causes first.     explained: findings that one of those accounts for.
        facts: what was measured.     checked: names of all signs that were looked for.
    """

    findings: tuple[Finding, ...]
    explained: tuple[Finding, ...]
    facts: Facts
    checked: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        return {
            "healthy": self.healthy,
            "findings": [finding.to_json() for finding in self.findings],
            "explained": [finding.to_json() for finding in self.explained],
            "checked": list(self.checked),
            "facts": self.facts.to_json(),
        }

    def __str__(self) -> str:
        if self.healthy:
            return f"no fault found; looked for {', '.join(self.checked)}"
        lines = []
        for number, one in enumerate(self.findings, 1):
            lines.append(f"{number}. {one.name.replace('_', ' ')}: {one.evidence}")
            lines += [f"   likely cause: {one.cause}", f"   fix: {one.fix}"]
        return "\n".join(lines)


def diagnosed(facts: Facts) -> Diagnosis:
    """Every sign, in the registry's order, which is from root causes to consequences."""
    found = [finding for row in signs if (finding := row.make(facts)) is not None]
    names = {finding.name for finding in found}
    hidden = {other for name in names for other in EXPLAINS.get(name, ())}
    return Diagnosis(
        findings=tuple(f for f in found if f.name not in hidden),
        explained=tuple(f for f in found if f.name in hidden),
        facts=facts,
        checked=tuple(signs.names()),
    )
