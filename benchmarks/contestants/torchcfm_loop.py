"""torchcfm's UNet in the loop of its MNIST example: conditional flow matching, Adam."""

from __future__ import annotations

import torch
from torch import Tensor
from torchcfm.conditional_flow_matching import ConditionalFlowMatcher
from torchcfm.models.unet import UNetModel

from benchmarks.contestants.child import Child
from benchmarks.contestants.loops import timed


def net(width: int = 32, blocks: int = 1, channels: int = 1) -> UNetModel:
    return UNetModel(dim=(channels, 32, 32), num_channels=width, num_res_blocks=blocks)


def loss_with(matcher: ConditionalFlowMatcher):  # type: ignore[no-untyped-def]
    def loss(model: UNetModel, x: Tensor) -> Tensor:
        t, x_t, velocity = matcher.sample_location_and_conditional_flow(torch.randn_like(x), x)
        return torch.mean((model(t, x_t) - velocity) ** 2)

    return loss


if __name__ == "__main__":
    child, model = Child(), net()
    optimiser = torch.optim.Adam(model.parameters())
    timed(child, model, loss_with(ConditionalFlowMatcher(sigma=0.0)), optimiser, "torchcfm")
