"""Floor 7: numbers about samples, each with an interval and the floor that real data reaches."""

from unfog.judge.baselines import Baseline, baselines, compare, verdict
from unfog.judge.case import Case, Metric, metrics
from unfog.judge.classifier import JudgeNet, train_judge
from unfog.judge.evaluate import Panel, judge
from unfog.judge.figure import Figure
from unfog.judge.frechet import frechet
from unfog.judge.hitrate import hit_rate
from unfog.judge.manifold import Manifold, manifold
from unfog.judge.mmd import mmd
from unfog.judge.novelty import Novelty, nearest, novelty
from unfog.judge.sliced import sliced
from unfog.judge.table import (
    ColumnDistance,
    TableJudge,
    column_distances,
    judge_table,
    table_metrics,
)
from unfog.judge.twosample import Auc, c2st, energy_test

__all__ = [
    "Auc",
    "Baseline",
    "Case",
    "ColumnDistance",
    "Figure",
    "JudgeNet",
    "Manifold",
    "Metric",
    "Novelty",
    "Panel",
    "TableJudge",
    "baselines",
    "c2st",
    "column_distances",
    "compare",
    "energy_test",
    "frechet",
    "hit_rate",
    "judge",
    "judge_table",
    "manifold",
    "metrics",
    "mmd",
    "nearest",
    "novelty",
    "sliced",
    "table_metrics",
    "train_judge",
    "verdict",
]
