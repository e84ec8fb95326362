"""diffusers' UNet2DModel in the loop of its tutorial: DDPM noise, squared error, AdamW."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, UNet2DModel
from torch import Tensor

from benchmarks.contestants.child import Child
from benchmarks.contestants.loops import timed


def net(channels: int = 1) -> UNet2DModel:
    return UNet2DModel(
        sample_size=32,
        in_channels=channels,
        out_channels=channels,
        layers_per_block=2,
        block_out_channels=(32, 64, 128),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    )


def loss_with(scheduler: DDPMScheduler):  # type: ignore[no-untyped-def]
    def loss(model: UNet2DModel, x: Tensor) -> Tensor:
        noise = torch.randn_like(x)
        t = torch.randint(0, scheduler.config.num_train_timesteps, (len(x),))
        return F.mse_loss(model(scheduler.add_noise(x, noise, t), t).sample, noise)

    return loss


if __name__ == "__main__":
    child, model = Child(), net()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    timed(child, model, loss_with(DDPMScheduler()), optimiser, "diffusers")
