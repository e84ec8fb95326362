"""Periodic axes in the U-Net: a ring has no place where it begins."""

import pytest
import torch
from test_grid_nets import wild
from torch.nn import functional as F

from unfog.errors import ArgumentError
from unfog.nets import nets
from unfog.nets.patches import cropped, marked, overlap, ringed


@pytest.mark.parametrize(
    ("shape", "periodic", "options"),
    [
        ([2, 24], [0], {}),
        ([1, 10, 16], [1], {}),
        ([1, 16, 10], [0], {}),
        ([1, 16, 24], [0, 1], {"patch": 2}),
        ([1, 8, 6, 8], [0, 2], {}),
    ],
)
def test_a_shift_by_the_total_stride_shifts_the_answer(shape, periodic, options):
    common = {"shape": shape, "width": 8, "mult": [1, 2, 2], "blocks": 1, **options}
    ring = wild(nets.make("unet", **common, periodic=periodic))
    flat = wild(nets.make("unet", **common))
    x, t = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)), torch.tensor(0.5)
    with torch.no_grad():
        for axis in periodic:
            made, moved = ring(x, t), ring(x.roll(ring.multiple, axis + 2), t)
            assert torch.allclose(made.roll(ring.multiple, axis + 2), moved, atol=1e-4)
            other = flat(x.roll(flat.multiple, axis + 2), t)
            assert float((flat(x, t).roll(flat.multiple, axis + 2) - other).abs().max()) > 1e-3
        for axis in set(range(len(shape) - 1)) - set(periodic):
            other = ring(x.roll(ring.multiple, axis + 2), t)
            assert float((made.roll(ring.multiple, axis + 2) - other).abs().max()) > 1e-3
    assert ring.options["periodic"] == sorted(periodic)
    again = nets.make("unet", **ring.options)
    again.load_state_dict(ring.state_dict())
    with torch.no_grad():
        assert torch.equal(again(x, t), ring(x, t))


def test_a_ring_that_the_stride_does_not_divide_is_nearly_closed():
    """49 places: continued on both sides, so that the answer is that of a ring unrolled."""
    net = wild(
        nets.make(
            "unet",
            shape=[1, 49],
            width=8,
            mult=[1, 2, 2],
            blocks=1,
            periodic=[0],
            attention=[False] * 3,
        )
    )
    x, t = torch.randn(4, 1, 49, generator=torch.Generator().manual_seed(0)), torch.tensor(0.5)
    flat = nets.make("unet", **{**net.options, "periodic": []})
    flat.load_state_dict(net.state_dict())
    places = torch.arange(-40, 49 + 40) % 49  # the ring unrolled, cut far away
    with torch.no_grad():
        truth = flat(x[..., places], t)[..., 40:89]
        made, loose = net(x, t), flat(x, t)
    assert made.shape == x.shape
    near, far = (float((one - truth).abs().mean() / truth.std()) for one in (made, loose))
    assert near < 0.1 * far


def test_padding_of_rings():
    x = torch.arange(10.0).view(1, 1, 10)
    wide = marked(x, 4, [0])
    before, after = overlap(10, 4)
    assert wide.shape == (1, 2, 10 + before + after)
    assert torch.equal(wide[0, 0], torch.arange(-before, 10 + after).remainder(10).float())
    assert torch.equal(wide[0, 1], torch.ones(10 + before + after))
    assert torch.equal(cropped(wide[:, :1], [10], 4, [0]), x)
    assert torch.equal(marked(x, 5, [0])[:, :1], x)
    grid = torch.randn(1, 1, 4, 6)
    made, left = ringed(grid, [1, 1], [1])
    assert left == [1, 0]
    weight = torch.randn(1, 1, 3, 3)
    both = F.conv2d(made, weight, padding=left)
    assert torch.allclose(both.roll(2, 3), F.conv2d(*_rolled(grid, weight)), atol=1e-5)


def _rolled(grid, weight):
    made, _ = ringed(grid.roll(2, 3), [1, 1], [1])
    return F.pad(made, [0, 0, 1, 1]), weight


def test_axes_that_are_not_there():
    with pytest.raises(ArgumentError, match=r"periodic=\[2\]"):
        nets.make("unet", shape=[1, 8, 8], periodic=[2])
