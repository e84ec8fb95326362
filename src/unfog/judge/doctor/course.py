"""How training went: the loss curve in four numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unfog.judge.doctor.facts import Course


def course(lines: Sequence[dict[str, Any]]) -> Course | None:
    """Of the lines of a log, each with step, loss, skipped; None for fewer than four.

    A late fall counts against the whole fall, so that the part of the loss that can't be learnt
    away makes no difference.
    """
    known = [(line["step"], float(line["loss"])) for line in lines]
    known = [(step, loss) for step, loss in known if np.isfinite(loss)]
    if len(known) < 4:
        return None
    steps, losses = (np.array(column) for column in zip(*known, strict=True))
    width = max(1, len(losses) // 10)
    smooth = np.convolve(losses, np.ones(width) / width, mode="valid")
    middles = np.convolve(steps, np.ones(width) / width, mode="valid")
    first, last, lowest = losses[0], smooth[-1], smooth.min()
    fall = max(first - last, 1e-12 * abs(first), 1e-30)
    at = float(np.interp(steps[0] + 2 / 3 * (steps[-1] - steps[0]), middles, smooth))
    return Course(
        first=float(first),
        last=float(last),
        late=float(np.clip((at - last) / fall, -1e6, 1e6)),
        rising=float(min((last - lowest) / fall, 1e6)),
        skipped=float(lines[-1].get("skipped", 0)) / max(1, int(steps[-1])),
    )
