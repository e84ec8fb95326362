"""What distilling takes where nobody chooses: the objective's options, the step size, how long."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from unfog.kinds.table.defaults import CALIBRATE
from unfog.maths.flowmaps import flowmaps
from unfog.tasks.config import TrainConfig
from unfog.tasks.recipes import recipes

DEARER = 1.5
"""What an update of a student costs over one of its teacher, in passes through nets."""
LEAST = 15.0
"""Seconds that reading the data and planning leave something of."""


@dataclass(frozen=True)
class Usual:
    """What suits a kind of data; docs/flowmaps.md has the figures.

    Attributes:
        share: compute of a student over its teacher's.     gentler: peak step size over the
            teacher's.     options: of the recipe's objective, over the recipe's own.
        calibrate: rows, at most, on which marginals are calibrated at the end.
    """

    share: float = 0.5
    gentler: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)
    calibrate: int = 0

    def objective(self, name: str | None) -> dict[str, Any]:
        """An objective as a configuration; with the usual options where it is the recipe's, or
        None. Raises UnknownName.
        """
        usual: dict[str, Any] = recipes["flowmap"].flowmap or {}
        if name is None or flowmaps[name] is flowmaps[usual["name"]]:
            return {**usual, **self.options}
        return {"name": name}

    def length(self, teacher: TrainConfig) -> tuple[float, int | None]:
        """(seconds, None) after a teacher that was given a time, (0, updates) after another."""
        if teacher.budget is not None:
            return max(LEAST, self.share * teacher.budget), None
        return 0.0, max(1, round(self.share * teacher.steps / DEARER))


OWN = {
    "image": Usual(share=0.25, gentler=0.5, options={"starts": 0.4, "ends": 0.0}),
    "table": Usual(share=1.0, options={"ends": 0.5, "arrival": True}, calibrate=CALIBRATE),
}
"""Images go on getting better with the teacher's training, where a table's flow is learnt soon and
its jumps, whose ends are sharp, are not.
"""


def usual_of(kind: str) -> Usual:
    """What is usual for this kind of data."""
    return OWN.get(kind, Usual())
