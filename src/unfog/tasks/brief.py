"""What a run of few updates is made with instead of the kind's default, where the kind has it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from unfog.tasks.recipes import Recipe
from unfog.tasks.sizes import Size

BRIEFLY = 6000
"""Updates of the default net below which the brief one learns more in the same time."""
HURRIED = 250
"""Updates of the brief net below which it is made narrower still."""


@dataclass(frozen=True)
class Brief:
    """A net's options, and a batch and a step size for it."""

    net: dict[str, Any]
    batch: int
    lr: float

    def sizes(self) -> list[Size]:
        """From small to large."""
        narrow = {**self.net, "width": max(32, self.net["width"] // 16 * 8)}
        words = "a flatter net and larger steps, as updates are few"
        return [
            Size(f"{words}, half as wide", narrow, self.batch, lr=self.lr),
            Size(words, self.net, self.batch, lr=self.lr),
        ]


def brief_of(
    offered: dict[str, Any], recipe: Recipe, settings: Collection[str], train: dict[str, Any]
) -> Brief | None:
    """What the kind offers for few updates, batch and step size as they are where they are fixed;
    None where the net is.

    Args:
        offered: what the kind's `defaults` return.     settings: the dotted keys the user has set.
        train: the settings of the training so far.
    """
    found = offered.get("brief")
    own = (recipe.net, recipe.space, recipe.flowmap, recipe.reflow)
    bound = recipe.wishes or any(part is not None for part in own)
    if found is None or bound or any(key.split(".")[0] in ("net", "space") for key in settings):
        return None
    fixed = {key.removeprefix("train.") for key in settings} | recipe.train.keys()
    return Brief(**{**found, **{key: train[key] for key in ("batch", "lr") if key in fixed}})
