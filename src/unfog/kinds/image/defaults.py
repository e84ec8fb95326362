"""What to learn images with, unless the user says otherwise."""

from __future__ import annotations

import math
from typing import Any

FEW = 1000


def defaults(state_shape: tuple[int, ...], n_items: int) -> dict[str, Any]:
    """Default choices for images of (C, H, W), each with its reason.

    Returns: {"recipe", "net": {"name", **options}, "space": {"name", **options}, "batch", "lr", "scale",
    "reasons": [sentence]}.
    """
    channels, height, width = state_shape
    size = math.prod(state_shape)
    reasons = []
    if n_items < FEW:
        reasons.append(
            f"{n_items} training images are few: the model will copy them rather than generalise; read the "
            "measured novelty before you use a sample"
        )
    if size <= 128:
        net: dict[str, Any] = {"name": "mlp", "width": 512, "depth": 4}
        space: dict[str, Any] = {"name": "identity"}
        batch = 128
        reasons.append(f"a perceptron on the pixels, because {height}x{width} images are small")
    elif size <= 4096 or n_items < FEW:
        kept = max(1, min(256, size, n_items // 2 if n_items >= 2 * 256 else n_items - 1))
        net = {"name": "mlp", "width": 1024 if n_items >= FEW else 512, "depth": 4}
        space = {"name": "pca", "components": kept}
        batch = 512
        reasons.append(
            f"a perceptron on {kept} principal components: of what was tried it gives the best images for minutes "
            "of a CPU (docs/choices.md); for hours or a GPU, --set net=unet --set space=wavelet"
        )
    else:
        levels = max(1, math.ceil(math.log2(max(height, width) / 32)) + 1)
        net = {"name": "unet", "width": 64, "mult": [1, 2, 2], "blocks": 1}
        space = {"name": "wavelet", "levels": levels}
        batch = 64
        reasons.append(
            f"a U-Net on {levels} levels of wavelets, because {height}x{width} images have too many pixels for "
            "a perceptron"
        )
    return {
        "recipe": "flow",
        "net": net,
        "space": space,
        "batch": max(1, min(batch, n_items)),
        "lr": 1e-3 if net["name"] == "mlp" else 5e-3,
        "scale": 1.5,
        "reasons": reasons,
    }
