"""Columns of text as typed cells, and back: what counts as a number, a date, a missing cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unfog.errors import DataError
from unfog.kinds.table.cells import Cells
from unfog.kinds.table.dates import Moments, durations, moments, written

MISSING = (*("NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NaT", "null", "NULL", "None", "?"),)
LABELS = frozenset({"category", "class", "ordinal", "identifier", "id", "text", "string"})
NUMBERS = frozenset({"number", "continuous", "float", "integer", "int"})
NARROW = {"float32", "Float32", "float"}  # numpy's, pandas' and Arrow's word for 32 bits
ALMOST = 0.99  # from this share of numbers on, what isn't one is taken for a mistake
PLAIN = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
INFINITE = r"^(?i:[+-]?inf(inity)?)$"
WHOLE = r"^[+-]?\d+$"
ZERO_LED = r"^[+-]?0\d"
COMMA_STYLES = {  # (decimal mark, mark between thousands): pattern
    (",", "."): r"^[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?$",
    (".", ","): r"^[+-]?(\d{1,3}(,\d{3})+|\d{1,3})(\.\d+)?$",
}


@dataclass(frozen=True)
class Spelt:
    """One column of text, understood.

    Attributes:
        cells: its typed cells.      spelling: JSON-able; how to write it again.
        remarks: sentences to be said about the column.      absent: spelling -> missing cells.
    """

    cells: Cells
    spelling: dict[str, Any]
    remarks: list[str] = field(default_factory=list)
    absent: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Words:
    """The distinct known values of one column: trimmed, counted, with their first row."""

    column: str
    trimmed: Any  # pyarrow array (W,)
    counts: np.ndarray
    rows: np.ndarray
    delimiter: str

    def match(self, pattern: str) -> np.ndarray:
        import pyarrow.compute as pc

        found = pc.match_substring_regex(self.trimmed, pattern)
        return found.to_numpy(zero_copy_only=False).astype(bool)

    def share(self, good: np.ndarray) -> float:
        return float(self.counts[good].sum() / self.counts.sum())

    def refuse(self, bad: np.ndarray, what: str, fix: str) -> DataError:
        """The error for the first row with a bad word."""
        at = np.flatnonzero(bad)[np.argmin(self.rows[bad])]
        return DataError(
            f"row {self.rows[at] + 1} of column {self.column!r} is "
            f"{self.trimmed[int(at)].as_py()!r} {what} (rows are counted from 1 below the "
            f"names); {fix}"
        )


def understand(
    column: str,
    texts: Any,
    *,
    said: str | None = None,
    missing: Sequence[str] | None = None,
    delimiter: str = ",",
) -> Spelt:
    """Type one column of text (a pyarrow array of N strings).

    Integers that fit become int64, other numbers float64, true and false bool, dates and times
    datetime64[us], durations timedelta64[us]; what has leading zeros, is beyond int64 or is none
    of these stays text. Spaces around a value count for none of it, and stay in text.

    Args:
        said: the user's own word for the column's type, which forbids or demands numbers and dates;
            "day-first" and "month-first" settle dates such as 3/4/2020.
        missing: the words for a missing cell besides the empty one; else MISSING, in columns that
            are not free text.
    Raises: DataError with row and value for a number that isn't finite, and for the few values of a
        column that are no numbers (dates) where at least 99 % are.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    coded = texts.dictionary_encode()
    codes = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    words, trimmed = coded.dictionary, pc.utf8_trim_whitespace(coded.dictionary)
    counts = np.bincount(codes, minlength=len(words))
    spelt = np.array(trimmed.to_pylist(), dtype=object)
    gone = spelt == ""
    if missing is not None:
        gone |= np.isin(spelt.astype(str), [one.strip() for one in missing])
    elif not _prose(spelt[~gone], counts[~gone]):
        gone |= np.array([one in MISSING for one in spelt], dtype=bool)
    absent: dict[str, int] = {}
    for one, count in zip(spelt[gone], counts[gone]):
        absent[one] = absent.get(one, 0) + int(count)
    present = ~gone[codes]
    if gone.all():
        empty = np.full(len(codes), None, dtype=object)
        return Spelt(Cells(empty, present), {"as": "nothing"}, ["no cell is known"], absent)
    rows = np.full(len(words), len(codes), dtype=np.int64)
    np.minimum.at(rows, codes, np.arange(len(codes)))
    known = _Words(column, trimmed.filter(pa.array(~gone)), counts[~gone], rows[~gone], delimiter)
    read = _typed(known, said)
    if read is None:
        read = _kept(words.filter(pa.array(~gone)), known, said)
    values = np.zeros(len(words), dtype=read.values.dtype)
    if values.dtype == object:
        values[:] = None
    values[~gone] = read.values
    usual = max(absent, key=lambda word: absent[word], default="")
    if usual in MISSING:
        read.spelling["missing"] = usual
    return Spelt(Cells(values[codes], present), read.spelling, read.remarks, absent)


@dataclass(frozen=True)
class _Read:
    """Words as values."""

    values: np.ndarray
    spelling: dict[str, Any]
    remarks: list[str] = field(default_factory=list)


def _prose(words: np.ndarray, counts: np.ndarray) -> bool:
    """Whether distinct words look like free text: most have a space and few repeat."""
    if len(words) < 3:
        return False
    spaced = sum(" " in word for word in words)
    return spaced > len(words) / 2 and float(counts.sum()) / len(words) < 5


def _typed(words: _Words, said: str | None) -> _Read | None:
    """The first reading that fits all words, else None. Raises DataError if one nearly fits."""
    if said in ("text", "string"):
        return None
    lower = [word.lower() for word in words.trimmed.to_pylist()] if len(words.rows) <= 8 else ["-"]
    if set(lower) <= {"true", "false"}:
        return _truth(words)
    style, good = _style(words)
    if good.all():
        return _numbers(words, style, said)
    if (words.share(good) >= ALMOST and said not in LABELS) or said in NUMBERS:
        raise words.refuse(
            ~good,
            "and no number",
            f"correct the cell, or declare the column: types={{{words.column!r}: 'category'}}",
        )
    return _moments(words, said)


def _truth(words: _Words) -> _Read:
    """Columns of true and false, with the spelling of each."""
    values = np.array([word.lower() == "true" for word in words.trimmed.to_pylist()])
    spelling: dict[str, Any] = {"as": "truth"}
    for truth, word in ((True, "true"), (False, "false")):
        ours = np.flatnonzero(values == truth)
        if len(ours):
            best = ours[np.argmax(words.counts[ours])]
            spelling[word] = words.trimmed[int(best)].as_py()
    for word, other in (("true", "false"), ("false", "true")):
        like = spelling.get(word, spelling.get(other, ""))
        alike = word.upper() if like.isupper() else word if like.islower() else word.title()
        spelling.setdefault(word, alike)
    return _Read(values, spelling)


def _style(words: _Words) -> tuple[tuple[str, str], np.ndarray]:
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


def _numbers(words: _Words, style: tuple[str, str], said: str | None) -> _Read | None:
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
        return _Read(integers, {"as": "number", **_marks(style, words)}, _said(style, words))
    floats = pc.cast(plain, pa.float64()).to_numpy()
    if not np.isfinite(floats).all():
        if said in LABELS:
            return None
        raise words.refuse(
            ~np.isfinite(floats),
            "and not finite",
            f"leave the cell empty, or declare the column: types={{{words.column!r}: 'category'}}",
        )
    spelling: dict[str, Any] = {"as": "number", **_marks(style, words)}
    texts = plain.to_pylist()
    if not any("e" in one or "E" in one for one in texts):
        digits = [len(one.partition(".")[2]) for one in texts]
        spelling["decimals"] = [min(digits), max(digits)]
    return _Read(floats, spelling, _said(style, words))


def _marks(style: tuple[str, str], words: _Words) -> dict[str, str]:
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


def _said(style: tuple[str, str], words: _Words) -> list[str]:
    marks = _marks(style, words)
    remarks = ["decimals are set off by a comma"] if "decimal" in marks else []
    if "thousands" in marks:
        remarks.append(f"thousands are set off by {marks['thousands']!r}")
    return remarks


def _moments(words: _Words, said: str | None) -> _Read | None:
    """Words that are all dates (times, durations) in one order of day and month; else None."""
    sample = words.trimmed.slice(0, 1000)
    likely = [
        order
        for order, first in {"Ymd": r"^\d{4}[-/.]\d", "dmY": r"^\d{1,2}[-/.]\d"}.items()
        if any(_begins(sample, first))
    ]
    if said in LABELS:
        return None
    if "dmY" in likely:
        likely.append("mdY")
    readings = {order: moments(words.trimmed, order) for order in likely}
    if words.match(r"^-?\d+ days?").any():
        readings["duration"] = durations(words.trimmed)
    fits = {order: reading for order, reading in readings.items() if reading.good.all()}
    if "dmY" in fits and "mdY" in fits and (fits["dmY"].values != fits["mdY"].values).any():
        wanted = {"day-first": "dmY", "month-first": "mdY"}.get(said or "")
        if wanted is None:
            return None
        fits = {wanted: fits[wanted]}
    if fits:
        best = next(iter(fits.values()))
        return _Read(best.values, best.spelling, best.notes)
    near: Moments | None = max(
        readings.values(), key=lambda one: words.share(one.good), default=None
    )
    if near is not None and words.share(near.good) >= ALMOST:
        raise words.refuse(
            ~near.good,
            "and no date or time",
            f"correct the cell, or declare the column: types={{{words.column!r}: 'category'}}",
        )
    return None


def _begins(words: Any, pattern: str) -> list[bool]:
    import pyarrow.compute as pc

    return pc.match_substring_regex(words, pattern).to_pylist()


def _kept(raw: Any, words: _Words, said: str | None) -> _Read:
    """Words as they are, with what a reader of the table should know about them."""
    texts = np.array(raw.to_pylist(), dtype=object)
    remarks = []
    if words.match(r"^[+-]?\d+$").all() and said not in LABELS:
        zeros = words.match(ZERO_LED).any()
        remarks.append(
            "numbers with leading zeros stay text" if zeros else "integers beyond 64 bits stay text"
        )
    elif words.match(r"^\d{1,2}[-/]\d{1,2}[-/]\d{4}").all() and said not in LABELS:
        remarks.append(
            "dates whose day and month can be told apart by nothing stay text: give types= "
            "'day-first' or 'month-first'"
        )
    if words.match(r".").any() and any(one != one.strip() for one in texts):
        remarks.append("spaces around values are kept")
    return _Read(texts, {"as": "text"}, remarks)


def texts(cells: Cells, spec: Mapping[str, Any], *, plain: bool = True) -> list[str]:
    """N texts of one column, in the spelling that it was read in.

    Floats get the decimals that the column had (at least its fewest, at most its most), or as many
    as it takes to read the same number again where it had none.

    Args:
        spec: the column's entry in `Items.origin["columns"]`.
        plain: write 1234.5 even where the column was written 1.234,5.
    """
    known, spelt = cells.known(), "as" in spec
    kind = known.dtype.kind
    if kind == "b":
        words = (spec.get("false", "False"), spec.get("true", "True"))
        done = [words[truth] for truth in known.tolist()]
    elif kind in "Mm":
        zoned = {"parts": 3, "zone": "Z"} if "zone" in spec else {}
        done = written(known, spec if spelt else zoned)
    elif kind == "f" and NARROW & {spec.get("dtype"), spec.get("arrow")}:
        done = [str(one) for one in known.astype(np.float32)]
    elif kind in "fi":
        done = _digits(known.tolist(), spec, plain)
    else:
        done = [str(one) for one in known]
    whole = np.full(len(cells), spec.get("missing", ""), dtype=object)
    whole[cells.present] = done
    return whole.tolist()


def _digits(numbers: list[Any], spec: Mapping[str, Any], plain: bool) -> list[str]:
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
                whole, _, digits = text.partition(".")
                digits = digits.rstrip("0").ljust(fewest, "0")
                text = f"{whole}.{digits}" if digits else whole
        done.append(text)
    if spec.get("decimal") == "," and not plain:
        done = [text.translate({44: 46, 46: 44}) for text in done]
    return done
