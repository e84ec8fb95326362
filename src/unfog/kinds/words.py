"""Words: a reversible vocabulary for captions, whole words where known, else characters."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from unfog.errors import ArgumentError, UnknownName

PIECE = re.compile(
    r" ?\w+| ?[^\w\s]|\s"
)  # a space belongs to the word after it, so that joining restores it
MOST = 4096


@dataclass(frozen=True)
class Words:
    """`tokens` in their order; `length` is the most tokens that one text may take."""

    tokens: list[str]
    length: int

    @classmethod
    def fit(cls, texts: list[str]) -> Words:
        """All characters and the most frequent words of these texts.

        A word that was not seen is spelt, so the length leaves room for twice the longest text.
        """
        counts = Counter(piece for text in texts for piece in PIECE.findall(text))
        characters = sorted({character for text in texts for character in text})
        words = sorted((p for p in counts if len(p) > 1), key=lambda p: (-counts[p], p))[:MOST]
        made = cls([*characters, *words], length=2**31)
        longest = max((len(made.encode("text", text)) for text in texts), default=1)
        return cls(made.tokens, length=-(-2 * longest // 8) * 8)

    @cached_property
    def places(self) -> dict[str, int]:
        """token → its place."""
        return {token: place for place, token in enumerate(self.tokens)}

    def encode(self, name: str, text: str) -> list[int]:
        """The places of the text's tokens. Raises UnknownName for a character never seen."""
        places = self.places
        found: list[int] = []
        for piece in PIECE.findall(text):
            for token in [piece] if piece in places else list(piece):
                if token not in places:
                    raise UnknownName(
                        f"given {name!r}: the character {token!r} in {text!r} is in no training "
                        "text"
                    )
                found.append(places[token])
        if len(found) > self.length:
            raise ArgumentError(
                f"given {name!r}: {text[:40]!r}… takes {len(found)} tokens; at most "
                f"{self.length}: shorten it"
            )
        return found

    def decode(self, places: list[int]) -> str:
        """The text of these tokens."""
        return "".join(self.tokens[place] for place in places)
