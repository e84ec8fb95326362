"""The normal distribution function and its inverse, float64; scipy loads when first used."""

from __future__ import annotations

from typing import Any


def ndtr(z: Any) -> Any:
    """P(Z <= z) of a standard normal Z."""
    from scipy.special import ndtr as below

    return below(z)


def ndtri(u: Any) -> Any:
    """The z below which a standard normal lies with probability u in (0, 1)."""
    from scipy.special import ndtri as score

    return score(u)
