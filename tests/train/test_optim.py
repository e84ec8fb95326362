"""The optimiser and the clipping of the training loop: torch's numbers, for less time."""

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from unfog.model.ema import Ema
from unfog.train.optim import PlainAdamW, adamw, clipped


def perceptron():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 16), nn.SiLU(), nn.Linear(16, 3), nn.Linear(3, 3))


def updates(net, optimiser, count):
    x = torch.linspace(-1, 1, 100).view(20, 5)
    for _ in range(count):
        optimiser.zero_grad()
        net[:3](x).square().mean().backward()  # the last layer has no gradient
        optimiser.step()


def both():
    ours, theirs = perceptron(), perceptron()
    groups = [
        {"params": [p for p in theirs.parameters() if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in theirs.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    reference = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.99), fused=True)
    return ours, adamw(ours, lr=0.01, weight_decay=0.1), theirs, reference


def test_an_update_is_torchs_bit_by_bit_and_so_is_its_state():
    ours, mine, theirs, reference = both()
    assert isinstance(mine, PlainAdamW)
    updates(ours, mine, 7)
    updates(theirs, reference, 7)
    assert all(map(torch.equal, ours.parameters(), theirs.parameters()))
    found, wanted = mine.state_dict(), reference.state_dict()
    assert found["param_groups"] == wanted["param_groups"]
    assert found["state"].keys() == wanted["state"].keys() == {0, 1, 3, 4}
    for place, entry in wanted["state"].items():
        for name, value in entry.items():
            assert torch.equal(found["state"][place][name], value)


def test_a_state_goes_from_one_to_the_other_and_back():
    ours, mine, theirs, reference = both()
    updates(ours, mine, 3)
    updates(theirs, reference, 3)
    mine.load_state_dict(copy.deepcopy(reference.state_dict()))
    updates(ours, mine, 3)
    updates(theirs, reference, 3)
    assert all(map(torch.equal, ours.parameters(), theirs.parameters()))


@pytest.mark.parametrize("most", [0.01, 1.0, 100.0])
def test_gradients_are_cut_as_torch_cuts_them(most):
    ours, theirs = perceptron(), perceptron()
    x = torch.linspace(-3, 3, 100).view(20, 5)
    for net in (ours, theirs):
        net[:3](x).square().sum().backward()
    norm = clipped(list(ours.parameters()), most)
    assert torch.equal(norm, nn.utils.clip_grad_norm_(theirs.parameters(), most))
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None)
        assert one.grad is None or torch.equal(one.grad, other.grad)


def test_the_average_follows_whatever_model_it_is_given():
    one, other = perceptron(), perceptron()
    with torch.no_grad():
        for p in other.parameters():
            p.add_(1.0)
    ema = Ema(one)
    ema.update(one, 1)
    ema.update(other, 1)  # the first update takes all
    assert all(map(torch.equal, ema.model.parameters(), other.parameters()))


def test_a_fit_never_loads_torchs_compiler():
    """It takes 1.7 CPU-seconds, nearly half of a budget of four."""
    code = (
        "import sys, numpy as np, unfog\n"
        "x = np.random.default_rng(0).normal(size=(60, 2)).astype('float32')\n"
        "unfog.fit(x, steps=30, quiet=True).sample(4, steps=3, show=False)\n"
        "print('torch._dynamo' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
