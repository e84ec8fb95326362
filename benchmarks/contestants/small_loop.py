"""smalldiffusion's Unet with its own loss and AdamW."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.contestants.child import Child
from benchmarks.contestants.loops import timed, without_torchvision

without_torchvision()
from smalldiffusion.diffusion import ScheduleDDPM, generate_train_sample  # noqa: E402
from smalldiffusion.model_unet import Unet  # noqa: E402

child = Child()
net = Unet(32, 1, 1, ch=64, ch_mult=(1, 1, 2))
schedule = ScheduleDDPM(beta_start=0.0001, beta_end=0.02, N=1000)


def loss(model: nn.Module, x: Tensor) -> Tensor:
    x0, sigma, eps, cond = generate_train_sample(x, schedule)
    return type(model).get_loss(model, x0, sigma, eps, cond=cond)


timed(child, net, loss, torch.optim.AdamW(net.parameters(), lr=1e-3), "smalldiffusion")
