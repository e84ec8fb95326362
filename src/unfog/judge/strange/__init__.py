"""How strange rows are: detectors with a part for every column, and calibrated p-values."""

from unfog.judge.strange import denoise, flow, neighbours, noised  # noqa: F401  (they enter their rows)
from unfog.judge.strange.case import Case, Detector, Owners, Rows, detectors
from unfog.judge.strange.conformal import p_values, strangest

__all__ = ["Case", "Detector", "Owners", "Rows", "detectors", "p_values", "strangest"]
