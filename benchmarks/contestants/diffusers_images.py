"""diffusers on images: UNet2DModel, DDPM noise, AdamW; DPM-Solver++ with 20 steps."""

from __future__ import annotations

import numpy as np
import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler

from benchmarks.contestants.child import Child, until
from benchmarks.contestants.diffusers_loop import loss_with, net
from benchmarks.contestants.pictures import as_given, channels_first

child = Child()
asked = child.asked
torch.set_num_threads(asked["threads"])
torch.manual_seed(asked["seed"])
with np.load(asked["source"]) as file:
    data = channels_first(file["images"])
with child.phase("fit"):
    more = until(asked["budget"])
    model, noise = net(data.shape[1]), DDPMScheduler()
    loss = loss_with(noise)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    for _ in more(range(1_000_000)):
        x = data[torch.randint(len(data), (64,))].float() / 127.5 - 1
        loss(model, x).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
with child.phase("sample"), torch.no_grad():
    model.eval()
    parts = []
    for start in range(0, asked["count"], 250):
        solver = DPMSolverMultistepScheduler.from_config(noise.config)
        solver.set_timesteps(20)
        x = torch.randn(min(250, asked["count"] - start), *data.shape[1:])
        for t in solver.timesteps:
            x = solver.step(model(x, t).sample, t, x).prev_sample
        parts.append(x)
np.savez(f"{asked['folder']}/drawn.npz", images=as_given(torch.cat(parts)))
child.answer("torch", "diffusers")
