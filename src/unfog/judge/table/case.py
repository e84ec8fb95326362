"""A table on trial: samples, held-out and training rows in one coding; the registry of metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unfog.judge.figure import Figure
from unfog.judge.states import np_rng
from unfog.judge.table.features import Rows
from unfog.registry import Registry

LEAST = 20


@dataclass(frozen=True)
class TableCase:
    """Everything that the metrics of tables may look at.

    Args:
        samples, real, train: rows in one coding; `real` were held out, `train` were learnt from.
        target: the column that `tstr` predicts, or None where no column can be.
        floors: what real data scores, kept between cases with the same real and training rows.
    """

    samples: Rows
    real: Rows
    train: Rows
    target: str | None
    seed: int
    floors: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def equal(self, most: int) -> tuple[Rows, Rows, Rows, tuple[str, ...]]:
        """Samples, held-out and training rows (the floor's other side), all of one number n.

        Which real rows are chosen depends on n and the seed only. The fourth entry are the notes.
        """
        parts = {"samples": self.samples, "real": self.real, "train": self.train}
        n = min(most, *(len(rows) for rows in parts.values()))
        chosen = [part[self._chosen(name, len(part), n)] for name, part in parts.items()]
        whole = len(self.samples) == n == len(self.real)
        note = (
            f"compared at n = {n} (of {len(self.samples)} samples and {len(self.real)} held-out "
            "rows), so that value and floor have the same n"
        )
        return chosen[0], chosen[1], chosen[2], () if whole else (note,)

    def _chosen(self, name: str, count: int, n: int) -> np.ndarray:
        return np.sort(np_rng(self.seed, "rows", name).permutation(count)[:n])

    def floor(self, name: Any, make: Callable[[], Any]) -> Any:
        """What `make()` gives, made once for all cases that share `floors`."""
        if name not in self.floors:
            self.floors[name] = make()
        return self.floors[name]


TableMetric = Callable[[TableCase], list[Figure]]
table_metrics: Registry[TableMetric] = Registry("metric of tables")
