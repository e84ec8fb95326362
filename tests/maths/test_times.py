"""Laws of training times: quantiles and limits."""

import pytest
import torch

from unfog.maths.paths import Cosine, Linear
from unfog.maths.randomness import BatchRng
from unfog.maths.times import times


@pytest.mark.parametrize("name", times.names())
@pytest.mark.parametrize("path", [Linear(), Cosine()], ids=["linear", "cosine"])
def test_times_rise_with_the_share_and_stay_inside(name, path):
    law = times.make(name)
    rows = law.quantile(path, torch.linspace(0.001, 0.999, 500, dtype=torch.float64))
    assert bool((rows.diff() >= -1e-9).all())
    drawn = law.draw(path, 256, rng=BatchRng(0))
    assert float(drawn.min()) >= law.low
    assert float(drawn.max()) <= law.high
