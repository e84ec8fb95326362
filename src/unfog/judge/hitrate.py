"""Class hit-rate: how often an independent judge sees the class that was asked for."""

from __future__ import annotations

from typing import Any

import torch

from unfog.errors import ArgumentError
from unfog.judge import bootstrap
from unfog.judge.case import Case, metrics
from unfog.judge.classifier import JudgeNet
from unfog.judge.figure import Figure
from unfog.judge.states import labelled, states


def hit_rate(net: JudgeNet, x: Any, asked: Any) -> tuple[int, int]:
    """(hits, n): on how many of the n samples the judge answers the asked class.

    Args:
        x: (N, *D) samples.      asked: (N,) integer classes.
    Raises: ArgumentError for a class that the judge never saw.
    """
    x = states(x, "samples")
    asked = labelled(asked, x)
    strange = sorted(set(asked.tolist()) - set(net.classes))
    if strange:
        raise ArgumentError(f"asked class {strange[0]}; the judge knows only {list(net.classes)}")
    return int((net.predict(x) == asked).sum()), len(x)


@metrics.add("hit_rate", reference="Ravuri and Vinyals 2019", aliases=("class_accuracy",))
def hit_rate_figure(case: Case) -> list[Figure]:
    """Share of samples that get the asked class from the judge net; floor: held-out real items."""
    if case.labels is None or case.real_labels is None or case.net.pseudo:
        return []
    hits, n = hit_rate(case.net, case.all_samples, case.labels)
    real_hits, m = hit_rate(case.net, case.all_real, case.real_labels)
    low, high = bootstrap.share(hits, n)
    floor_low, floor_high = bootstrap.share(real_hits, m)
    worst: tuple[str, ...] = ()
    groups = [(int(c), case.labels == c) for c in torch.unique(case.labels)]
    if len(groups) > 1:
        guess = case.net.predict(case.all_samples)
        by_class = {c: float((guess[group] == c).double().mean()) for c, group in groups}
        poorest = min(by_class, key=lambda c: by_class[c])
        worst = (f"lowest class: {poorest}, {100 * by_class[poorest]:.1f} %",)
    return [
        Figure(
            name="hit_rate",
            value=hits / n,
            low=low,
            high=high,
            floor=real_hits / m,
            floor_low=floor_low,
            floor_high=floor_high,
            better="higher",
            n=n,
            unit="share",
            notes=(case.trust, *worst),
        )
    ]
