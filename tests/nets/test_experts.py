"""Two experts in one net: who answers what, on a grid that keeps white noise white."""

import pytest
import torch

from unfog.errors import ArgumentError, ShapeError
from unfog.nets import nets

SMALL = {"width": 8, "mult": [1, 2], "blocks": 1, "coarse_width": 16, "coarse_depth": 1}


def made(shape=(2, 8, 8), **options):
    torch.manual_seed(0)
    net = nets.make("experts", shape=list(shape), at=0.6, **{**SMALL, "coarse": 2, **options})
    with torch.no_grad():
        for value in net.parameters():
            value.add_(0.3 * torch.randn_like(value) / max(1, value[0].numel()) ** 0.5)
    return net


def test_every_sample_asks_the_expert_of_its_level():
    net, x = made(), torch.randn(6, 2, 8, 8)
    t = torch.tensor([0.1, 0.9, 0.59, 0.6, 0.3, 1.0])
    with torch.no_grad():
        answer, fine, coarse = net(x, t), net.fine(x, t), net._low(x, t, None, None)
    for row, level in enumerate(t):
        own, other = (coarse, fine) if level >= 0.6 else (fine, coarse)
        assert torch.allclose(answer[row], own[row], atol=1e-5)
        assert not torch.allclose(answer[row], other[row], atol=1e-2)


def test_the_coarse_expert_sees_sums_and_the_filter_the_rest():
    net, x, t = made(), torch.randn(5, 2, 8, 8), torch.full((5,), 0.8)
    with torch.no_grad():
        small = net._pooled(x)
        assert small.shape == (5, 2, 4, 4)
        assert torch.allclose(small[0, 1, 0, 2], x[0, 1, :2, 4:6].sum() / 2, atol=1e-6)
        left, right = torch.randn_like(small), x  # one is the other's adjoint
        assert torch.allclose((net._spread(left) * right).sum(), (left * small).sum(), rtol=1e-4)
        assert torch.allclose(net._pooled(net._spread(left)), left, atol=1e-6)
        answer = net(x, t)
        assert torch.allclose(net._pooled(answer), net.coarse(small, t), atol=1e-5)
        rest, kept = answer - net._spread(net._pooled(answer)), x - net._spread(small)
        gains = (rest / kept).flatten(2)
        assert torch.allclose(gains, gains[:, :, :1].expand_as(gains), rtol=1e-3, atol=1e-3)


def test_white_noise_stays_white_on_the_coarse_grid():
    noise = torch.randn(4000, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    small = made()._pooled(noise).flatten(1)
    assert torch.allclose(torch.cov(small.T), torch.eye(32), atol=0.08)


def test_the_coarse_grid_follows_from_the_size():
    for shape, patch in [([12, 16, 16], 2), ([1, 32, 32], 1), ([3, 64, 64], 4), ([3, 63, 63], 1)]:
        assert nets.make("experts", shape=shape, **SMALL).options["coarse"] == patch


def test_a_learnt_variance_has_channels_of_its_own():
    net = made(out_channels=4)
    assert net(torch.randn(3, 2, 8, 8), torch.tensor([0.1, 0.7, 0.9])).shape == (3, 4, 8, 8)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"at": 1.0}, "between 0 and 1"),
        ({"coarse": 3}, "divide"),
        ({"out_channels": 3}, "multiple"),
    ],
)
def test_impossible_options_are_refused(options, word):
    with pytest.raises(ArgumentError, match=word):
        nets.make("experts", **{"shape": [2, 8, 8], **SMALL, **options})


def test_another_size_is_refused():
    with pytest.raises(ShapeError, match="this net takes"):
        made()(torch.randn(3, 2, 16, 16), torch.tensor(0.5))
