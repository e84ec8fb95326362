"""A net whose layers hold their weights in bfloat16, for drawing: no call casts them anew."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from unfog.nets.conditions import Conditions
from unfog.nets.embed import TimeEmbedding

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""What autocast computes in bfloat16, weights and all."""
SUMMED = (nn.EmbeddingBag,)
"""What is rounded with them, so that the line it is summed into stays in bfloat16."""
EXACT = (TimeEmbedding, Conditions)
"""What computes in float32 under autocast."""


def quick(device: torch.device) -> bool:
    """Whether bfloat16 is computed in by the device itself, and not by way of float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if device.type != "cpu":
        return False
    told: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(bool(told.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def half(net: nn.Module) -> nn.Module:
    """The net with its layers' weights in bfloat16; all else is shared with it, hooks too.

    Under autocast its answers are the net's own to the last bit, but for sums of embeddings, which
    are rounded. It is for answers alone: nothing that is learnt here reaches the net.
    """
    made = copy.copy(net)
    rounded = type(net) in (*LAYERS, *SUMMED)
    made._parameters = {
        name: nn.Parameter(p.detach().to(torch.bfloat16), requires_grad=False)
        if rounded and p is not None
        else p
        for name, p in net._parameters.items()
    }
    made._modules = {
        name: part if part is None or isinstance(part, EXACT) else half(part)
        for name, part in net._modules.items()
    }
    return made
