"""Crops: cut where they say, told where they were cut, the same in any number of processes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from unfog.errors import ArgumentError, ShapeError
from unfog.maths.paths import Linear
from unfog.maths.randomness import BatchRng
from unfog.maths.targets import Velocity
from unfog.maths.times import Uniform
from unfog.maths.weights import Unit
from unfog.model.model import Model
from unfog.nets import Conditions, nets
from unfog.train.crops import CROP, Crops
from unfog.train.share import Share

GIVEN = {CROP: {"type": "crop", "size": 4}}


def field(batch: int = 8, height: int = 16, width: int = 24) -> torch.Tensor:
    """Every place holds its own number, so that a crop says where it is from."""
    place = torch.arange(height * width, dtype=torch.float32).view(1, 1, height, width)
    return place + 1000 * torch.arange(batch).view(-1, 1, 1, 1)


def cut(x, seed, share=1.0, sizes=(0.5, 0.25), rows=None):
    y, cond = Crops(share, sizes)(x, {}, BatchRng(3, seed), rows)
    return y, cond[CROP]


def coordinates(told, height, width):
    conditions = Conditions(GIVEN, 8, tokens=False)
    return conditions({CROP: told}, len(told), spatial=(height, width)).channels


def test_a_crop_is_what_lies_where_it_says_and_its_coordinates_are_the_whole_s() -> None:
    x = field()
    whole = coordinates(torch.zeros(8, 4), 16, 24)
    assert whole.shape == (8, 2, 16, 24)
    edge = math.sqrt(3) * (1 - 1 / 16)
    assert whole[0, 0, :, 0].tolist() == pytest.approx(torch.linspace(-edge, edge, 16).tolist())
    seen = set()
    for seed in range(20):
        y, told = cut(x, seed)
        height, width = y.shape[2:]
        seen.add((height, width))
        at = coordinates(told, height, width)
        for n in range(8):
            top, left = round(float(told[n, 0]) * 16), round(float(told[n, 2]) * 24)
            assert torch.equal(y[n], x[n, :, top : top + height, left : left + width])
            there = whole[n, :, top : top + height, left : left + width]
            torch.testing.assert_close(at[n], there, rtol=0, atol=1e-6)
    assert seen == {(8, 12), (4, 8)}  # a quarter of 24 is 6, to the nearest multiple of 4 (even)


def test_places_are_even_and_the_share_is_as_stated() -> None:
    """Tops of 4 in 16 rows, 13 of them: chi-square of 12 degrees, false alarm 1 in 1000."""
    x, whole, tops = field(32), 0, []
    for seed in range(200):
        y, told = cut(x, seed, share=0.6, sizes=(0.25,))
        whole += y.shape == x.shape
        tops += [] if y.shape == x.shape else (told[:, 0] * 16).round().long().tolist()
    assert abs(whole / 200 - 0.4) < 4 * (0.24 / 200) ** 0.5
    counts = torch.bincount(torch.tensor(tops), minlength=13).double()
    expected = len(tops) / 13
    assert len(counts) == 13
    assert float(((counts - expected) ** 2 / expected).sum()) < 32.9


def test_whole_batches_stay_bit_equal() -> None:
    x = field()
    for options in ({"share": 0.0}, {"share": 1.0, "sizes": (1.0,)}):
        y, told = cut(x, 5, **options)
        assert torch.equal(y, x)
        assert torch.equal(told, torch.zeros(8, 4))


def test_batches_and_processes() -> None:
    x = field()
    for seed in range(6):
        y, told = cut(x, seed)
        again, said = cut(x, seed)
        assert torch.equal(y, again)
        assert torch.equal(told, said)
        rows = Share(3, 7, 8)
        part, heard = cut(x[3:7], seed, rows=rows)
        assert torch.equal(part, y[3:7])
        assert torch.equal(heard, told[3:7])


@pytest.mark.parametrize("name", ["unet", "dit"])
def test_a_net_that_is_told_nothing_sees_the_whole(name) -> None:
    torch.manual_seed(0)
    own = {"unet": {"mult": [1, 2], "blocks": 1}, "dit": {"depth": 1, "patch": 2}}[name]
    net = nets.make(name, shape=[1, 8, 8], width=16, given=GIVEN, **own)
    with torch.no_grad():
        for value in net.parameters():
            value.add_(0.3 * torch.randn_like(value) / max(1, value[0].numel()) ** 0.5)
    x, t = torch.randn(3, 1, 8, 8), torch.rand(3)
    nothing = net(x, t)
    assert torch.equal(net(x, t, {CROP: torch.zeros(3, 4)}), nothing)
    moved = net(x, t, {CROP: torch.tensor([[0.5, 0.25, 0.0, 0.5]]).expand(3, -1)})
    assert float((moved - nothing).detach().abs().max()) > 1e-3


class Pointwise(nn.Module):
    """A net that treats all places alike."""

    def forward(self, x_t, t, cond=None, s=None):
        return torch.tanh(1.3 * x_t) - t.view(-1, 1, 1, 1)


def test_a_crop_of_what_is_alike_everywhere_costs_the_same() -> None:
    """Items and noise that are constant over the grid: a crop's mean error is the whole's."""
    model = Model(Pointwise(), Linear(), Velocity())
    x, z = (torch.randn(8, 3, 1, 1).expand(8, 3, 16, 16).contiguous() for _ in range(2))
    losses = []
    for size in (1.0, 0.5, 0.25):
        y, _ = cut(x, 1, sizes=(size,))
        there = z[:, :, : y.shape[2], : y.shape[3]]
        losses.append(model.loss(y, times=Uniform(), weight=Unit(), rng=BatchRng(4), z=there)[0])
    assert y.shape == (8, 3, 4, 4)
    torch.testing.assert_close(losses[1], losses[0])
    torch.testing.assert_close(losses[2], losses[0])


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(ArgumentError, match=r"above 0 and up to 1; got \[0.5, 2\]"):
        Crops(0.5, (0.5, 2))
    with pytest.raises(ShapeError, match="two for each axis"):
        Conditions(GIVEN, 8, tokens=False)({CROP: torch.zeros(2, 4)}, 2, spatial=(8,))
