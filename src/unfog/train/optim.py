"""Optimisers: AdamW, with decay on matrices only."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class PlainAdamW(torch.optim.AdamW):
    """torch's fused AdamW for weights in the CPU's memory, without what a compiler would need.

    The same kernel, state and numbers. What torch does around it loads its compiler, which takes
    1.7 CPU-seconds, and sorts the weights by device at every update.
    """

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As torch's, with its compiler left alone."""
        inspect.unwrap(torch.optim.AdamW.add_param_group)(self, param_group)

    def state_dict(self) -> dict[str, Any]:
        """As torch's, with its compiler left alone."""
        found: dict[str, Any] = inspect.unwrap(torch.optim.AdamW.state_dict)(self)
        return found

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's, with its compiler left alone."""
        inspect.unwrap(torch.optim.AdamW.load_state_dict)(self, state_dict)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients; they are never kept as zeros."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of all weights that have a gradient."""
        for group in self.param_groups:
            used = [p for p in group["params"] if p.grad is not None]
            if not used:
                continue
            states = [self.state[p] or self._begin(p) for p in used]
            counts = [state["step"] for state in states]
            torch._foreach_add_(counts, 1)
            torch._fused_adamw_(
                used,
                [p.grad for p in used],
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                counts,
                lr=group["lr"],
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
            )

    def _begin(self, parameter: Tensor) -> dict[str, Tensor]:
        self.state[parameter] = {
            "step": torch.zeros((), dtype=torch.float32),
            "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
            "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
        }
        return self.state[parameter]


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
    if all(p.device.type == "cpu" and not hasattr(p, "full_tensor") for p in trainable):
        return PlainAdamW(groups, lr=lr, betas=betas, fused=True)
    fused = all(p.device.type in ("cpu", "cuda") for p in trainable)
    return torch.optim.AdamW(groups, lr=lr, betas=betas, fused=fused)


@torch.no_grad()
def clipped(parameters: Sequence[Tensor], most: float) -> Tensor:
    """The norm, 0-d, of all gradients together, which are cut to `most`: torch's clip_grad_norm_.

    The same numbers; on the CPU without sorting the gradients by device every time.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    plain = all(g.device.type == "cpu" and type(g) is Tensor for g in gradients)
    if not plain or not gradients or len({g.dtype for g in gradients}) > 1:
        return nn.utils.clip_grad_norm_(parameters, most)
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    torch._foreach_mul_(gradients, (most / (norm + 1e-6)).clamp(max=1.0))
    return norm
