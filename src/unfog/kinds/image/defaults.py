"""What to learn images with, unless the user says otherwise."""

from __future__ import annotations

from typing import Any


def defaults(state_shape: tuple[int, ...], n_items: int) -> dict[str, Any]:
    """Default choices for images of (C, H, W), each with its reason.

    Returns: {"recipe", "net": {"name", **options}, "space": {"name"}, "batch", "reasons":
    [sentence]}.
    """
    _, height, width = state_shape
    side = max(height, width)
    reasons = [f"a U-Net, because neighbouring pixels of {height}×{width} images belong together"]
    width_of_net = 32 if side <= 32 else 48
    levels = 1
    while min(height, width) // 2**levels >= 4 and levels < 4:
        levels += 1
    mult = [1, 2, 2, 4][:levels]
    reasons.append(f"{levels} resolutions, the coarsest of at least 4 pixels")
    batch = 64 if side <= 32 else 16
    batch = max(1, min(batch, n_items))
    if n_items < 1000:
        reasons.append(
            f"{n_items} images are few: expect copies of them; look at the measured novelty"
        )
    return {
        "recipe": "flow",
        "net": {"name": "unet", "width": width_of_net, "mult": mult},
        "space": {"name": "identity"},
        "batch": batch,
        "lr": 1e-3,
        "reasons": reasons,
    }
