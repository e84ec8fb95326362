"""Sizes: smaller and larger versions of a kind's default, and which one a budget is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ENOUGH = 1500
"""Updates below which a smaller net, then a smaller batch, learns more in the same time."""
PLENTY = 20_000
"""Updates that a larger net must still get before it is taken."""
LEAST = 32
"""Batches are not made smaller than this."""
DEPTHS = ("blocks", "depth")


@dataclass(frozen=True)
class Size:
    """A net's options and a batch.

    Attributes:
        words: how they differ from the kind's default.
        gain: at most so many times the default's updates in the same time.
        lr: the step size that goes with it; None = the run's.
    """

    words: str
    net: dict[str, Any]
    batch: int
    gain: float = 1.0
    lr: float | None = None


def ladder(net: dict[str, Any], batch: int, *, batch_fixed: bool = False) -> tuple[list[Size], int]:
    """Sizes from small to large around the default, and where the default stands.

    Down: half the width, then half and a quarter of the batch. Up: 1.5 and 2 times the width, then
    deeper. A net without a width has one size.
    """
    middle = Size("the default size", net, batch)
    if not isinstance(net.get("width"), int):
        return [middle], 0
    half = _wide(net, 0.5)
    below = [Size("half the width", half, batch, 4.0)] if half["width"] < net["width"] else []
    slim = below[0] if below else middle
    for part, words in ((2, "half"), (4, "a quarter of")):
        if not batch_fixed and batch // part >= LEAST:
            named = f"{slim.words}, {words} the batch"
            below.insert(0, Size(named, slim.net, batch // part, slim.gain * part))
    above = [Size(f"{times} times the width", _wide(net, times), batch) for times in (1.5, 2)]
    deep = next((name for name in DEPTHS if name in net), None)
    if deep is not None:
        larger = {**above[-1].net, deep: max(net[deep] + 1, round(1.5 * net[deep]))}
        above.append(Size("2 times the width, deeper", larger, batch))
    return [*below, middle, *above], len(below)


def _wide(net: dict[str, Any], times: float) -> dict[str, Any]:
    """A multiple of 8 channels a head; what follows from the width follows."""
    unit = 8 * net.get("heads", 1)
    width = max(2, round(net["width"] * times / unit)) * unit
    found = {**net, "width": width}
    if net.get("vector") == 4 * net["width"]:
        found["vector"] = 4 * width
    return found


def climb(
    sizes: list[Size],
    start: int,
    updates: Callable[[Size], float],
    allowed: Callable[[Size], str | None],
    *,
    enough: int = ENOUGH,
) -> tuple[Size, str]:
    """The size to train, and why.

    Args:
        updates: how many the budget allows at this size, by measuring.
        allowed: None, or why a larger size is out of question.
        enough: updates below which a smaller size is taken.
    """
    at = start
    first = has = updates(sizes[at])
    while has < enough and at > 0:
        at -= 1
        while at > 0 and first * sizes[at].gain < enough:  # can't be enough, so it isn't tried
            at -= 1
        has = updates(sizes[at])
    if at < start:
        return sizes[at], (
            f"{sizes[at].words}: about {_round(has)} updates fit the budget instead of "
            f"{_round(first)}"
        )
    if has < enough:
        return sizes[at], f"the smallest there is; {_round(has)} updates are few"
    why = f"{_round(has)} updates fit the budget; a larger net would want {PLENTY}"
    while at + 1 < len(sizes) and has >= PLENTY:
        refused = allowed(sizes[at + 1])
        if refused is not None:
            return sizes[at], f"{_round(has)} updates fit the budget; {refused}"
        more = updates(sizes[at + 1])
        if more < PLENTY:
            break
        at, has = at + 1, more
        why = f"{sizes[at].words}: still {_round(has)} updates fit the budget"
    return sizes[at], why


def _round(count: float) -> str:
    """Two digits that count: a measured number is not known better."""
    return f"{float(f'{count:.2g}'):.0f}"
