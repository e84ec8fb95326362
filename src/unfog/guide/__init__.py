"""Guides: predictor and predictor -> predictor."""

from unfog.guide.auto import auto
from unfog.guide.cfg import cfg, guides
from unfog.guide.classifier import classifier
from unfog.guide.compose import compose
from unfog.guide.diffpir import diffpir
from unfog.guide.dps import dps
from unfog.guide.fill import clean, fill, never
from unfog.guide.hold import Hold
from unfog.guide.measurement import Measurement
from unfog.guide.mmps import mmps
from unfog.guide.only import only
from unfog.guide.operators import operators
from unfog.guide.particles import Swarm, particles
from unfog.guide.pigdm import pigdm
from unfog.guide.projected import projected
from unfog.guide.rescaled import rescaled
from unfog.guide.reward import reward
from unfog.guide.steer import Steer, likelihood
from unfog.guide.within import Within

__all__ = [
    "Hold",
    "Measurement",
    "Steer",
    "Swarm",
    "Within",
    "auto",
    "cfg",
    "classifier",
    "clean",
    "compose",
    "diffpir",
    "dps",
    "fill",
    "guides",
    "likelihood",
    "mmps",
    "never",
    "only",
    "operators",
    "particles",
    "pigdm",
    "projected",
    "rescaled",
    "reward",
]
