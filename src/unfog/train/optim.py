"""Optimisers: AdamW, with decay on matrices only."""

from __future__ import annotations

import torch
from torch import nn


def adamw(
    module: nn.Module,
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.99),
    weight_decay: float = 0.0,
) -> torch.optim.AdamW:
    """AdamW on all trainable parameters; vectors and scalars (biases, gains) are not decayed.

    Ref: Loshchilov & Hutter 2019, Decoupled Weight Decay Regularization, alg. 2.
    """
    trainable = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    fused = all(p.device.type in ("cpu", "cuda") for p in trainable)
    return torch.optim.AdamW(groups, lr=lr, betas=betas, fused=fused)
