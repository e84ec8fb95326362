"""What to learn tables with, unless the user says otherwise."""

from __future__ import annotations

from typing import Any

FEW = 1000
MOST_STEPS = 50
"""Sampling steps at most; with one and a half for each category hardly two are revealed at once."""
PLAIN = 12
"""Steps of a draw whose marginals are corrected, and three for five categories at least: there
more, evenly spread, gain nothing (docs/choices.md).
"""
CALIBRATE = 10_000
"""Rows that a run may draw at its end to calibrate its marginals."""
FILLING = "cosine"
"""Holes in categories are revealed late, once the row's numbers have taken shape: docs/fill.md."""
KNOWN = 0.3
"""Share of the rows that teach the net to fill: see docs/fill.md for what it costs."""


def defaults(fields: dict[str, dict[str, Any]], n_items: int) -> dict[str, Any]:
    """Default choices for a state of columns, each with its reason.

    Args:
        fields: {name: {"type": "number", "size": n} | {"type": "category", "sizes": [k, ...]}}.
        n_items: training rows.
    Returns: {"recipe", "net", "space", "batch", "lr", "scale", "sampling_steps",
        "plain", "reveal", "filling", "known", "calibrate", "reasons", "warnings"}.
    """
    numbers = sum(spec.get("size", 0) for spec in fields.values())
    categories = sum(len(spec.get("sizes", [])) for spec in fields.values())
    reveal = {"name": "random" if categories else "ancestral"}
    steps = min(MOST_STEPS, max(1, -(-3 * categories // 2)))
    return {
        "recipe": "flow",
        "net": {"name": "table", "width": 512, "depth": 4},
        "space": {"name": "fields"},
        "batch": max(1, min(512, n_items)),
        "lr": 1e-3,
        "scale": 1.0,
        "sampling_steps": steps,
        "plain": {"steps": max(PLAIN, -(-2 * steps // 5)), "grid": {"name": "linear"}},
        "reveal": reveal,
        "filling": {"schedule": FILLING, "reveal": reveal},
        "known": KNOWN,
        "calibrate": CALIBRATE,
        "reasons": [
            f"a perceptron over {numbers} columns of numbers on a Gaussian path and {categories} "
            "of categories on a masking path, on one clock"
        ],
        "warnings": [
            f"{n_items} training rows are few: read the measured novelty, and the baselines beside"
        ]
        if n_items < FEW
        else [],
    }
