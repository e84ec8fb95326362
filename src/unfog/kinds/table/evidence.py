"""Evidence: when a rule that holds in every row is a rule, and when it could be chance.

If a column's cells stood in any other order, a rule would not hold. A column whose values occur
c_1, c_2, … times has N! / (c_1! c_2! …) orders; a rule with a free choice of F possibilities fits
F of them at most. So the chance that some rule of its kind holds by accident, in a column that has
nothing to do with the others, is at most F · tries / orders.
"""

from __future__ import annotations

import math

import numpy as np

ROWS = 50  # fewer are no evidence
DISTINCT = 10  # values of a column that arithmetic explains: rounding explains fewer too easily
CHANCE = 1e-6  # that a table of unrelated columns shows any rule of one kind


def orders(values: np.ndarray) -> float:
    """log of how many distinct orders values (N,) have."""
    _, counts = np.unique(values, return_counts=True)
    return float(math.lgamma(len(values) + 1) - sum(map(math.lgamma, (counts + 1.0).tolist())))


def certain(values: np.ndarray, freedom: float, tries: int) -> bool:
    """Whether a rule that holds for all these values (N,) is no accident.

    Args:
        freedom: log of how many rules of this form the search may choose from.
        tries: how many columns and pairs were tried.
    """
    if len(values) < ROWS:
        return False
    return orders(values) - freedom >= math.log(max(tries, 1) / CHANCE)
