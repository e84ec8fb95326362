"""Columns of text as typed cells, and back: what counts as a number, a date, a missing cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unfog.kinds.table.cells import Cells
from unfog.kinds.table.dates import durations, moments, written
from unfog.kinds.table.distinct import ALMOST, DATES, Reading, Words
from unfog.kinds.table.numbers import ZERO_LED, digits, numbers

MISSING = (*("NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NaT", "null", "NULL", "None", "?"),)
NARROW = {"float32", "Float32", "float"}  # numpy's, pandas' and Arrow's word for 32 bits


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
            "date:day-first" and "date:month-first" settle dates such as 3/4/2020.
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
    gone = pc.equal(trimmed, "").to_numpy(zero_copy_only=False)
    listed = [one.strip() for one in (MISSING if missing is None else missing)]
    marked = ~gone & pc.is_in(trimmed, pa.array(listed, trimmed.type)).to_numpy(
        zero_copy_only=False
    )
    if marked.any() and (missing is not None or not _prose(trimmed, counts, ~gone & ~marked)):
        gone |= marked
    absent: dict[str, int] = {}
    for one in np.flatnonzero(gone):
        word = trimmed[int(one)].as_py()
        absent[word] = absent.get(word, 0) + int(counts[one])
    present = ~gone[codes]
    if gone.all():
        empty = np.full(len(codes), None, dtype=object)
        return Spelt(Cells(empty, present), {"as": "nothing"}, ["no cell is known"], absent)
    rows = np.full(len(words), len(codes), dtype=np.int64)
    np.minimum.at(rows, codes, np.arange(len(codes)))
    known = Words(
        column, trimmed.filter(pa.array(~gone)), counts[~gone], rows[~gone], delimiter, said
    )
    read = _typed(known)
    if read is None:
        read = _kept(words.filter(pa.array(~gone)), known)
    values = np.zeros(len(words), dtype=read.values.dtype)
    if values.dtype == object:
        values[:] = None
    values[~gone] = read.values
    usual = max(absent, key=lambda word: absent[word], default="")
    if usual in MISSING:
        read.spelling["missing"] = usual
    return Spelt(Cells(values[codes], present), read.spelling, read.remarks, absent)


def _prose(words: Any, counts: np.ndarray, known: np.ndarray) -> bool:
    """Whether the known words look like free text: most have a space and few repeat."""
    import pyarrow.compute as pc

    spaced = pc.match_substring(words, " ").to_numpy(zero_copy_only=False) & known
    distinct = known.sum()
    return bool(distinct > 2 and spaced.sum() > distinct / 2 and counts[known].sum() < 5 * distinct)


def _typed(words: Words) -> Reading | None:
    """The first reading that fits all words, else None. Raises DataError if one nearly fits."""
    if words.said == "text":
        return None
    lower = [word.lower() for word in words.trimmed.to_pylist()] if len(words.rows) <= 8 else ["-"]
    if set(lower) <= {"true", "false"}:
        return _truth(words)
    read = numbers(words)
    return read if read is not None or words.match(r"^[+-]?\d+$").all() else _moments(words)


def _truth(words: Words) -> Reading:
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
    return Reading(values, spelling)


def _moments(words: Words) -> Reading | None:
    """Words that are all dates (times, durations) in one order of day and month; else None."""
    if words.labels:
        return None
    likely = ["Ymd"] if words.match(r"^\d{4}[-/.]\d").any() else []
    if words.match(r"^\d{1,2}[-/.]\d").any():
        wanted = {"date:day-first": ["dmY"], "date:month-first": ["mdY"]}
        likely += wanted.get(words.said or "", ["dmY", "mdY"])
    readings = {order: moments(words.trimmed, order) for order in likely}
    if words.match(r"^-?\d+ days?").any():
        readings["duration"] = durations(words.trimmed)
    fits = {order: reading for order, reading in readings.items() if reading.good.all()}
    if "dmY" in fits and "mdY" in fits and (fits["dmY"].values != fits["mdY"].values).any():
        if words.said == "date":
            raise words.refuse(
                fits["dmY"].good,
                "where day and month can be told apart by nothing",
                f"declare the order: types={{{words.column!r}: 'date:day-first'}}",
            )
        return None
    if fits:
        best = next(iter(fits.values()))
        return Reading(best.values, best.spelling, best.notes)
    good = max((one.good for one in readings.values()), key=words.share, default=None)
    if words.said in DATES or (good is not None and words.share(good) >= ALMOST):
        bad = words.counts > 0 if good is None or good.all() else ~good
        raise words.refuse(bad, "and no date or time")
    return None


def _kept(raw: Any, words: Words) -> Reading:
    """Words as they are, with what a reader of the table should know about them."""
    texts = np.array(raw.to_pylist(), dtype=object)
    remarks = []
    if words.match(r"^[+-]?\d+$").all() and not words.labels:
        zeros = words.match(ZERO_LED).any()
        remarks.append(
            "numbers with leading zeros stay text" if zeros else "integers beyond 64 bits stay text"
        )
    elif words.match(r"^\d{1,2}[-/]\d{1,2}[-/]\d{4}").all() and not words.labels:
        remarks.append(
            "dates whose day and month can be told apart by nothing stay text, unless types= says "
            "'date:day-first' or 'date:month-first'"
        )
    if words.match(r".").any() and any(one != one.strip() for one in texts):
        remarks.append("spaces around values are kept")
    return Reading(texts, {"as": "text"}, remarks)


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
        done = digits(known.tolist(), spec, plain)
    else:
        done = [str(one) for one in known]
    whole = np.full(len(cells), spec.get("missing", ""), dtype=object)
    whole[cells.present] = done
    return whole.tolist()
