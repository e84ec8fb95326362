"""torchcfm's MNIST recipe on images: conditional flow matching, Adam, Euler with 50 steps."""

from __future__ import annotations

import numpy as np
import torch
from torchcfm.conditional_flow_matching import ConditionalFlowMatcher

from benchmarks.contestants.child import Child, until
from benchmarks.contestants.pictures import as_given, channels_first
from benchmarks.contestants.torchcfm_loop import loss_with, net

child = Child()
asked = child.asked
torch.set_num_threads(asked["threads"])
torch.manual_seed(asked["seed"])
with np.load(asked["source"]) as file:
    data = channels_first(file["images"])
with child.phase("fit"):
    more = until(asked["budget"])
    model = net(channels=data.shape[1])
    loss = loss_with(ConditionalFlowMatcher(sigma=0.0))
    optimiser = torch.optim.Adam(model.parameters())
    for _ in more(range(1_000_000)):
        x = data[torch.randint(len(data), (128,))].float() / 127.5 - 1
        optimiser.zero_grad()
        loss(model, x).backward()
        optimiser.step()
with child.phase("sample"), torch.no_grad():
    parts = []
    for start in range(0, asked["count"], 250):
        x = torch.randn(min(250, asked["count"] - start), *data.shape[1:])
        for k in range(50):
            x = x + model(torch.full((len(x),), k / 50), x) / 50
        parts.append(x)
np.savez(f"{asked['folder']}/drawn.npz", images=as_given(torch.cat(parts)))
child.answer("torch", "torchcfm")
