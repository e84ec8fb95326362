"""Guides: predictor and predictor -> predictor."""

from unfog.guide.cfg import cfg, guides
from unfog.guide.fill import clean, fill, never

__all__ = ["cfg", "clean", "fill", "guides", "never"]
