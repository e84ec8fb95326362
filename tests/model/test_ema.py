"""The running average: a power function of the training so far."""

import numpy as np
import pytest
import torch
from torch import nn

from unfog.errors import ArgumentError
from unfog.model.ema import Ema, exponent


def shares(length, steps):
    """How much each update's weights count in the average after `steps`: fed one-hot, all at once."""
    weight = nn.Linear(steps, 1, bias=False)
    ema = Ema(weight, length)
    for step in range(1, steps + 1):
        with torch.no_grad():
            weight.weight.zero_()
            weight.weight[0, step - 1] = 1
        ema.update(weight, step)
    return ema.model.weight[0].double().numpy()


@pytest.mark.parametrize("length", [0.02, 0.05, 0.1, 0.28])
def test_every_update_counts_by_the_power_function(length):
    steps = 500
    measured, gamma = shares(length, steps), exponent(length)
    exact = np.array(
        [
            (1 - (1 - 1 / k) ** (gamma + 1))
            * np.prod([(1 - 1 / j) ** (gamma + 1) for j in range(k + 1, steps + 1)])
            for k in range(1, steps + 1)
        ]
    )
    np.testing.assert_allclose(measured, exact, rtol=1e-3, atol=1e-7)
    assert measured.sum() == pytest.approx(1, abs=1e-4)
    # the integral of the profile t^gamma over each update's share of the training
    edges = np.linspace(0, 1, steps + 1) ** (gamma + 1)
    np.testing.assert_allclose(measured, np.diff(edges), rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("length", [0.01, 0.05, 0.1, 0.2, 0.28])
def test_the_length_is_the_profile_s_standard_deviation(length):
    gamma = exponent(length)
    assert (gamma + 1) / ((gamma + 2) ** 2 * (gamma + 3)) == pytest.approx(length**2, rel=1e-6)
    edges = np.linspace(0, 1, 200_001)
    mass = np.diff(edges ** (gamma + 1))
    middle = (edges[1:] + edges[:-1]) / 2
    spread = np.sqrt((mass * middle**2).sum() - (mass * middle).sum() ** 2)
    assert spread == pytest.approx(length, rel=1e-3)


@pytest.mark.parametrize("length", [0.0, -1.0, 0.3, float("nan")])
def test_a_length_that_is_no_share_is_refused(length):
    with pytest.raises(ArgumentError, match=r"0\.001 to 0\.28"):
        Ema(nn.Linear(1, 1), length)


def test_the_average_is_apart_from_what_it_follows():
    model = nn.BatchNorm1d(2)
    ema = Ema(model, 0.1)
    with torch.no_grad():
        model.weight.fill_(5)
    assert ema.model.weight.eq(1).all()
    model.train()
    model(torch.randn(8, 2) + 3)
    ema.update(model, 1)
    assert torch.equal(ema.model.weight, model.weight)  # the first update counts whole
    assert torch.equal(ema.model.running_mean, model.running_mean)  # buffers are copied
    assert not any(p.requires_grad for p in ema.model.parameters())
    assert set(ema.tensors()) == set(model.state_dict())
