"""Tilting: the closed forms of a Gaussian and of a category, and what can't be reached."""

import pytest
import torch
from scipy import stats

from unfog.errors import ShapeError
from unfog.maths.tilting import tilt


def test_a_gaussian_tilted_to_another_mean_is_the_shifted_gaussian():
    """exp(l x) N(x; 0, s^2) is N(l s^2, s^2), so l = m / s^2 and the spread stays."""
    std, wanted = 2.0, 1.3
    grid = torch.linspace(-20, 20, 20_001, dtype=torch.float64)
    log = torch.from_numpy(stats.norm(0, std).logpdf(grid.numpy()))
    slope, found = tilt(log, grid[:, None] - wanted)
    assert found
    assert slope.item() == pytest.approx(wanted / std**2, rel=1e-6)
    share = torch.softmax(log + grid * slope, 0)
    assert (share @ (grid - wanted) ** 2).sqrt().item() == pytest.approx(std, rel=1e-6)


def test_a_share_is_reached_and_the_rest_keeps_its_proportions():
    chance = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    feature = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64) - 0.5
    slope, found = tilt(chance.log(), feature[:, None])
    share = torch.softmax(chance.log() + feature * slope, 0)
    assert found
    assert share.tolist() == pytest.approx([0.5 * 6 / 7, 0.5, 0.5 / 7], abs=1e-8)


def test_two_means_at_once_and_units_of_any_size():
    x = torch.randn(5000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = x * torch.tensor([1e6, 1e-6]) - torch.tensor([4e5, -3e-7])
    slope, found = tilt(torch.zeros(5000), x)
    share = torch.softmax(x @ slope, 0)
    assert found
    assert ((share @ x).abs() < 1e-6 * x.std(0)).all()


def test_what_no_weights_reach_is_said():
    slope, found = tilt(torch.zeros(100), torch.linspace(0.5, 2, 100)[:, None])
    assert not found
    assert torch.softmax(torch.linspace(0.5, 2, 100).double() * slope, 0)[0] > 0.99
    with pytest.raises(ShapeError, match="100, k"):
        tilt(torch.zeros(100), torch.zeros(99, 1))
