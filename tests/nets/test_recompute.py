"""Recomputed blocks: the same gradient, with dropout too, and less that is kept."""

import pytest
import torch

from unfog.maths.randomness import BatchRng
from unfog.nets import nets
from unfog.nets.recompute import recompute
from unfog.nets.units import dropping
from unfog.train.memory import kept
from unfog.train.share import Share

SHAPES = {
    "unet": ({"shape": [2, 8, 8], "width": 16, "mult": [1, 2], "blocks": 1}, (6, 2, 8, 8)),
    "dit": ({"shape": [2, 8, 8], "width": 32, "depth": 3, "heads": 2}, (6, 2, 8, 8)),
    "mlp": ({"shape": [10], "width": 32, "depth": 3}, (6, 10)),
    "rnn": ({"shape": [2, 8], "width": 16, "depth": 2}, (6, 2, 8)),
}


def made(name, **more):
    options, shape = SHAPES[name]
    torch.manual_seed(0)
    net = nets.make(name, **{**options, **more})
    for parameter in net.parameters():  # a fresh net answers zero, whose gradient says little
        torch.nn.init.normal_(parameter, std=0.2)
    return net, torch.randn(shape, generator=torch.Generator().manual_seed(1))


def gradient(net, x, rng):
    net.zero_grad()
    with kept(net) as found, dropping(net, rng):
        loss = net(x, torch.linspace(0.1, 0.9, len(x))).square().mean()
    loss.backward()  # outside, as in training: no stream is lent to the second pass
    return [p.grad.clone() for p in net.parameters() if p.grad is not None], sum(found.values())


@pytest.mark.parametrize("name", SHAPES)
def test_the_gradient_is_that_of_the_plain_net_and_less_is_kept(name):
    net, x = made(name)
    plain, much = gradient(net, x, BatchRng(3))
    recompute(net)
    again, little = gradient(net, x, BatchRng(3))
    assert len(plain) == len(again)
    for one, other in zip(plain, again, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
    assert little < 0.7 * much


@pytest.mark.parametrize("share", [Share(0, 6, 6), Share(0, 6, 9)])
def test_what_is_dropped_is_dropped_again(share):
    net, x = made("mlp", dropout=0.5)
    plain, _ = gradient(net, x, share.rng(BatchRng(3)))
    other, _ = gradient(net, x, share.rng(BatchRng(4)))
    recompute(net)
    again, _ = gradient(net, x, share.rng(BatchRng(3)))
    for one, two in zip(plain, again, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-7)
    assert any(not torch.allclose(a, b) for a, b in zip(plain, other, strict=True))
