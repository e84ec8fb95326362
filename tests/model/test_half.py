"""Weights held in bfloat16: the answers of autocast, cast once."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from unfog.maths.paths import Linear
from unfog.maths.targets import Velocity
from unfog.model.half import half
from unfog.model.model import Model
from unfog.nets import nets

NETS = {
    "mlp": ({"shape": [5], "width": 32, "depth": 2, "vector": 16}, (5,)),
    "unet": (
        {"shape": [1, 8, 8], "width": 8, "mult": [1, 2], "blocks": 1, "attention": [False, True]},
        (1, 8, 8),
    ),
    "dit": ({"shape": [1, 8, 8], "patch": 2, "width": 16, "depth": 1, "heads": 2}, (1, 8, 8)),
    "rnn": ({"shape": [2, 9], "width": 16, "depth": 1}, (2, 9)),
}


def woken(name, options):
    """A net with no gate closed."""
    torch.manual_seed(0)
    net = nets.make(name, **options).eval().requires_grad_(False)
    for value in net.parameters():
        value.add_(0.2 * torch.randn_like(value) / max(1, value[0].numel()) ** 0.5)
    return net


@pytest.mark.parametrize("name", NETS)
def test_held_weights_answer_as_weights_that_are_cast_at_every_call(name):
    options, shape = NETS[name]
    net = woken(name, options)
    x, t = torch.randn(4, *shape), torch.tensor(0.4)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(half(net)(x, t), net(x, t))


def test_the_net_itself_is_left_as_it_is():
    net = woken("mlp", NETS["mlp"][0])
    before = {name: value.clone() for name, value in net.state_dict().items()}
    made = half(net)
    kinds = {type(part) for part in made.modules() if isinstance(part, nn.Linear)}
    assert kinds == {nn.Linear}
    assert made.first.weight.dtype == torch.bfloat16  # type: ignore[union-attr]
    assert made.time.inner.weight.dtype == torch.float32  # type: ignore[union-attr]
    assert net.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_weights_are_held_where_nothing_is_learnt_and_given_back():
    net = woken("mlp", NETS["mlp"][0])
    seen: list[torch.dtype] = []
    net.first.register_forward_hook(lambda part, *_: seen.append(part.weight.dtype))
    model = Model(net, Linear(), Velocity())
    x, t = torch.randn(4, 5), torch.tensor(0.4)
    with torch.no_grad(), model.computing("bfloat16"):
        model.predict(x, t)
        with model.computing("float32"):
            model.predict(x, t)
        model.predict(x, t)
    with model.computing("bfloat16"):
        model.predict(x, t)
    model.predict(x, t)
    half_, full = torch.bfloat16, torch.float32
    assert seen == [half_, full, half_, full, full]


def test_a_table_s_sums_are_rounded_with_its_layers():
    """Embeddings too: the answers differ by bfloat16's digits, and the line stays in bfloat16."""
    fields = {"num": {"type": "number", "size": 3}, "cat": {"type": "category", "sizes": [3, 4]}}
    net = woken("table", {"fields": fields, "width": 64, "depth": 2})
    seen: list[torch.dtype] = []
    rows = torch.Generator().manual_seed(0)
    x = {
        "num": torch.randn(32, 3, generator=rows),
        "cat": torch.randint(3, (32, 2), generator=rows),
    }
    with torch.no_grad():
        exact = net(x, torch.tensor(0.4))
        with torch.autocast("cpu", torch.bfloat16):
            made = half(net)
            made.blocks[0].register_forward_hook(lambda part, x, y: seen.append(y.dtype))
            rough = made(x, torch.tensor(0.4))
    assert seen == [torch.bfloat16]
    for name, there in (("num", ...), ("cat", exact["cat"].isfinite())):
        away = (rough[name] - exact[name])[there].abs().mean() / exact[name][there].std()
        assert 0 < away < 0.02
        assert rough[name].dtype == torch.float32
