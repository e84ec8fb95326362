"""What is done to training items, augmented or cut, and what the net is told of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.kinds.kind import Kind
from unfog.maths.randomness import BatchRng
from unfog.nets import nets
from unfog.train.crops import CROP

AUGMENT = "augment"  # the condition that says how an item was augmented
COPIES = 1000
"""Augmented copies, at the least, that a space is fitted on beside the items."""


def augmentation(room: Kind, train: dict[str, Any]) -> Any:
    """What changes states of this kind, as a configuration's `train` has it."""
    assert room.augment is not None
    which = list(train["augmentations"])
    return room.augment(train["augment"], **({"which": which} if which else {}))


def augment_spec(room: Kind, train: dict[str, Any], given: list[str]) -> dict[str, Any]:
    """What the net must know to be told how an item was augmented; {} if none is."""
    if train["augment"] == 0:
        return {}
    if room.augment is None:
        raise ArgumentError(f"there is no augmentation for {room.name}s; leave train.augment at 0")
    if AUGMENT in given:
        raise ArgumentError(f"a column {AUGMENT!r} can't be given beside augmentation; rename it")
    return {AUGMENT: {"type": "augment", "size": augmentation(room, train).size}}


def crop_spec(content: dict[str, Any], given: list[str]) -> dict[str, Any]:
    """What the net must know to be told where a crop lies; {} if none is cut."""
    share = content["train"]["crop"]
    if share == 0:
        return {}
    if CROP in given:
        raise ArgumentError(f"a column {CROP!r} can't be given beside crops; rename it")
    why = no_crops(content)
    if why:
        raise ArgumentError(f"train.crop={share!r} can't be: {why}; leave it at 0")
    return {CROP: {"type": "crop", "size": 2 * (len(content["shape"]) - 1)}}


def no_crops(content: dict[str, Any]) -> str:
    """Why states can't be cut into crops; empty if they can."""
    net = content["net"]
    if not getattr(nets[net["name"]], "grid", False):
        return f"crops are for nets on a grid (unet, dit), not for the net {net['name']!r}"
    if net.get("periodic"):
        return "a piece of a closed axis is not closed, and the net's padding takes it for that"
    if content["reflow"] is not None:
        return "reflow's pairs of noise and sample are whole"
    return ""


def augmented(room: Kind, train: dict[str, Any], seed: int) -> Callable[[Tensor], Tensor] | None:
    """States → the same and augmented copies of them, `COPIES` or more in all; None if none are.

    A space that keeps only some directions has to keep those in which augmentation moves items:
    else what is learnt is projected back on what the few items span.
    """
    if train["augment"] == 0 or room.augment is None:
        return None
    augment = augmentation(room, train)

    def copies(x: Tensor) -> Tensor:
        rounds = max(1, COPIES // len(x))
        rng = BatchRng(seed, 43)
        return torch.cat([x, *(augment(x, rng.at(n))[0] for n in range(rounds))])

    return copies
