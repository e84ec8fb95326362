"""Advice: whether to augment, in plain words, from the measured gains."""

from __future__ import annotations

from typing import Any

from unfog.judge.table.gain import ALONE, CHOSEN, WEIGHTS, Difference, Gain
from unfog.judge.table.learners import LEARNERS, METRICS


def advice(gain: Gain) -> str:
    """Whether to augment: judged by the first metric and the learner that is best on real rows.

    Augmenting with the model is advised only where its gain is clear of 0 and no cheaper way gains
    as much; a gain that only the weaker learner has is no reason.
    """
    best, first, ours = gain.best, gain.first, gain.ours
    rivals = [arm for arm in gain.arms if arm not in (ours, CHOSEN)]
    mine = gain.over(ours, best, first)
    good = [arm for arm in rivals if gain.over(arm, best, first).low > 0]
    where = f"for the {best}, the better learner on real rows alone"
    if mine.low > 0:
        level = [arm for arm in good if gain.over(ours, best, first, arm).low <= 0]
        if not level:
            return f"Augment: {ours} gains {_said(mine)} {first} {where}, more than any other way."
        cheap = max(level, key=lambda arm: gain.over(arm, best, first).mean)
        return (
            f"Do not augment with the model: it gains {_said(mine)} {first} {where}, and {cheap} "
            f"can't be told from it, with {_said(gain.over(cheap, best, first))} at no cost."
        )
    if good:
        arm = max(good, key=lambda name: gain.over(name, best, first).mean)
        return (
            f"Do not augment with the model: its gain is {_said(mine)} {first} {where}. Use {arm}: "
            f"{_said(gain.over(arm, best, first))}."
        )
    harm = ", which is a loss" if mine.high < 0 else ", which can't be told from nothing"
    return (
        f"Do not augment: the gain of {ours} is {_said(mine)} {first} {where}{harm}, and no other "
        "way gains anything clear of 0."
    )


def told(gain: Gain) -> str:
    """All gains, the advice last."""
    trials = len(gain.trials)
    lines = [f"{gain.target!r}, {gain.rows} rows, {trials} pairs of training and test rows"]
    for learner in LEARNERS:
        for metric in METRICS[gain.classes]:
            alone = gain.values(ALONE, learner, metric).mean()
            lines.append(f"  {learner}, {metric} {alone:.3f} on real rows alone")
            lines += [f"    {arm:22} {_said(gain.over(arm, learner, metric))}" for arm in gain.arms]
    lines += [f"  {note}" for note in gain.notes]
    if gain.classes:
        lines.append(
            "  Balanced accuracy moves with the threshold, as class weights show; the other two do "
            "not."
        )
    return "\n".join([*lines, advice(gain)])


def facts(gain: Gain) -> dict[str, Any]:
    """The gains as JSON values: every arm, learner and metric with its interval."""
    rows = [
        {
            "arm": arm,
            "learner": learner,
            "metric": metric,
            "alone": float(gain.values(ALONE, learner, metric).mean()),
            "gain": found.mean,
            "low": found.low,
            "high": found.high,
        }
        for learner in LEARNERS
        for metric in METRICS[gain.classes]
        for arm in gain.arms
        for found in [gain.over(arm, learner, metric)]
    ]
    return {
        "target": gain.target,
        "rows": gain.rows,
        "trials": len(gain.trials),
        "weights": WEIGHTS in gain.arms,
        "gains": rows,
        "seconds": round(gain.seconds, 1),
        "notes": list(gain.notes),
        "verdict": advice(gain),
    }


def _said(found: Difference) -> str:
    return f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
