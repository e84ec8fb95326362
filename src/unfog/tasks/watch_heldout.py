"""A watcher: the denoising loss per noise level on items that are not learnt from."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unfog.maths.randomness import mix
from unfog.maths.states import each, lead
from unfog.tasks.looking import LEVELS
from unfog.tasks.looks import Seen, Sight
from unfog.tasks.prepare import Prepared
from unfog.tasks.stored import States, encoded
from unfog.train.heldout import level_losses, levels

CLEAR = 2.0
"""Standard errors of the paired difference from which weights are better than those kept."""
WORSE = 3.0
"""Standard errors from which the last weights are worse than those kept."""


class HeldOut:
    """Training and validation loss per noise level, of equally many items, with fixed noise.

    The noise is the same at every look, so that two looks are compared item by item. The weights of
    the lowest validation loss are kept.

    Args:
        items: of each part.     choose: prefer the kept weights at the end, where the last are
            clearly worse.
    """

    name = "heldout"

    def __init__(self, prepared: Prepared, items: int, *, choose: bool):
        self.prepared, self.items, self.choose = prepared, items, choose
        self.parts: dict[str, States] = {}
        self.best: tuple[int, Tensor] | None = None
        self.last: tuple[int, Tensor] | None = None

    def look(self, sight: Sight) -> Seen:
        """Losses of both parts; keeps weights that are clearly better than those kept."""
        times = levels(sight.model.path, LEVELS)
        found = {
            part: level_losses(sight.model, x, cond, times=times, seed=self.prepared.config.seed)
            for part, (x, cond) in self._parts().items()
        }
        now = found["validation"].double().mean(0)
        facts: dict[str, Any] = {
            "levels": [round(t, 4) for t in times.tolist()],
            "items": self.items,
            **{
                part: [_plain(v) for v in losses.mean(1).tolist()] for part, losses in found.items()
            },
            **{f"{part}_mean": _plain(float(losses.mean())) for part, losses in found.items()},
            "error": _plain(_mean(now)[1]),
        }
        if self.last is not None:
            change, error = _mean(now - self.last[1])
            facts |= {"change": _plain(change), "change_error": _plain(error)}
        self.last = (sight.step, now)
        finite = bool(torch.isfinite(now).all())
        better = finite and (self.best is None or _clear(self.best[1] - now, CLEAR))
        if better:
            self.best = self.last
        assert self.best is not None or not finite
        facts["best"] = None if self.best is None else self.best[0]
        return Seen(facts, keep=better)

    def _parts(self) -> dict[str, States]:
        """The items that are looked at, encoded once."""
        if not self.parts:
            p = self.prepared
            states, cond = p.states
            there = {"train": len(lead(states)), "validation": len(p.splits.validation)}
            chosen = {
                part: np.sort(_some(count, self.items, p.config.seed))
                for part, count in there.items()
            }
            few = replace(p.splits, validation=p.splits.validation[chosen["validation"]])
            picked = torch.from_numpy(chosen["train"])
            self.parts = {
                "train": (
                    each(lambda v: v[picked], states),
                    {n: v[picked] for n, v in cond.items()},
                ),
                "validation": encoded(p.items, few, p.borders, part="validation"),
            }
        return self.parts

    def prefer(self) -> str | None:
        """Why the kept weights are better than the last; None where that is not clear or asked."""
        if not self.choose or self.best is None or self.last is None:
            return None
        if self.best[0] == self.last[0] or not _clear(self.last[1] - self.best[1], WORSE):
            return None
        gap, error = _mean(self.last[1] - self.best[1])
        return (
            f"the weights of step {self.best[0]}, not the last of step {self.last[0]}: their "
            f"held-out loss is {float(self.best[1].mean()):.4g}, and {gap:.2g} ± {error:.1g} more "
            "at the end, so the run was over-fitted"
        )

    def facts(self) -> dict[str, Any]:
        """The losses that later looks are compared with."""
        return {
            name: None if one is None else {"step": one[0], "losses": one[1].tolist()}
            for name, one in (("best", self.best), ("last", self.last))
        }

    def restore(self, facts: dict[str, Any]) -> None:
        """The inverse of `facts`."""
        self.best, self.last = (
            None
            if facts[name] is None
            else (facts[name]["step"], torch.tensor(facts[name]["losses"], dtype=torch.float64))
            for name in ("best", "last")
        )


def _some(count: int, most: int, seed: int) -> np.ndarray:
    """Positions of at most `most` of `count` items, at random."""
    return np.random.default_rng(mix(seed, 47)).permutation(count)[:most]


def _mean(values: Tensor) -> tuple[float, float]:
    """Mean and standard error of (N,) values."""
    error = float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return float(values.mean()), error


def _clear(difference: Tensor, errors: float) -> bool:
    """Whether the mean of paired differences (N,) is above 0 by so many standard errors."""
    mean, error = _mean(difference)
    return mean > errors * error


def _plain(value: float) -> float | None:
    """As JSON says it, with six digits; None for what is not finite."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
