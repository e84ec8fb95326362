"""What a recipe wishes for, granted where kind, net and space can; what they can't is said."""

from __future__ import annotations

import inspect
from typing import Any

from unfog.kinds.kind import Kind
from unfog.nets import nets
from unfog.tasks.changes import no_crops

WORDS = {
    "train.augment": "augmentation",
    "train.augmentations": "the choice of augmentations",
    "train.crop": "patch-wise training",
    "net.dropout": "dropout",
}


def grant(
    content: dict[str, Any], wishes: dict[str, Any], settings: dict[str, Any], room: Kind
) -> list[str]:
    """Put a recipe's wishes into a configuration, but for what the user has set.

    Args:
        content: with the net, by name, and the space that the run will have.
        wishes: dotted keys of `WORDS` → value.
    Returns: a sentence for each wish that is left out, with why.
    """
    left = []
    for key, value in wishes.items():
        if key in settings or not value:
            continue
        why = _refused(key, content, room)
        if why:
            left.append(f"recipe {content['recipe']}: {WORDS[key]} is left out: {why}")
        else:
            part, option = key.split(".")
            content[part][option] = value
    return left


def _refused(key: str, content: dict[str, Any], room: Kind) -> str:
    """Why a wish can't be granted; empty if it can."""
    name = content["net"]["name"]
    if key.startswith("train.augment") and room.augment is None:
        return f"there is none for {room.name}s"
    if key == "train.crop":
        return no_crops(content)
    if key == "net.dropout" and "dropout" not in inspect.signature(nets[name]).parameters:
        return f"the net {name!r} has none"
    return ""
