"""The denoising loss per noise level: its closed form, and the same noise every time."""

import math

import pytest
import torch

from unfog.errors import ArgumentError
from unfog.maths.paths import paths
from unfog.maths.targets import targets
from unfog.model.model import Model
from unfog.train.heldout import level_losses, levels


class Nothing(torch.nn.Module):
    """Always answers 0."""

    def __init__(self):
        super().__init__()
        self.shift = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x_t, t, cond=None, s=None):
        return x_t * 0 + self.shift


@pytest.mark.parametrize("name", ["linear", "cosine", "vp", "ve"])
def test_levels_are_even_in_the_angle(name):
    path = paths[name]()
    times = levels(path, 6)
    angles = path.angle(times)
    assert torch.allclose(angles.diff(), angles.diff()[:1], rtol=1e-6)
    assert bool((times.diff() > 0).all())
    assert float(times[0]) > 0
    assert float(times[-1]) < 1


def test_an_answer_of_zero_loses_the_targets_own_variance():
    """Velocity is noise minus data, of variance 1 + v; noise has variance 1, whatever the level."""
    x = 2.0 * torch.randn(4000, 3, generator=torch.Generator().manual_seed(0))
    for target, loss in (("velocity", 1 + x.var().item()), ("noise", 1.0)):
        model = Model(Nothing(), paths["linear"](), targets[target](), sigma_data=2.0)
        found = level_losses(model, x, times=torch.tensor([0.1, 0.5, 0.9]))
        assert found.shape == (3, 4000)
        spread = found.std(1) / math.sqrt(4000)
        assert bool(((found.mean(1) - loss).abs() < 4 * spread + 0.02 * loss).all())


def test_the_same_noise_meets_every_model_and_not_every_level():
    x = torch.zeros(5, 3)
    model = Model(Nothing(), paths["linear"](), targets["noise"](), sigma_data=1.0)
    times = torch.tensor([0.3, 0.6])
    first, again = (level_losses(model, x, times=times, batch=2) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first[0], first[1])
    assert len(set(first[0].tolist())) == 5
    assert not torch.equal(first, level_losses(model, x, times=times, seed=1, batch=2))


def test_no_levels_are_refused():
    with pytest.raises(ArgumentError, match="got 0"):
        levels(paths["linear"](), 0)
