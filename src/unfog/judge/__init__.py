"""Floor 7: numbers about samples, each with an interval and the floor that real data reaches."""

from unfog.judge.case import Case, Metric, metrics
from unfog.judge.classifier import JudgeNet, train_judge
from unfog.judge.evaluate import Panel, judge
from unfog.judge.figure import Figure
from unfog.judge.frechet import frechet
from unfog.judge.hitrate import hit_rate
from unfog.judge.novelty import Novelty, nearest, novelty
from unfog.judge.sliced import sliced
from unfog.judge.twosample import Auc, c2st, energy_test

__all__ = [
    "Auc",
    "Case",
    "Figure",
    "JudgeNet",
    "Metric",
    "Novelty",
    "Panel",
    "c2st",
    "energy_test",
    "frechet",
    "hit_rate",
    "judge",
    "metrics",
    "nearest",
    "novelty",
    "sliced",
    "train_judge",
]
