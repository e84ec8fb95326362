"""Whether a run's targets are means over the batch, in a configuration that is being resolved."""

from __future__ import annotations

from typing import Any

from unfog.errors import ArgumentError
from unfog.maths.couplings import Independent, couplings
from unfog.maths.targets import targets
from unfog.tasks.config import Config


def stabilise(content: dict[str, Any], settings: dict[str, Any], offered: dict[str, Any]) -> None:
    """Take stable targets where the kind offers them and the run can have them, or as asked."""
    if "train.stable" not in settings:
        own = content["recipe"] == offered["recipe"]  # a paper's system learns as it does
        offers = own and bool(offered.get("stable", False))
        content["train"]["stable"] = offers and _hindered(content) is None


def stable(config: Config) -> bool:
    """What a configuration says of it. Raises ArgumentError where it can't be."""
    if not config.train.stable:
        return False
    why = _hindered(config.model_dump())
    if why is not None:
        raise ArgumentError(
            "train.stable=True takes the mean over all items of a batch that a noised state could "
            f"have come from, and {why}; leave it out"
        )
    return True


def _hindered(content: dict[str, Any]) -> str | None:
    """Why a target can't be a mean over the batch, or None."""
    train = content["train"]
    if content["fields"]:
        return "this data has columns, some of which are revealed or known"
    if content["given"]:
        return "here each item comes with its own condition"
    if train["augment"] or train["crop"]:
        return "here each item is changed in its own way"
    if not isinstance(couplings.build(content["coupling"]), Independent):
        return f"coupling {content['coupling']['name']!r} has chosen the item"
    if content["path"].get("centred"):
        return "a centred path moves every item"
    if content["reflow"] is not None or content["flowmap"] is not None or content["teacher"]:
        return f"recipe {content['recipe']!r} has targets of its own"
    if targets.build(content["target"]).parts > 1:
        return f"target {content['target']['name']!r} learns the variance around the item too"
    return None
