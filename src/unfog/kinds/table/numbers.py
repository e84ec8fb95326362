"""Numbers in text: which ways of writing them are understood, and written again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from unfog.kinds.table.distinct import ALMOST, NUMBERS, Reading, Words

PLAIN = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
INFINITE = r"^(?i:[+-]?inf(inity)?)$"
WHOLE = r"^[+-]?\d+$"
ZERO_LED = r"^[+-]?0\d"
COMMA_STYLES = {  # (decimal mark, mark between thousands): pattern
    (",", "."): r"^[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?$",
    (".", ","): r"^[+-]?(\d{1,3}(,\d{3})+|\d{1,3})(\.\d+)?$",
}


def numbers(words: Words) -> Reading | None:
    """Words that are all numbers, as int64 or float64; None where they are text.

    Raises: DataError for a number that isn't finite, and where at least 99 % of the cells are
        numbers or the user said that they are.
    """
    style, good = _style(words)
    if good.all():
        return _parsed(words, style)
    if (words.share(good) >= ALMOST and not words.labels) or words.said in NUMBERS:
        raise words.refuse(~good, "and no number")
    return None


def _style(words: Words) -> tuple[tuple[str, str], np.ndarray]:
    """The way of writing numbers that fits all words, or most cells, and what follows it."""
    infinite = words.match(INFINITE)
    plain = words.match(PLAIN)
    commas = words.match(r"\d,\d")
    order = [(",", "."), (".", ",")] if words.delimiter != "," else [(".", ","), (",", ".")]
    found = [((".", ""), plain | infinite)]
    if commas.any():
        for style in order:
            good = words.match(COMMA_STYLES[style])
            if style == (".", ","):
                good |= plain
            if (good & commas).any():
                found.append((style, good | infinite))
    return max(found, key=lambda one: (one[1].all(), words.share(one[1])))


def _parsed(words: Words, style: tuple[str, str]) -> Reading | None:
    """Words that are all numbers in one style, as int64 or float64; None where text loses less."""
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = words.trimmed
    mark, between = style
    if between:
        plain = pc.replace_substring(plain, between, "")
    if mark == ",":
        plain = pc.replace_substring(plain, ",", ".")
    plain = pc.replace_substring_regex(plain, r"^\+", "")
    if words.match(ZERO_LED).any():
        return None
    whole = pc.match_substring_regex(plain, WHOLE).to_numpy(zero_copy_only=False)
    if whole.all():
        try:
            integers = pc.cast(plain, pa.int64()).to_numpy()
        except pa.ArrowInvalid:
            return None
        return Reading(integers, {"as": "number", **_marks(style, words)}, _remarks(style, words))
    floats = pc.cast(plain, pa.float64()).to_numpy()
    if not np.isfinite(floats).all():
        if words.labels:
            return None
        raise words.refuse(
            ~np.isfinite(floats),
            "and not finite",
            "leave the cell empty",
        )
    spelling: dict[str, Any] = {"as": "number", **_marks(style, words)}
    if not pc.any(pc.match_substring_regex(plain, "[eE]")).as_py():
        lengths = pc.utf8_length(pc.replace_substring_regex(plain, r"^[^.]*\.?", "")).to_numpy()
        spelling["decimals"] = [int(lengths.min()), int(lengths.max())]
    return Reading(floats, spelling, _remarks(style, words))


def _marks(style: tuple[str, str], words: Words) -> dict[str, str]:
    """What of a style is to be written again."""
    mark, between = style
    marks = {"decimal": ","} if mark == "," else {}
    if (
        between
        and words.match(rf"\d[{between}]\d{{3}}([,.]|$)").any()
        and (mark == "." or words.match(r"\d\.\d").any())
    ):
        marks["thousands"] = between
    return marks


def _remarks(style: tuple[str, str], words: Words) -> list[str]:
    marks = _marks(style, words)
    remarks = ["decimals are set off by a comma"] if "decimal" in marks else []
    if "thousands" in marks:
        remarks.append(f"thousands are set off by {marks['thousands']!r}")
    return remarks


def digits(numbers: list[Any], spec: Mapping[str, Any], plain: bool) -> list[str]:
    """Numbers as text; see `spelling.texts`."""
    fewest, most = spec.get("decimals", (0, None))
    between = "," if "thousands" in spec and not plain else ""
    done = []
    for number in numbers:
        if isinstance(number, int):
            text = f"{number:{between}d}"
        elif most is None:
            text = repr(number)
        else:
            text = f"{number:{between}.{most}f}"
            if most > fewest:
                whole, _, part = text.partition(".")
                part = part.rstrip("0").ljust(fewest, "0")
                text = f"{whole}.{part}" if part else whole
        done.append(text)
    if spec.get("decimal") == "," and not plain:
        done = [text.translate({44: 46, 46: 44}) for text in done]
    return done
