"""A random order of N places that takes no memory: any part of it is worked out when asked for."""

from __future__ import annotations

import math

import numpy as np

from unfog.maths.randomness import mix

ROUNDS = 6
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def shuffled(places: np.ndarray, count: int, key: int) -> np.ndarray:
    """The items that stand at `places` of a pseudo-random order of 0 … count - 1.

    A place is two digits (left, right) in bases a and b with a·b >= count; each round adds a keyed
    hash of one digit to the other, which can be undone, so that no two places get one item. What
    lands beyond `count` is sent round again; that is less than one in sqrt(count).

    Args:
        places: (B,) whole numbers in [0, count).     key: chooses the order.
    Returns: (B,) int64.
    Ref: Black and Rogaway 2002, Ciphers with arbitrary finite domains, section 5.
    """
    a = max(1, math.isqrt(count - 1) + 1)
    b = -(-count // a)
    keys = [np.uint64(mix(key, turn)) for turn in range(ROUNDS)]
    found = _turned(places.astype(np.uint64), a, b, keys)
    beyond = np.flatnonzero(found >= count)
    while len(beyond):
        found[beyond] = _turned(found[beyond], a, b, keys)
        beyond = beyond[found[beyond] >= count]
    return found.astype(np.int64)


def _turned(places: np.ndarray, a: int, b: int, keys: list[np.uint64]) -> np.ndarray:
    left, right = np.divmod(places, np.uint64(b))
    for turn, key in enumerate(keys):
        if turn % 2 == 0:
            left = np.mod(left + np.mod(_hash(right, key), np.uint64(a)), np.uint64(a))
        else:
            right = np.mod(right + np.mod(_hash(left, key), np.uint64(b)), np.uint64(b))
    return left * np.uint64(b) + right


def _hash(digits: np.ndarray, key: np.uint64) -> np.ndarray:
    """SplitMix64's finaliser of digit and key (Steele et al. 2014)."""
    bits = (digits + key) * GOLDEN
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
