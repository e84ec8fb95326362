"""Dates, times and durations in text: how they are spelt, read, and written the same way again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

TIME = (
    r"(?:(?P<sep>[T ])(?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:\.(?P<f>\d{1,9}))?)?"
    r" ?(?P<zone>Z|UTC|[+-]\d{2}:?\d{2})?)?$"
)
YEAR_FIRST = r"^(?P<Y>\d{4})(?P<mark>[-/.])(?P<m>\d{1,2})[-/.](?P<d>\d{1,2})" + TIME
DAY_FIRST = r"^(?P<d>\d{1,2})(?P<mark>[-/.])(?P<m>\d{1,2})[-/.](?P<Y>\d{4})" + TIME
MONTH_FIRST = r"^(?P<m>\d{1,2})(?P<mark>[-/])(?P<d>\d{1,2})[-/](?P<Y>\d{4})" + TIME
ORDERS = {"Ymd": YEAR_FIRST, "dmY": DAY_FIRST, "mdY": MONTH_FIRST}
DURATION = (
    r"^(?P<days>-?\d{1,7}) days?(?: (?P<sign>[+-]?)(?P<H>\d{1,2}):(?P<M>\d{2}):(?P<S>\d{2})"
    r"(?:\.(?P<f>\d{1,9}))?)?$"
)
SECOND = 1_000_000  # microseconds


@dataclass(frozen=True)
class Moments:
    """One reading of words as moments (or durations).

    Attributes:
        values: (W,) datetime64[us] (UTC where zoned) or timedelta64[us].
        good: (W,) bool; False = not one.      spelling: JSON-able, for `written`.
        notes: what was normalised.
    """

    values: np.ndarray
    good: np.ndarray
    spelling: dict[str, Any]
    notes: list[str]


def moments(words: Any, order: str) -> Moments:
    """Words (a pyarrow array of W trimmed strings) as dates in one order of "Ymd", "dmY", "mdY"."""
    parts = _parts(words, ORDERS[order])
    year, month, day = (_number(parts, key) for key in "Ymd")
    hour, minute, second = (_number(parts, key) for key in "HMS")
    good = _given(parts["Y"])
    good &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
    good &= (hour < 24) & (minute < 60) & (second < 60)
    months = ((np.where(good, year, 1970) - 1970) * 12 + np.where(good, month, 1) - 1).astype(
        "datetime64[M]"
    )
    days = months.astype("datetime64[D]") + (np.where(good, day, 1) - 1)
    good &= days.astype("datetime64[M]") == months
    seconds = (hour * 60 + minute) * 60 + second
    micro = seconds * SECOND + _micro(parts["f"])
    offset = parts["zone"].each(_offset)
    values = days.astype("datetime64[us]") + (micro - offset * 60 * SECOND)
    zoned = _given(parts["zone"])
    notes = []
    if zoned[good].any() and not zoned[good].all():
        good = np.zeros_like(good)  # zoned and unzoned moments can't be compared
    elif (offset[good] != 0).any():
        notes.append("times were converted to UTC")
    if any(text[6:].strip("0") for text in parts["f"].among(good)):
        notes.append("times are kept to the microsecond")
    return Moments(values, good, _spelling(parts, good, order), notes)


def durations(words: Any) -> Moments:
    """Words such as "2 days 03:04:05.5" as timedelta64[us]."""
    parts = _parts(words, DURATION)
    good = _given(parts["days"])
    days, sign = _number(parts, "days"), parts["sign"].each(lambda text: -1 if text == "-" else 1)
    seconds = (_number(parts, "H") * 60 + _number(parts, "M")) * 60 + _number(parts, "S")
    micro = days * 86400 * SECOND + sign * (seconds * SECOND + _micro(parts["f"]))
    return Moments(micro.astype("timedelta64[us]"), good, {"as": "duration"}, [])


def written(values: np.ndarray, spelling: Mapping[str, Any]) -> list[str]:
    """datetime64[us] or timedelta64[us] (N,) as text, in the spelling that was read.

    Digits that the spelling has no room for (seconds of a date, say) are still written.
    """
    if values.dtype.kind == "m":
        return [_duration(micro) for micro in values.astype(np.int64).tolist()]
    offset = int(spelling.get("offset", 0))
    values = values + np.timedelta64(offset, "m")
    days = values.astype("datetime64[D]")
    micro = (values - days).astype(np.int64)
    dates = np.datetime_as_string(days).astype(object).tolist()
    order, mark = spelling.get("order", "Ymd"), spelling.get("mark", "-")
    if order != "Ymd" or mark != "-" or not spelling.get("padded", True):
        dates = [_date(one, order, mark, spelling.get("padded", True)) for one in dates]
    parts, digits = int(spelling.get("parts", 0)), int(spelling.get("digits", 0))
    if micro.any():
        parts = max(parts, 3 if (micro % (60 * SECOND)).any() else 2)
        finest = next(k for k in range(7) if not (micro % 10 ** (6 - k)).any())
        digits = max(digits, finest)
    if parts == 0:
        return dates
    sep, zone = spelling.get("sep", " "), spelling.get("zone", "")
    return [date + sep + _clock(m, parts, digits) + zone for date, m in zip(dates, micro.tolist())]


@dataclass(frozen=True)
class _Part:
    """One group of a pattern in W words: its distinct texts, and which of them each word has."""

    texts: list[str]
    codes: np.ndarray

    def each(self, of: Callable[[str], int | bool], dtype: type = np.int64) -> np.ndarray:
        """(W,) what `of` says of every word's text."""
        return np.array([of(text) for text in self.texts], dtype=dtype)[self.codes]

    def among(self, good: np.ndarray) -> list[str]:
        """The distinct texts of some of the words, sorted."""
        return sorted(self.texts[code] for code in np.unique(self.codes[good]))


def _parts(words: Any, pattern: str) -> dict[str, _Part]:
    """The pattern's groups; an absent one has the text ""."""
    import pyarrow.compute as pc

    found = pc.extract_regex(words, pattern=pattern)
    parts = {}
    for i, column in enumerate(found.flatten()):  # nulls of the struct become nulls here
        coded = pc.fill_null(column, "").dictionary_encode()
        codes = coded.indices.to_numpy(zero_copy_only=False)
        parts[found.type.field(i).name] = _Part(coded.dictionary.to_pylist(), codes)
    return parts


def _number(parts: Mapping[str, _Part], key: str) -> np.ndarray:
    return parts[key].each(lambda text: int(text or 0))


def _micro(part: _Part) -> np.ndarray:
    return part.each(lambda text: int(text[:6].ljust(6, "0")))


def _given(part: _Part) -> np.ndarray:
    return part.each(bool, bool)


def _offset(zone: str) -> int:
    """Minutes east of UTC."""
    if zone in ("", "Z", "UTC"):
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[-2:])
    return -minutes if zone[0] == "-" else minutes


def _spelling(parts: Mapping[str, _Part], good: np.ndarray, order: str) -> dict[str, Any]:
    """How the good ones are written; where they differ, what loses nothing."""
    kept = {key: part.among(good) for key, part in parts.items()}
    if not good.any():
        return {"as": "date", "order": order}
    zones = [zone for zone in kept["zone"] if zone]
    same = len(zones) == 1
    return {
        "as": "date",
        "order": order,
        "mark": kept["mark"][0],
        "padded": all(len(text) == 2 for key in "md" for text in kept[key]),
        "parts": 3 if any(kept["S"]) else 2 if any(kept["H"]) else 0,
        "digits": min(max(len(text) for text in kept["f"]), 6),
        "sep": kept["sep"][-1] or " ",
        "zone": (zones[0] if same else "Z") if zones else "",
        "offset": _offset(zones[0]) if same else 0,
    }


def _date(iso: str, order: str, mark: str, padded: bool) -> str:
    year, month, day = iso.split("-")
    if not padded:
        month, day = month.lstrip("0"), day.lstrip("0")
    fields = {"Y": year, "m": month, "d": day}
    return mark.join(fields[key] for key in order)


def _clock(micro: int, parts: int, digits: int) -> str:
    seconds, micro = divmod(micro, SECOND)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}"
    if parts >= 3:
        text += f":{seconds % 60:02}"
        if digits:
            text += f".{micro:06}"[: digits + 1]
    return text


def _duration(micro: int) -> str:
    days, rest = divmod(micro, 86400 * SECOND)
    return f"{days} days " + _clock(rest, 3, 6 if rest % SECOND else 0)
