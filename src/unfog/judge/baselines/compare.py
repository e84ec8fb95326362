"""Ours beside the baselines: the same figures for each, and a plain verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from unfog.errors import ArgumentError
from unfog.judge.baselines.registry import baselines
from unfog.judge.figure import Figure

OURS = "ours"
SAME = {"tstr_ratio"}  # the same evidence as another figure
Judged = Callable[[Any], list[Figure]]


def compare(
    judged: Judged,
    samples: Any,
    train: Any,
    *,
    names: Sequence[str] | None = None,
    figures: list[Figure] | None = None,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, list[Figure]]:
    """The figures of our samples and of as many draws from every baseline.

    Args:
        judged: what judges a set of samples, such as a `TableJudge`, or `judge` with the real data
            and one judge net bound.
        samples, train: a Table each, or states (N, *D).
        names: registry names of the baselines; None runs all that apply to this data.
        figures: those of `samples`, when they are known already.
        progress: called with (done, total, name) before each and once at the end.
    Returns: "ours" and the baselines' names -> figures.
    """
    if names is None:
        names = [row.name for row in baselines if row.make.applies(train)]
    tell = progress or (lambda done, total, name: None)
    rows = {}
    for done, name in enumerate([OURS, *names]):
        tell(done, len(names) + 1, name)
        if name == OURS:
            rows[name] = judged(samples) if figures is None else figures
        else:
            rows[name] = judged(baselines[name].fit_draw(train, len(samples), seed))
    tell(len(names) + 1, len(names) + 1, "done")
    return rows


def verdict(rows: Mapping[str, Sequence[Figure]]) -> str:
    """On which figures ours beats, equals or loses to which baseline, and what to use.

    One figure is better than another when their intervals part. A baseline that ours beats nowhere
    is recommended.

    Args:
        rows: as `compare` returns them.
    Raises: ArgumentError without "ours" or without a baseline.
    """
    if OURS not in rows or len(rows) < 2:
        raise ArgumentError(f"rows hold {list(rows)}; give 'ours' and at least one baseline")
    ours = {figure.name: figure for figure in rows[OURS] if figure.name not in SAME}
    said, good = [], []
    for name, figures in rows.items():
        if name == OURS:
            continue
        better: list[str] = []
        level: list[str] = []
        worse: list[str] = []
        for figure in figures:
            if figure.name in ours:
                side = _side(ours[figure.name], figure)
                (better if side > 0 else worse if side < 0 else level).append(figure.name)
        words = baselines[name].words
        said.append(f"Against {words}: {_listed(better, level, worse)}.")
        if not better and (level or worse):
            good.append((words, len(worse)))
    return " ".join([*said, _advice(good)])


def _side(ours: Figure, theirs: Figure) -> int:
    """1 where ours is better, -1 where theirs is, 0 where the intervals meet."""
    (low, high), (their_low, their_high) = _fault(ours), _fault(theirs)
    return (high < their_low) - (low > their_high)


def _fault(figure: Figure) -> tuple[float, float]:
    """The interval of how bad it is: lower is better, whatever the figure's own direction."""
    if figure.better == "lower":
        return figure.low, figure.high
    if figure.better == "higher":
        return -figure.high, -figure.low
    ends = abs(figure.low - figure.floor), abs(figure.high - figure.floor)
    return 0.0 if figure.low <= figure.floor <= figure.high else min(ends), max(ends)


def _listed(better: list[str], level: list[str], worse: list[str]) -> str:
    groups = (("better on", better), ("level on", level), ("worse on", worse))
    return ", ".join(f"{words} {_and(names)}" for words, names in groups if names) or "no figure"


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _advice(good: list[tuple[str, int]]) -> str:
    """What to use, given the baselines that ours beats nowhere and on how many they win."""
    if not good:
        return "No baseline is as good as this model on every figure."
    words, wins = max(good, key=lambda row: row[1])
    if wins:
        return f"Use {words}: it is better here, and costs nothing."
    return f"{words[0].upper()}{words[1:]} is as good here and costs nothing."
