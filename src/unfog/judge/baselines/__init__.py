"""Generators that cost nothing, beside ours: bootstrap, independent, copula, neighbours, SMOTE."""

from unfog.judge.baselines import copula, neighbours, resample  # noqa: F401  (registry rows)
from unfog.judge.baselines.compare import OURS, compare, verdict
from unfog.judge.baselines.registry import Baseline, baselines

__all__ = ["OURS", "Baseline", "baselines", "compare", "verdict"]
