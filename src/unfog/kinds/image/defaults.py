"""What to learn images with, unless the user says otherwise."""

from __future__ import annotations

import math
from typing import Any

FEW = 1000
COMPONENTS = 256
"""Principal components that are kept, at most; fewer items span little of what is new."""


def defaults(state_shape: tuple[int, ...], n_items: int) -> dict[str, Any]:
    """Default choices for images of (C, H, W), each with its reason.

    Returns: {"recipe", "net": {"name", **options}, "space": {"name", **options}, "batch", "lr",
    "scale", where there are many "autoguidance", "weaker" and maybe "interval",
    "when_given" (what is otherwise for a model with conditions),
    "reasons": [sentence], "warnings": [sentence]}.
    """
    _, height, width = state_shape
    size = math.prod(state_shape)
    lr: float | None = None
    guided: dict[str, Any] = {"scale": 1.0, "autoguidance": 1.5, "weaker": 0.07}
    reasons, warnings = [], []
    if n_items < FEW:
        warnings.append(
            f"{n_items} training images are few: the model will copy them rather than generalise; "
            "read the measured novelty before you use a sample"
        )
    if size <= 256:
        net: dict[str, Any] = {"name": "unet", "width": 32, "mult": [1, 2], "blocks": 1}
        space: dict[str, Any] = {"name": "identity"}
        batch = 128
        reasons.append(f"a small U-Net on the pixels of {height}x{width} images")
    elif n_items < COMPONENTS:
        levels = max(0, math.ceil(math.log2(max(height, width) / 32)))
        net = {"name": "unet", "width": 32, "mult": [1, 2, 3], "blocks": 1}
        space = {"name": "wavelet", "levels": levels} if levels else {"name": "identity"}
        batch, lr = 32, 2e-3
        reasons.append(
            f"a U-Net, since principal components of {n_items} images span these and little else"
        )
    elif n_items < FEW or size <= 1024:
        kept = min(COMPONENTS, size)
        net = {"name": "mlp", "width": 1024 if n_items >= FEW else 512, "depth": 4}
        space = {"name": "pca", "explained": 0.9999, "components": kept}
        batch = 512
        reasons.append(
            f"a perceptron on at most {kept} principal components: the best images for minutes of "
            "a CPU of what was tried (docs/choices.md); for hours, or on a GPU, try --set "
            "net=unet --set space=wavelet"
        )
    else:
        levels = max(1, math.ceil(math.log2(max(height, width) / 32)) + 1)
        net = {"name": "unet", "width": 48, "mult": [1, 2, 3], "blocks": 1}
        space = {"name": "wavelet", "levels": levels}
        batch = 128 if levels == 1 else 64
        plural = "s" * (levels > 1)
        reasons.append(f"a U-Net on {levels} level{plural} of wavelets of {height}x{width} images")
        # where noise is all there is, the early net errs in layout, and away from that is no better
        guided |= {"autoguidance": 2.0, "interval": (0.0, 0.65)}
        guided |= {"when_given": {"scale": 2.0, "autoguidance": 1.5}}
    return {
        "recipe": "flow",
        "net": net,
        "space": space,
        "batch": max(1, min(batch, n_items)),
        "lr": lr or (1e-3 if net["name"] == "mlp" else 5e-3),
        **({"scale": 1.5} if n_items < FEW else guided),
        "reasons": reasons,
        "warnings": warnings,
    }
