"""Orders that take no memory are orders, differ by key, and favour nothing."""

import numpy as np
import pytest
from scipy.stats import chi2

from unfog.maths.shuffle import shuffled


@pytest.mark.parametrize("count", [1, 2, 3, 7, 100, 9973, 65536])
def test_every_item_stands_at_one_place(count):
    order = shuffled(np.arange(count), count, 5)
    assert np.array_equal(np.sort(order), np.arange(count))
    places = np.array([0, count - 1, count // 2])
    assert np.array_equal(shuffled(places, count, 5), order[places])  # whatever else is asked


def test_pairs_of_places_hold_all_pairs_of_items_alike():
    counts = np.zeros((7, 7))
    for key in range(6000):
        first, second = shuffled(np.array([0, 1]), 7, key)
        counts[first, second] += 1
    off = counts[~np.eye(7, dtype=bool)]
    statistic = float(((off - 6000 / 42) ** 2 / (6000 / 42)).sum())
    assert statistic < chi2.ppf(0.9999, 41)
    assert counts.trace() == 0
