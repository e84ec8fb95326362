"""Straightness against closed forms."""

import math

import pytest
import torch

from unfog.maths.grids import LinearGrid
from unfog.maths.paths import Linear
from unfog.maths.randomness import BatchRng
from unfog.maths.truth import Gaussian
from unfog.sample.straight import straightness


def measured(mean, deviation, count=20_000, steps=200):
    path, size = Linear(), len(mean)
    truth = Gaussian(mean, deviation**2 * torch.eye(size, dtype=torch.float64))
    z = path.prior(torch.empty(count, size, dtype=torch.float64), rng=BatchRng(0))
    grid = LinearGrid()(path, steps)
    return straightness(truth.predictor(path), path, z, grid, rng=BatchRng(1))


def test_paths_to_a_single_point_are_straight():
    assert measured(torch.tensor([2.0, -1.0], dtype=torch.float64), 0.0).abs().max() < 1e-20


def test_standard_normal_data_have_the_closed_form():
    """x_t = z sqrt((1-t)^2 + t^2), so S = E z^2 int (2t-1)^2 / (1-2t+2t^2) dt = 2 - pi/2."""
    s = measured(torch.zeros(2, dtype=torch.float64), 1.0)
    assert s.shape == (20_000,)
    assert s.mean().item() == pytest.approx(2 - math.pi / 2, rel=0.03)
