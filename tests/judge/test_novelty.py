"""Planted copies are flagged, fresh draws are not, and few items say that they are few."""

import pytest
import torch

from unfog.errors import ArgumentError, DataError
from unfog.judge import nearest, novelty, train_judge
from unfog.judge.novelty import copy_rate, shifted_nearest


def normal(n, d, seed):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def bumps(n, seed, side=20):
    """Images of four bumps at random places: alike in kind, all different."""
    g = torch.Generator().manual_seed(seed)
    place = torch.rand(n, 4, 2, 1, 1, generator=g) * (side - 6) + 3
    axis = torch.arange(side).float()
    gap = (axis[:, None] - place[:, :, 0]) ** 2 + (axis[None, :] - place[:, :, 1]) ** 2
    return (torch.exp(-gap / 3).sum(1, keepdim=True) - 0.2).clamp(max=1)


def test_nearest_is_exact():
    x, train = normal(70, 9, 0) + 100, normal(300, 9, 1) + 100
    gaps, index = nearest(x, train, k=5, chunk=16)
    truth = torch.cdist(x.double(), train.double()).sort(1)
    assert torch.equal(index, truth.indices[:, :5])
    assert torch.allclose(gaps, truth.values[:, :5].float(), atol=1e-3)
    gaps, index = nearest(train[10:15], train)
    assert gaps.max() == 0
    assert index[:, 0].tolist() == [10, 11, 12, 13, 14]


def test_fresh_draws_are_counted_at_the_control_rate():
    # share of fresh draws below the threshold is Beta(20, 381) by law: mean 5 %, sd 1.1 %; over 20
    # independent worlds the mean is within 1 % with a chance above 99.9 %
    rates, held = [], 0
    for s in range(20):
        found = novelty(normal(400, 6, 3 * s), normal(500, 6, 3 * s + 1), normal(400, 6, 3 * s + 2))
        rates.append(found.figure.value)
        held += found.figure.at_floor
    assert sum(rates) / 20 == pytest.approx(0.05, abs=0.01)
    assert held >= 17  # false alarms 1 in 40
    assert found.figure.floor == pytest.approx(20 / 401)


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("relative", [False, True])
def test_planted_copies_are_flagged_one_by_one(noise, relative):
    train, unseen = normal(500, 10, 0), normal(300, 10, 1)
    copies = train[:60] + noise * normal(60, 10, 2)
    samples = torch.cat([copies, normal(140, 10, 3)])
    found = novelty(samples, train, unseen, relative=relative)
    assert found.copied[:60].all()
    assert found.nearest[:60].tolist() == list(range(60))
    assert (found.score[:60] <= 0.01).all()
    assert 0.3 <= found.figure.value < 0.4
    assert not found.figure.at_floor
    assert found.figure.verdict().endswith("some are copies")
    assert novelty(copies, train, unseen, relative=relative).figure.verdict().endswith(": copies")


def test_blur_is_no_copy_relative_to_the_neighbours():
    train, unseen, fresh = normal(800, 12, 0), normal(400, 12, 1), 0.6 * normal(400, 12, 2)
    assert novelty(fresh, train, unseen).figure.value > 0.3  # nearer to everything
    assert novelty(fresh, train, unseen, relative=True).figure.value < 0.15


def test_a_copy_shifted_by_a_pixel_is_flagged_in_features_and_not_in_pixels():
    train, unseen = bumps(800, 0), bumps(300, 1)
    net = train_judge(train, budget=3)
    known = net.features(train)
    control, _ = shifted_nearest(net, unseen, known)
    copies = torch.roll(train[:100], (1, -1), (2, 3))
    near = shifted_nearest(net, copies, known)
    found = copy_rate(near, control)
    assert found.figure.value > 0.8
    assert (found.nearest == torch.arange(100)).float().mean() > 0.9
    assert novelty(copies, train, unseen).figure.value < 0.5
    fresh = copy_rate(shifted_nearest(net, bumps(300, 2), known), control)
    assert fresh.figure.at_floor


def test_few_items_raise_few_false_alarms():
    # 1 in 40 by construction; more than 13 of 200 has a chance below 0.1 %
    def world(seed):
        x = normal(96, 8, seed)
        return novelty(x[:16], x[16:76], x[76:]).figure

    assert sum(not world(seed).at_floor for seed in range(200)) <= 13


def test_few_items_give_wide_intervals():
    train, unseen = normal(60, 8, 3), normal(20, 8, 4)
    fresh = novelty(normal(16, 8, 5), train, unseen).figure
    assert fresh.floor == pytest.approx(1 / 21)
    assert fresh.floor_high > 0.15
    assert fresh.high - fresh.low > 0.15
    assert fresh.at_floor
    copies = novelty(train[:16], train, unseen).figure
    assert copies.low > fresh.floor_high
    assert "copies" in copies.verdict()
    five = novelty(train[:16], train, unseen[:5]).figure
    assert five.floor == pytest.approx(1 / 6)
    assert "5 unseen items resolve 16.7 %" in five.notes[0]


def test_ties_of_discrete_data_are_no_copies():
    g = torch.Generator().manual_seed(0)
    train, unseen, fresh = (torch.randint(3, (n, 3), generator=g).float() for n in (400, 200, 200))
    found = novelty(fresh, train, unseen).figure
    assert (
        found.floor > 0.9
    )  # nearly every unseen item has its twin in training, and the control says so
    assert found.at_floor


def test_wrong_arguments_are_named():
    x = normal(20, 3, 0)
    with pytest.raises(DataError, match="4 unseen items"):
        novelty(x, x, x[:4])
    with pytest.raises(ArgumentError, match="percent=0"):
        novelty(x, x, x, percent=0)
