"""Guides: predictor and predictor -> predictor."""

from unfog.guide.cfg import cfg, guides
from unfog.guide.fill import fill

__all__ = ["cfg", "fill", "guides"]
