"""Power-function averages after the fact: which sum of stored averages is one of another length.

An average of exponent gamma, taken until step s, weighs the weights at step r by the profile

    p(r) = (gamma + 1) r^gamma / s^(gamma + 1),   0 <= r <= s

so that a sum of stored averages is an average too, of the sum of their profiles. The sum that comes
nearest to a wanted profile, in the mean square, solves a few linear equations. Beyond the paper,
its factors add up to 1: what all weights have in common comes through whole, however few are
stored.

Ref: Karras et al. 2024, EDM2, section 3.2 and appendix C.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unfog.errors import ArgumentError
from unfog.model.ema import exponent


@dataclass(frozen=True)
class Profile:
    """How much the weights of each step count in an average.

    Args:
        length: standard deviation as a share of the steps until then.     step: the last one.
    """

    length: float
    step: int

    @property
    def gamma(self) -> float:
        """The exponent of the power function."""
        return exponent(self.length)


def inner(a: Profile, b: Profile) -> float:
    """The integral of the product of two profiles over all steps.

        (g_a + 1)(g_b + 1) / (g_a + g_b + 1)  *  (m/s_a)^g_a (m/s_b)^g_b  *  m / (s_a s_b)

    with m the smaller of the last steps s_a and s_b.
    """
    m = min(a.step, b.step)
    ga, gb = a.gamma, b.gamma
    shrunk = ga * math.log(m / a.step) + gb * math.log(m / b.step)
    return (ga + 1) * (gb + 1) / (ga + gb + 1) * math.exp(shrunk) * m / (a.step * b.step)


def shares(stored: Sequence[Profile], wanted: Profile) -> tuple[np.ndarray, float]:
    """How much of each stored average makes the wanted one, and how far off that is.

    Returns: (N,) float64 factors that add up to 1; and the distance of the two profiles as a share
        of the wanted one's norm, 0 = the same.
    Raises: ArgumentError where nothing is stored.
    """
    if not stored:
        raise ArgumentError("there are no stored averages to make another from")
    products = np.array([[inner(a, b) for b in stored] for a in stored])
    target = np.array([inner(a, wanted) for a in stored])
    scale = 1 / np.sqrt(np.diag(products))  # early profiles are short and high: on one scale
    count = len(stored)
    system = np.zeros((count + 1, count + 1))
    system[:count, :count] = products * scale[:, None] * scale
    system[count, :count] = system[:count, count] = scale / scale.max()
    right = np.append(target * scale, 1 / scale.max())
    factors = np.linalg.lstsq(system, right, rcond=1e-13)[0][:count] * scale
    own = inner(wanted, wanted)
    missed = factors @ products @ factors - 2 * factors @ target + own
    return factors, math.sqrt(max(0.0, missed / own))
