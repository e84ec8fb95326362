"""Guides: predictor and predictor -> predictor."""

from unfog.guide.auto import auto
from unfog.guide.cfg import cfg, guides
from unfog.guide.classifier import classifier
from unfog.guide.compose import compose
from unfog.guide.diffpir import diffpir
from unfog.guide.dps import dps
from unfog.guide.fill import clean, fill, never
from unfog.guide.measurement import Measurement
from unfog.guide.mmps import mmps
from unfog.guide.operators import operators
from unfog.guide.pigdm import pigdm
from unfog.guide.projected import projected
from unfog.guide.rescaled import rescaled
from unfog.guide.reward import reward

__all__ = [
    "Measurement",
    "auto",
    "cfg",
    "classifier",
    "clean",
    "compose",
    "diffpir",
    "dps",
    "fill",
    "guides",
    "mmps",
    "never",
    "operators",
    "pigdm",
    "projected",
    "rescaled",
    "reward",
]
