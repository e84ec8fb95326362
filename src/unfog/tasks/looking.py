"""How much looking a run can bear: how often, at how many items, with how many samples.

It follows from the configuration alone, never from the clock, so that a run that is repeated or
resumed is watched in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

from unfog.tasks.config import Config

LOSSES, SAMPLES, PICTURES = 0.02, 0.015, 0.015
"""Shares of a run: the most that losses and drawing samples may take of the net's work, and judging
and pictures of the time.
"""
SHARE = LOSSES + SAMPLES + PICTURES
"""The most that all looks together may take."""
UPDATE = 3
"""An update costs about as much as so many evaluations of the net."""
LEVELS = 8
"""Noise levels at which the denoising loss is taken."""
MOST, ENOUGH, LEAST = 256, 48, 16
"""Items of a part: at most, from which a look is worth repeating, and below which none is taken."""
MANY, SOME = 256, 48
"""Samples of a quality look: at most, and at least."""
DRAWING = 10
"""Sampling steps of a quality look, at most."""
PICTURE = 0.7
"""Seconds that judging and drawing a picture take beside the net, about."""
LONG = 1000
"""Updates without a budget from which pictures are drawn, one for so many."""
EVERY = 300.0
"""Seconds between two looks at a long run."""
TWICE = 2
"""Net evaluations of a step of guided sampling."""


@dataclass(frozen=True)
class Looking:
    """What a run's looks are.

    Attributes:
        count: looks.     items: of the training and of the validation part each, per look; 0 =
            losses are not taken.
        samples: drawn at a quality look.     every: each so many looks, and at the last one, a
            quality look; 0 = never.
        share: of the run's net evaluations that all looks take.
    """

    count: int
    items: int
    samples: int
    every: int
    share: float

    @property
    def quality(self) -> int:
        """How many quality looks there are."""
        return 0 if self.every == 0 else -(-self.count // self.every)

    def said(self) -> str:
        """In words."""
        if self.count == 0:
            return "no looks"
        found = [f"{self.count} look{'s' if self.count > 1 else ''}"]
        if self.items:
            found.append(f"losses of {self.items} held-out and {self.items} training items")
        else:
            found.append("no held-out losses, since no items validate")
        if self.every:
            found.append(f"{self.samples} samples at {self.quality} of them")
        return ", ".join(found)


def looking(config: Config, held: int, *, asked: bool = True) -> Looking:
    """How a run is watched.

    Args:
        held: how many items validate.     asked: keep `train.looks` as it is; else it is the most,
            and for long budgets the least.
    """
    t = config.train
    work = UPDATE * t.steps * t.batch
    losses = LOSSES * work
    wanted, part = t.looks, 2 * LEVELS
    if not asked and t.budget is not None:
        wanted = max(wanted, min(4 * wanted, int(t.budget / EVERY)))
    count = wanted if asked else min(wanted, max(3, int(losses / (part * ENOUGH))))
    items = min(MOST, held, int(losses / (part * max(1, count))))
    if items < LEAST and not asked:
        count = min(count, int(losses / (part * LEAST)))
    items = min(held, max(items, LEAST)) if count else 0
    samples, every = _quality(config, count, SAMPLES * work, held)
    spent = count * part * items + (-(-count // every) if every else 0) * samples * _calls(config)
    return Looking(count, items, samples, every, spent / work)


def _quality(config: Config, count: int, evaluations: float, held: int) -> tuple[int, int]:
    """Samples of a quality look, and at which looks."""
    t = config.train
    if t.budget is None:
        most = t.steps // LONG
    else:
        most = int(PICTURES * t.budget / PICTURE)
    most = min(most, count, int(evaluations / (SOME * _calls(config))))
    if most < 1 or held < LEAST:
        return 0, 0
    every = -(-count // most)
    quality = -(-count // every)
    return min(MANY, int(evaluations / (quality * _calls(config)))), every


def _calls(config: Config) -> int:
    """Net evaluations of one sample."""
    guided = TWICE if config.given and config.scale != 1 else 1
    solver = TWICE if config.solver["name"] == "heun" else 1
    return min(DRAWING, config.sampling_steps) * guided * solver
