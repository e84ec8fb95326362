"""Laws of training times: shares, limits and quantiles."""

import math

import pytest
import torch

from unfog.errors import ArgumentError
from unfog.maths.paths import Cosine, Linear, paths
from unfog.maths.randomness import BatchRng
from unfog.maths.times import Parted, times


def level(path, t):
    return torch.atan2(path.sigma(t), path.alpha(t)) * (2 / math.pi)


@pytest.mark.parametrize("name", times.names())
@pytest.mark.parametrize("path", [Linear(), Cosine()], ids=["linear", "cosine"])
def test_times_rise_with_the_share_and_stay_inside(name, path):
    law = times.make(name)
    rows = law.quantile(path, torch.linspace(0.001, 0.999, 500, dtype=torch.float64))
    assert bool((rows.diff() >= -1e-9).all())
    drawn = law.draw(path, 256, rng=BatchRng(0))
    assert float(drawn.min()) >= law.low
    assert float(drawn.max()) <= law.high


@pytest.mark.parametrize("path", [Linear(), Cosine()], ids=["linear", "cosine"])
@pytest.mark.parametrize("share", [0.25, 0.75])
def test_parted_times_keep_their_shares_and_laws(path, share):
    law = Parted(at=0.7, share=share, mean=0.3, std=0.8)
    t = law.draw(path, 40_000, rng=BatchRng(0)).double()
    high = level(path, t) >= 0.7
    assert float(high.double().mean()) == pytest.approx(share, abs=1e-4)  # stratified
    above = level(path, t[high]).sort().values
    even = 0.7 + 0.3 * (torch.arange(len(above)) + 0.5) / len(above)
    assert float((above - even).abs().max()) < 1e-3
    edge = path.time_at_angle(torch.tensor(0.7 * math.pi / 2, dtype=torch.float64))
    most = torch.special.ndtr((torch.logit(edge) - 0.3) / 0.8)
    below = t[~high].sort().values
    found = torch.special.ndtr((torch.logit(below) - 0.3) / 0.8) / most
    even = (torch.arange(len(below)) + 0.5) / len(below)
    assert float((found - even).abs().max()) < 2e-3


@pytest.mark.parametrize("wrong", [{"at": 0.0}, {"at": 1.0}, {"share": 1.0}, {"std": 0.0}])
def test_parted_times_need_two_parts(wrong):
    with pytest.raises(ArgumentError, match="parted needs"):
        Parted(**wrong)


def test_every_path_has_a_time_for_a_level():
    for name in ("linear", "cosine", "vp"):
        path = paths.make(name)
        law = Parted()
        t = law.quantile(path, torch.tensor([0.26, 0.999], dtype=torch.float64))
        assert bool(torch.isfinite(t).all())
