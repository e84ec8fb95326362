"""The charts of a report."""

from __future__ import annotations

import html

import numpy as np

from unfog.tasks.report.charts import FIRST, SECOND, Chart
from unfog.tasks.report.commands import ended
from unfog.tasks.report.facts import Facts


def figure(chart: Chart, caption: str) -> str:
    return f"<figure>{chart.svg()}<figcaption>{html.escape(caption)}</figcaption></figure>"


def training(facts: Facts) -> str:
    """Loss of training; of held-out items where someone looked; both per noise level."""
    drawn = [found for found in (_loss(facts), _heldout(facts), _levels(facts)) if found]
    if not drawn:
        return "<p>No metrics were logged.</p>"
    return f"<div class=charts>{''.join(drawn)}</div>"


def _loss(facts: Facts) -> str:
    known = [(row["step"], float(row["loss"])) for row in facts.log]
    known = [(step, loss) for step, loss in known if np.isfinite(loss)]
    if not known:
        return ""
    steps, losses = zip(*known)
    chart = Chart("training loss", "step", log=0 < 20 * min(losses) < max(losses))
    chart.line(steps, losses, "loss")
    return figure(
        chart, "Loss while training. It says little about samples: noise levels are drawn at random"
    )


def _heldout(facts: Facts) -> str:
    lines = [line for line in facts.heldout if line.get("validation_mean") is not None]
    if len(lines) < 2:
        return ""
    chart = Chart("held-out loss", "step")
    steps = [line["step"] for line in lines]
    for part, colour in (("train", FIRST), ("validation", SECOND)):
        chart.line(steps, [line[f"{part}_mean"] for line in lines], part, colour, dots=True)
    return figure(
        chart,
        "Denoising loss with the same noise at every look. Where validation turns up while "
        "training falls, the model learns its items by heart",
    )


def _levels(facts: Facts) -> str:
    found = facts.levels
    if not found.means:
        return ""
    chart = Chart("loss per noise level", "noise level t (0 = data, 1 = noise)")
    for (part, mean), colour in zip(found.means.items(), (FIRST, SECOND)):
        spread = 2 * np.array(found.errors[part])
        low, high = mean - spread, mean + spread
        chart.band(found.times, low, high, colour)
        chart.line(found.times, mean, part, colour, dots=True)
    return figure(
        chart,
        "Loss of the finished model per noise level, with two standard errors. A gap between the "
        "curves is what was learnt by heart",
    )


def clock(facts: Facts) -> str:
    """The copy rate over the run, with its control."""
    lines = [line for line in facts.clock if line.get("rate") is not None]
    if not lines:
        return ""
    chart = Chart("copies while training", "step", share=True)
    steps = [line["step"] for line in lines]
    chart.band(steps, [r["control_low"] for r in lines], [r["control_high"] for r in lines], SECOND)
    chart.line(steps, [r["control"] for r in lines], "unseen real items", SECOND)
    chart.band(steps, [r["low"] for r in lines], [r["high"] for r in lines], FIRST)
    chart.line(steps, [r["rate"] for r in lines], "samples", FIRST, dots=True)
    quiet = [line["step"] for line in lines if line.get("quiet")]
    if ended(facts.model.config) and quiet:
        chart.mark(quiet[-1], "weights kept")
    drawn = figure(
        chart,
        "Share of samples suspiciously near to a training item, and the same of real items that "
        "were never learnt from. While the curves agree, the model generalises",
    )
    return f"<div class=one>{drawn}</div>"
