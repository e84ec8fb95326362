"""What to learn arrays with, unless the user says otherwise."""

from __future__ import annotations

import math
from typing import Any

FEW = 1000
PLAIN = 8
"""Numbers an item up to which a narrow net is enough for a run of few updates, and several items of
a batch are likely to have been noised to the same state, so that targets are means over them."""


def defaults(state_shape: tuple[int, ...], n_items: int, *, rings: bool = False) -> dict[str, Any]:
    """Default choices for arrays, each with its reason.

    Args:
        rings: whether axes were declared to be closed, which only a U-Net can make use of.

    Returns: {"recipe", "net": {"name", **options}, "space": {"name", **options}, "batch", "lr",
    "scale", "reasons": [sentence], "warnings": [sentence], "brief"}; the last is what to take
    where the time allows few updates: None, or {"net", "batch", "lr"}.
    """
    rank, size = len(state_shape), math.prod(state_shape)
    grid = 2 <= rank <= 4 and min(state_shape[1:]) >= 8
    space: dict[str, Any] = {"name": "identity"}
    if grid and n_items < FEW and not rings:
        kept = min(256, size)
        net: dict[str, Any] = {"name": "mlp", "width": 512}
        space = {"name": "pca", "explained": 0.9999, "components": kept}
        reasons = [
            f"a perceptron on {kept} principal components or fewer, as {n_items} grids are few: "
            "with hours, or a GPU, try --set net=unet --set space=identity"
        ]
        batch = 256
    elif grid:
        net = {"name": "unet", "width": 32}
        reasons = [
            f"a U-Net, because {state_shape} is read as channels on a grid of rank {rank - 1}"
        ]
        batch = 32
    else:
        net = {"name": "mlp", "width": 256 if size <= 64 else 512}
        reasons = [f"a perceptron, because {size} numbers per item have no order to rely on"]
        batch = 256
    brief = None if grid else briefly(size)
    return {
        "brief": brief,
        "recipe": "flow",
        "stable": size <= PLAIN,
        "net": net,
        "space": space,
        "batch": max(1, min(batch, n_items)),
        "lr": 1e-3 if net["name"] == "mlp" else 5e-3,
        "scale": 1.0,
        "reasons": reasons,
        "warnings": [
            f"{n_items} training items are few: the model will copy them; read the measured novelty"
        ]
        if n_items < FEW
        else [],
    }


def briefly(size: int) -> dict[str, Any]:
    """For a run of a few thousand updates: a flat net that costs little an update, large steps,
    and noise drawn anew for every item often enough, however few items there are.

    Args:
        size: numbers per item.
    """
    width, lr = (64, 8e-3) if size <= PLAIN else (256, 4e-3)
    net: dict[str, Any] = {"name": "mlp", "width": width, "depth": 2, "vector": 32}
    if size <= PLAIN:
        net |= {"waves": 4, "expand": 2.0}
    return {"net": net, "batch": 256, "lr": lr}
