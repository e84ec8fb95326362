"""Judge a table: every metric that applies to samples, held-out rows and training rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from unfog.errors import ArgumentError, DataError
from unfog.judge.figure import Figure
from unfog.judge.table import columns, efficacy, pairs, records, twosample  # noqa: F401  (rows)
from unfog.judge.table.case import LEAST, TableCase, table_metrics
from unfog.judge.table.features import encode, roles_of
from unfog.kinds.table.cells import Table

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class TableJudge:
    """Judges any number of sample tables against the same real rows; what real data scores is
    measured once.

    Args:
        real, train: held-out rows, and the rows that the generator learnt from.
        roles: column -> "number", "category", "date" or "skip"; columns it lacks go by their type.
        target: the column that `tstr` predicts; None: the last category of 2 to 50 levels, else the
            last number.
    """

    real: Table
    train: Table
    roles: Mapping[str, str] | None = None
    target: str | None = None
    seed: int = 0
    _floors: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def __call__(
        self,
        samples: Table,
        *,
        only: Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> list[Figure]:
        """The figures of `samples`. Raises as `judge_table`."""
        rows = [(name, table_metrics[name]) for name in only or table_metrics.names()]
        tell = progress or (lambda done, total, name: None)
        case = self.case(samples)
        figures = []
        for done, (name, metric) in enumerate(rows):
            tell(done, len(rows), name)
            figures += metric(case)
        tell(len(rows), len(rows), "done")
        return figures

    def case(self, samples: Table) -> TableCase:
        """Samples and real rows in one coding."""
        sizes = {"samples": len(samples), "held-out": len(self.real), "training": len(self.train)}
        if min(sizes.values()) < LEAST:
            raise DataError(
                f"{sizes['samples']} samples, {sizes['held-out']} held-out and "
                f"{sizes['training']} training rows; judging needs at least {LEAST} of each"
            )
        roles = roles_of(self.train, self.roles)
        if all(role == "skip" for role in roles.values()):
            raise DataError(f"every column is skipped, so nothing can be judged: {roles}")
        train, real, rows = encode([self.train, self.real, samples], roles)
        target = self.target
        if target is None:
            target = efficacy.target_of(train)
        elif target not in train.names:
            raise ArgumentError(
                f"target {target!r} is not a compared column; those are {', '.join(train.names)}"
            )
        return TableCase(rows, real, train, target, self.seed, self._floors)


def judge_table(
    samples: Table,
    real: Table,
    train: Table,
    *,
    roles: Mapping[str, str] | None = None,
    target: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    only: Sequence[str] | None = None,
) -> list[Figure]:
    """Judge sample rows against held-out real rows, each figure beside the floor of real data.

    Args:
        samples, real, train: rows to judge, held-out rows, rows that the generator learnt from.
        roles, target: as `TableJudge` takes them.
        progress: called with (done, total, name) before every metric and once at the end.
        only: registry names of the metrics to run; None runs all.
    Raises: DataError for fewer than 20 rows on a side or nothing to compare; ArgumentError for an
        unknown role, column or target; ShapeError for a table that lacks a column; UnknownName for
        a metric.
    """
    return TableJudge(real, train, roles, target, seed)(samples, only=only, progress=progress)


def column_distances(
    samples: Table,
    real: Table,
    other: Table,
    *,
    roles: Mapping[str, str] | None = None,
    seed: int = 0,
) -> list[columns.ColumnDistance]:
    """Every compared column's distance of `samples` to `real`, beside its real-vs-real floor.

    Args:
        other: training rows, the other side of the floor. All three are cut to one number of rows.
    """
    coded = encode([other, real, samples], roles_of(other, roles))
    case = TableCase(coded[2], coded[1], coded[0], None, seed)
    return columns.distances(*case.equal(columns.MOST)[:3], seed=seed)
