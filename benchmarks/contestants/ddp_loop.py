"""denoising-diffusion-pytorch's Unet and GaussianDiffusion, with its trainer's Adam."""

from __future__ import annotations

import torch

from benchmarks.contestants.child import Child
from benchmarks.contestants.loops import timed, without_torchvision

without_torchvision()
from denoising_diffusion_pytorch import GaussianDiffusion, Unet  # noqa: E402

child = Child()
net = Unet(dim=32, dim_mults=(1, 2, 4), channels=1)
diffusion = GaussianDiffusion(net, image_size=32, timesteps=1000)
optimiser = torch.optim.Adam(diffusion.parameters(), lr=1e-4, betas=(0.9, 0.99))
timed(
    child,
    diffusion,
    lambda model, x: model((x + 1) / 2),
    optimiser,
    "denoising-diffusion-pytorch",
)
