"""Dropout of units: a law of every net that has it, and what the stream decides."""

from __future__ import annotations

import copy

import pytest
import torch

from unfog.errors import ArgumentError
from unfog.maths.randomness import BatchRng
from unfog.nets import nets
from unfog.nets.units import Dropout, dropping
from unfog.train.share import Share

COLUMNS = {"num": {"type": "number", "size": 3}, "cat": {"type": "category", "sizes": [2, 4]}}
CASES = {
    "mlp": {"shape": [2, 3], "width": 32, "depth": 2},
    "table": {"fields": COLUMNS, "width": 32, "depth": 2},
    "unet": {"shape": [1, 8, 8], "width": 8, "mult": [1, 2], "blocks": 1},
    "dit": {"shape": [1, 8, 8], "patch": 2, "width": 24, "depth": 2, "heads": 2},
}
cases = pytest.mark.parametrize("name", CASES)


def made(name: str, rate: float):
    torch.manual_seed(0)
    net = nets.make(name, **CASES[name], dropout=rate)
    with torch.no_grad():
        for value in net.parameters():
            value.add_(0.3 * torch.randn_like(value) / max(1, value[0].numel()) ** 0.5)
    return net


def inputs(name: str, batch: int = 6):
    rng = torch.Generator().manual_seed(1)
    if name == "table":
        x = {
            "num": torch.randn(batch, 3, generator=rng),
            "cat": torch.stack([torch.randint(0, k, (batch,), generator=rng) for k in (2, 4)], 1),
        }
    else:
        x = torch.randn(batch, *CASES[name]["shape"], generator=rng)
    return x, torch.rand(batch, generator=rng)


def flat(y):
    parts = y.values() if isinstance(y, dict) else [y]
    return torch.cat([p.reshape(len(p), -1).nan_to_num(neginf=0.0) for p in parts], 1).detach()


def dropped(net, x, t, rng):
    with dropping(net, rng):
        return flat(net(x, t))


@cases
def test_nothing_is_dropped_but_where_a_stream_is_lent(name) -> None:
    x, t = inputs(name)
    net, plain = made(name, 0.3), made(name, 0.0)
    for mode in (True, False):
        assert torch.equal(flat(net.train(mode)(x, t)), flat(plain(x, t)))
    state = torch.get_rng_state()
    first = dropped(net, x, t, BatchRng(1))
    assert torch.equal(torch.get_rng_state(), state)  # the global generator is nobody's
    assert torch.equal(dropped(net, x, t, BatchRng(1)), first)
    assert not torch.equal(dropped(net, x, t, BatchRng(2)), first)
    assert not torch.equal(first, flat(plain(x, t)))
    assert torch.equal(flat(copy.deepcopy(net)(x, t)), flat(plain(x, t)))
    assert torch.equal(dropped(plain, x, t, BatchRng(1)), flat(plain(x, t)))


@cases
def test_a_share_of_the_batch_drops_what_the_whole_drops(name) -> None:
    x, t = inputs(name)
    net, rows = made(name, 0.3), Share(2, 5, 6)
    whole = dropped(net, x, t, BatchRng(1))
    part = dropped(net, rows.of(x), t[2:5], rows.rng(BatchRng(1)))
    torch.testing.assert_close(part, whole[2:5], rtol=0, atol=1e-5)


@cases
def test_the_rate_is_an_option_that_rebuilds_the_net(name) -> None:
    net = made(name, 0.25)
    again = nets.make(name, **net.options)
    rates = [p.rate for p in again.modules() if isinstance(p, Dropout)]
    assert rates == [0.25] * len(rates)
    assert len(rates) >= 2
    assert again.state_dict().keys() == made(name, 0.0).state_dict().keys()


def test_the_share_and_the_mean_are_as_stated() -> None:
    """Bernoulli(1 - rate) / (1 - rate): five deviations of 200 000 draws."""
    drop, x = Dropout(0.3), torch.ones(1000, 200)
    with dropping(drop, BatchRng(0)):
        y = drop(x)
    assert sorted(y.unique().tolist()) == pytest.approx([0.0, 1 / 0.7])
    assert abs(float((y == 0).float().mean()) - 0.3) < 5 * (0.21 / 2e5) ** 0.5
    with pytest.raises(ArgumentError, match="dropout=1 is no share"):
        Dropout(1)
