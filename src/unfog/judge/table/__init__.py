"""Tables on trial: columns, pairs, a two-sample classifier, usefulness, closeness to records."""

from unfog.judge.table.case import TableCase, table_metrics
from unfog.judge.table.columns import ColumnDistance
from unfog.judge.table.evaluate import TableJudge, column_distances, judge_table
from unfog.judge.table.features import roles_of
from unfog.judge.table.records import nearest_rows

__all__ = [
    "ColumnDistance",
    "TableCase",
    "TableJudge",
    "column_distances",
    "judge_table",
    "nearest_rows",
    "roles_of",
    "table_metrics",
]
