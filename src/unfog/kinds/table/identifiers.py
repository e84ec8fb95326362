"""Identifiers: not learnt, issued anew: unique, in the pattern seen, never one of training."""

from __future__ import annotations

import math
import string
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from unfog.errors import DataError, RunError

AMPLE = 1_000_000  # fresh identifiers that a pattern should have
CLASSES = (string.digits, string.ascii_uppercase, string.ascii_lowercase)
LIMIT = np.iinfo(np.int64)


@dataclass(frozen=True)
class Counting:
    """Integers: `first`, first + way, …, on from the largest of training (or the smallest)."""

    first: int
    way: int = 1

    @classmethod
    def fit(cls, values: np.ndarray) -> Counting:
        """Continue after the maximum; before the minimum where int64 ends soon."""
        high, low = int(values.max()), int(values.min())
        return cls(high + 1) if high < LIMIT.max - 2**40 else cls(low - 1, -1)

    def issue(self, start: int, count: int) -> np.ndarray:
        """Numbers start … start + count - 1, int64. Raises: DataError beyond int64."""
        last = self.first + self.way * (start + count)
        if not LIMIT.min <= last <= LIMIT.max:
            raise DataError(f"identifiers from {self.first} on leave int64; ask for fewer samples")
        return self.first + self.way * np.arange(start, start + count, dtype=np.int64)

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {"first": self.first, "way": self.way}


@dataclass(frozen=True)
class Pattern:
    """Strings: a set of characters for each position, counted through in a shuffled order.

    The n-th string of the order has the digits of (origin + n) · factor, modulo how many strings
    there are. No string of training lies in [origin, origin + room), so none is issued, and none
    needs to be stored. Beyond `room` strings get a longer number at their end.

    Attributes:
        places: the characters of each position.     factor: shuffles; coprime to the count.
        origin, room: the largest stretch of the order without a string of training.
        longest: length of the longest string of training.
    """

    places: list[str]
    factor: int
    origin: int
    room: int
    longest: int

    @classmethod
    def fit(cls, values: list[str], seed: int) -> Pattern:
        """The pattern of the most common length, widened by digits until it has room enough."""
        common = Counter(map(len, values)).most_common(1)[0][0]
        typical = [value for value in values if len(value) == common]
        places = [_class({value[i] for value in typical}, typical) for i in range(common)]
        wanted = max(AMPLE, 10 * len(values))
        at = max((i for i, p in enumerate(places) if p == string.digits), default=len(places) - 1)
        while True:
            total = math.prod(map(len, places))
            factor = _coprime(total, seed)
            origin, room = _stretch(places, factor, values)
            if room >= wanted:
                return cls(places, factor, origin, room, max(map(len, values)))
            places = [*places[: at + 1], string.digits, *places[at + 1 :]]

    def issue(self, start: int, count: int) -> np.ndarray:
        """Strings number start … start + count - 1, object."""
        total = math.prod(map(len, self.places))
        found = np.empty(count, dtype=object)
        found[:] = [self._at(number, total) for number in range(start, start + count)]
        return found

    def _at(self, number: int, total: int) -> str:
        block, number = divmod(number, self.room)
        place = (self.origin + number) * self.factor % total
        letters = []
        for characters in reversed(self.places):
            place, digit = divmod(place, len(characters))
            letters.append(characters[digit])
        text = "".join(reversed(letters))
        return text + (str(block).zfill(self.longest + 1) if block else "")

    def to_json(self) -> dict[str, Any]:
        """All of it; large whole numbers as text."""
        return {
            "places": self.places,
            "factor": str(self.factor),
            "origin": str(self.origin),
            "room": str(self.room),
            "longest": self.longest,
        }


Identifiers = Counting | Pattern


def fit_identifiers(values: np.ndarray, seed: int) -> Identifiers:
    """The rule that issues identifiers like these, which are known and distinct."""
    if values.dtype == object:
        return Pattern.fit(values.tolist(), seed)
    return Counting.fit(values)


def identifiers_from_json(config: dict[str, Any]) -> Identifiers:
    """The inverse of `to_json`. Raises: RunError for a rule that issues nothing."""
    if "first" in config:
        return Counting(int(config["first"]), int(config["way"]))
    made = Pattern(
        [str(place) for place in config["places"]],
        int(config["factor"]),
        int(config["origin"]),
        int(config["room"]),
        int(config["longest"]),
    )
    if not made.places or not all(made.places) or made.room < 1:
        raise RunError("the codec's identifiers have an empty pattern; fit again")
    return made


def _class(seen: set[str], values: list[str]) -> str:
    """The characters that a position may hold: one that never changes stays, digits and letters
    become all of their class (hexadecimal where no other letter occurs anywhere), others stay.
    """
    if len(seen) == 1 and len(values) > 1:
        return "".join(seen)
    letters = {c for value in values for c in value if c in string.ascii_letters}
    hexadecimal = letters <= set("abcdef") or letters <= set("ABCDEF")
    allowed = set(seen)
    for characters in CLASSES:
        if seen & set(characters):
            part = set(characters)
            allowed |= part & set(string.hexdigits) if hexadecimal else part
    return "".join(sorted(allowed))


def _coprime(total: int, seed: int) -> int:
    """A factor that shuffles 0 … total - 1, near the golden section of it."""
    factor = total * 6180339887 // 10**10 + seed % 1009 + 1
    while math.gcd(factor, total) != 1:
        factor += 1
    return factor


def _stretch(places: list[str], factor: int, values: list[str]) -> tuple[int, int]:
    """(origin, length) of the largest stretch of the order that holds none of these strings."""
    total = math.prod(map(len, places))
    inverse = pow(factor, -1, total) if total > 1 else 0
    index = [{c: i for i, c in enumerate(characters)} for characters in places]
    taken = []
    for value in values:
        if len(value) != len(places) or any(c not in i for c, i in zip(value, index)):
            continue
        place = 0
        for c, digits in zip(value, index):
            place = place * len(digits) + digits[c]
        taken.append(place * inverse % total)
    if not taken:
        return 0, total
    taken.sort()
    gaps = [(b - a - 1, a + 1) for a, b in zip(taken, [*taken[1:], taken[0] + total])]
    room, origin = max(gaps)
    return origin % total, room
