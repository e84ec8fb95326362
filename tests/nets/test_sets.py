"""Nets over fields and points: order, padding, and the size of every column."""

import pytest
import torch

from unfog.errors import ArgumentError, ShapeError, UnknownName
from unfog.nets import nets

FIELDS = {
    "num": {"type": "number", "size": 3},
    "cat": {"type": "category", "sizes": [2, 5]},
    "pts": {"type": "points", "size": 2},
}


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = nets.make("sets", fields=FIELDS, width=16, depth=2, heads=2)
    with torch.no_grad():
        for value in net.parameters():
            value.add_(0.3 * torch.randn_like(value))
    return net


def state(batch=2, points=4):
    return {
        "num": torch.randn(batch, 3),
        "cat": torch.stack([torch.arange(batch) % 3, torch.arange(batch) % 6], dim=1),
        "pts": torch.randn(batch, points, 2),
    }


def test_logits_end_where_the_column_ends(net):
    made = net(state(), torch.rand(2))
    assert made["cat"].shape == (2, 2, 5)
    finite = made["cat"].isfinite()
    assert finite[:, 0].tolist() == [[True, True, False, False, False]] * 2
    assert finite[:, 1].all()
    assert torch.allclose(made["cat"].softmax(-1).sum(-1), torch.ones(2, 2))
    made["cat"].softmax(-1).square().sum().backward()
    assert all(value.grad is None or value.grad.isfinite().all() for value in net.parameters())


def test_points_are_equivariant_and_other_fields_invariant(net):
    x_t, t, order = state(points=5), torch.rand(2), torch.tensor([4, 1, 0, 3, 2])
    with torch.no_grad():
        before, after = net(x_t, t), net({**x_t, "pts": x_t["pts"][:, order]}, t)
    assert torch.allclose(after["pts"], before["pts"][:, order], atol=1e-5)
    assert torch.allclose(after["num"], before["num"], atol=1e-5)
    assert torch.allclose(after["cat"], before["cat"], atol=1e-5)
    assert float(before["pts"].std(1).min()) > 1e-3


def test_columns_are_not_interchangeable(net):
    x_t, t = state(), torch.rand(2)
    with torch.no_grad():
        flipped = net({**x_t, "num": x_t["num"].flip(1)}, t)["num"].flip(1)
        assert float((flipped - net(x_t, t)["num"]).abs().max()) > 1e-2


def test_padding_has_no_influence_on_real_entries(net):
    x_t, t = state(points=3), torch.rand(2)
    padded = {**x_t, "pts": torch.cat([x_t["pts"], 1e3 * torch.randn(2, 4, 2)], dim=1)}
    mask = {"pts": torch.tensor([[1.0] * 3 + [0.0] * 4] * 2)}
    with torch.no_grad():
        short, long = net(x_t, t), net(padded, t, mask=mask)
    assert torch.allclose(long["num"], short["num"], atol=1e-5)
    assert torch.allclose(long["cat"], short["cat"], atol=1e-5)
    assert torch.allclose(long["pts"][:, :3], short["pts"], atol=1e-5)


def test_points_net_is_equivariant_and_blind_to_padding():
    torch.manual_seed(0)
    net = nets.make("points", shape=[6, 3], width=16, depth=2, heads=2)
    with torch.no_grad():
        for value in net.parameters():
            value.add_(0.3 * torch.randn_like(value))
        x_t, t, order = torch.randn(2, 6, 3), torch.rand(2), torch.randperm(6)
        made = net(x_t, t)
        assert torch.allclose(net(x_t[:, order], t), made[:, order], atol=1e-5)
        mask = torch.tensor([[1, 1, 1, 1, 0, 0]]).expand(2, 6)
        other = x_t.clone()
        other[:, 4:] = 99.0
        assert torch.equal(net(x_t, t, mask=mask)[:, :4], net(other, t, mask=mask)[:, :4])
        assert torch.allclose(net(x_t, t, mask=mask)[:, :4], net(x_t[:, :4], t), atol=1e-5)
        assert net(x_t, t, mask=torch.zeros(2, 6)).isfinite().all()


def test_wrong_states_are_named(net):
    t = torch.rand(2)
    with pytest.raises(ArgumentError, match=r"column 0 has the index 3; allowed are 0 to 1, and 2"):
        net({**state(), "cat": torch.tensor([[3, 0], [0, 0]])}, t)
    with pytest.raises(ShapeError, match="'num'"):
        net({**state(), "num": torch.zeros(2, 4)}, t)
    with pytest.raises(ShapeError, match="fields"):
        net({"num": torch.zeros(2, 3)}, t)
    with pytest.raises(UnknownName, match="did you mean 'pts'"):
        net(state(), t, mask={"pt": torch.ones(2, 4)})
    with pytest.raises(ShapeError, match="mask of 'pts'"):
        net(state(), t, mask={"pts": torch.ones(2, 3)})


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"a": {"type": "numbers", "size": 2}},
        {"a": {"type": "number"}},
        {"a": {"type": "category", "sizes": []}},
        {"a": {"type": "number", "size": 2, "extra": 1}},
    ],
)
def test_wrong_fields_are_refused(fields):
    with pytest.raises(ArgumentError):
        nets.make("sets", fields=fields)
