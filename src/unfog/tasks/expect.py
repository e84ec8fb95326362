"""Expect: what a default fit would take, from one forward and backward pass; nothing is trained."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from unfog.kinds.items import Items
from unfog.maths.randomness import BatchRng
from unfog.tasks.assemble import build_model, build_objective, entries
from unfog.tasks.learn import batches_of
from unfog.tasks.prepare import Prepared, prepare
from unfog.tasks.sizes import ENOUGH
from unfog.train import memory
from unfog.train.plan import need

SEEN = 2000
"""Items from which codec and space are fitted for the estimate."""
TIMED = 16
"""Items in the batch that is timed."""


def expect(
    source: Any, kind: str, items: Items, reading: dict[str, Any], read: float
) -> dict[str, Any]:
    """Memory and time of a default fit of these items, unconditional, float32, on the CPU.

    Args:
        read: seconds that reading them took.
    Returns: net, parameters, batch, memory_bytes of the process, step_seconds, pass_seconds,
        enough_updates, enough_seconds, reading_seconds.
    """
    some = items
    if len(items) > SEEN:
        some = items.take(np.sort(np.random.default_rng(0).permutation(len(items))[:SEEN]))
    prepared = prepare(
        source,
        kind=kind,
        given=[],
        recipe="flow",
        batch=None,
        lr=None,
        settings={},
        reading=reading,
        seed=0,
        device="cpu",
        items=some,
    )
    config = prepared.config
    states = 4 * entries(config) * len(items)
    held = memory.resident() + states
    wanted = need(build_model(config), batches_of(prepared), build_objective(config))
    batch = config.train.batch
    step = _seconds(prepared)
    most: float = held + memory.SPARE * wanted.weights
    most += max(wanted.training(batch), memory.COPIES * wanted.weights + wanted.saving())
    return {
        "net": config.net["name"],
        "space": config.space["name"],
        "parameters": wanted.weights // 4,
        "batch": batch,
        "memory_bytes": int(most),
        "available_bytes": memory.available(torch.device("cpu")),
        "step_seconds": step,
        "pass_seconds": step * len(items) / batch,
        "enough_updates": ENOUGH,
        "enough_seconds": step * ENOUGH,
        "reading_seconds": round(read, 3),
    }


def _seconds(prepared: Prepared) -> float:
    """Of one update, from the second of two passes over a small batch."""
    config, batches = prepared.config, batches_of(prepared)
    model, objective = build_model(config), build_objective(config)
    count = min(TIMED, batches.count, config.train.batch)
    x, cond = batches.fetch(np.arange(count))
    taken = 0.0
    for _ in range(2):
        begun = time.perf_counter()
        losses, _ = model.loss(
            x, cond or None, times=objective.times, weight=objective.weight, rng=BatchRng(0)
        )
        losses.mean().backward()
        taken = time.perf_counter() - begun
    return taken * config.train.batch / count
