"""One model in several processes: copies with averaged gradients (DDP), or slices of it (FSDP2)."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from unfog.errors import ArgumentError
from unfog.train.dist import World


def synchronised(step: nn.Module, world: World) -> nn.Module:
    """`step` whose backward averages gradients over all processes; a sharded one does so already.

    Args:
        step: a module whose forward is all that gradients go through.
    """
    if world.size == 1 or is_sharded(step):
        return step
    from torch.nn.parallel import DistributedDataParallel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the option's new name needs torch 2.13
        return DistributedDataParallel(step, broadcast_buffers=False)  # they are constants


def shard(model: Any, world: World) -> None:
    """Cut the net's weights into one slice per process, in place: block by block, then the rest.

    Optimisers have to be made afterwards. Raises: ArgumentError for weights outside the net.
    Ref: Zhao et al. 2023, PyTorch FSDP; per-parameter sharding as in torch's `fully_shard`.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    inside = {id(p) for p in model.net.parameters()}
    outside = [name for name, p in model.named_parameters() if id(p) not in inside]
    if outside:
        raise ArgumentError(
            f"weights outside the net can't be cut into slices: {outside[:3]}; use train.shard=ddp"
        )
    # it warns of answers that are views and would be changed in place; the objective changes none
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module")
    mesh = init_device_mesh(next(model.parameters()).device.type, (world.size,))
    for block in [b for m in model.net.modules() if isinstance(m, nn.ModuleList) for b in m]:
        if _is_unit(block):
            fully_shard(block, mesh=mesh)
    fully_shard(model.net, mesh=mesh)


def _is_unit(block: nn.Module) -> bool:
    """Whether weights may come together for this block alone: only its forward uses them."""
    doors = {name for name in vars(type(block)) if not name.startswith("_")}
    return "forward" in doors and doors <= {"forward", "initialise"}


def is_sharded(module: nn.Module) -> bool:
    """Whether any weight is in slices."""
    return any(hasattr(p, "full_tensor") for p in module.parameters())


def full(value: Tensor) -> Tensor:
    """The whole of a tensor that may be in slices; all processes have to ask for it."""
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def whole(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """`full` of every tensor, in an order that all processes share."""
    return {name: full(value) for name, value in tensors.items()}


def sliced(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor cut as `like` is; unchanged where that is whole, or of another shape."""
    if not hasattr(like, "full_tensor") or value.shape != like.shape:
        return value
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(like, DTensor)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # slices of slices are announced as experimental
        return distribute_tensor(
            value.to(like.device, like.dtype), like.device_mesh, like.placements
        )


def norm_of(value: Tensor) -> Tensor:
    """A gradient norm as a plain 0-d tensor."""
    return full(value).detach().to(torch.float32)
