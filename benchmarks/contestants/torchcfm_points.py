"""torchcfm's MLP in the loop of its examples in the plane: width 64, Adam, Euler of 100 steps."""

from __future__ import annotations

import numpy as np
import torch
from torchcfm.conditional_flow_matching import ConditionalFlowMatcher
from torchcfm.models import MLP

from benchmarks.contestants.child import Child, until

child = Child()
asked = child.asked
torch.set_num_threads(asked["threads"])
torch.manual_seed(asked["seed"])
data = torch.from_numpy(np.load(asked["source"])).float()
size = data.shape[1]
with child.phase("fit"):
    more = until(asked["budget"])
    model = MLP(dim=size, time_varying=True)
    matcher = ConditionalFlowMatcher(sigma=0.1)
    optimiser = torch.optim.Adam(model.parameters())
    for _ in more(range(100_000_000)):
        optimiser.zero_grad()
        x = data[torch.randint(len(data), (256,))]
        t, x_t, velocity = matcher.sample_location_and_conditional_flow(torch.randn_like(x), x)
        loss = torch.mean((model(torch.cat([x_t, t[:, None]], -1)) - velocity) ** 2)
        loss.backward()
        optimiser.step()
with child.phase("sample"), torch.no_grad():
    x = torch.randn(asked["count"], size)
    for k in range(100):
        x = x + model(torch.cat([x, torch.full((len(x), 1), k / 100)], -1)) / 100
np.save(f"{asked['folder']}/drawn.npy", x.numpy())
child.answer("torch", "torchcfm")
