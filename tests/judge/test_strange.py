"""Strangeness against known densities: order, calibration, and independence of what stands beside."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import kstest, spearmanr

from unfog.errors import ArgumentError, DataError
from unfog.judge.strange import Case, Owners, Rows, detectors, p_values, strangest
from unfog.judge.strange.denoise import DenoisingError
from unfog.maths.discrete import Masking
from unfog.maths.paths import Linear
from unfog.maths.randomness import BatchRng
from unfog.maths.truth import Mixture
from unfog.maths.truth_discrete import DiscreteTable

LAW = Mixture(
    torch.tensor([[0.0, 0.0, 0.0], [3.0, 3.0, -3.0]]),
    torch.tensor([0.5, 1.0]),
    torch.tensor([0.7, 0.3]),
)


def rows(x):
    none = torch.zeros(x.shape)
    return Rows(x, x.float(), none.bool(), none)


def case(seed=0, draws=8, batch=2048):
    owners = torch.arange(3)
    train = rows(LAW.draw(2000, rng=BatchRng(1)))
    return Case(
        LAW.predictor(Linear()),
        Linear(),
        train,
        Owners(("a", "b", "c"), owners, owners),
        seed,
        draws,
        batch=batch,
    )


def mixed():
    """Rows of the law, and strangers from all around."""
    return torch.cat(
        [LAW.draw(400, rng=BatchRng(2)), 8 * BatchRng(3).uniform(torch.empty(100, 3)) - 4]
    )


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("denoising_error", 0.9),
        ("likelihood", 0.99),
        ("noised_neighbours", 0.9),
        ("knn", 0.75),
        ("diffusion_time", 0.75),
    ],
)
def test_scores_rise_as_the_known_density_falls(name, least):
    x = mixed()
    scores = detectors.make(name)(case(), rows(x)).sum(1)
    assert spearmanr(scores, -LAW.log_prob(x)).statistic > least


@pytest.mark.parametrize("name", detectors.names())
def test_planted_strangers_are_found(name):
    scores = detectors.make(name)(case(), rows(mixed())).sum(1)
    # area under the curve, without ties
    area = (scores[400:, None] > scores[None, :400]).float().mean()
    density = -LAW.log_prob(mixed())
    best = (density[400:, None] > density[None, :400]).float().mean()
    assert area > best - 0.04, (area, best)  # no detector can beat the density by more than chance


@pytest.mark.parametrize("name", detectors.names())
def test_p_values_are_uniform_on_fresh_rows(name):
    found = detectors.make(name)
    usual, fresh = (
        found(case(draws=2), rows(LAW.draw(1000, rng=BatchRng(seed)))).sum(1) for seed in (4, 5)
    )
    assert kstest(p_values(fresh, usual), "uniform").pvalue > 1e-3  # its false-alarm rate


@pytest.mark.parametrize("name", detectors.names())
def test_a_row_keeps_its_parts_whatever_stands_beside_it(name):
    found, x = detectors.make(name), mixed()[:50]
    whole = found(case(), rows(x))
    assert (whole >= 0).all()
    torch.testing.assert_close(found(case(batch=7), rows(x)), whole, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found(case(), rows(x.flip(0))).flip(0), whole, rtol=1e-4, atol=1e-4)
    assert torch.equal(found(case(), rows(x)), whole)


def test_another_seed_draws_other_noise():
    x, found = rows(mixed()[:5]), DenoisingError()
    assert not torch.equal(found(case(seed=1), x), found(case(), x))


@pytest.mark.parametrize("name", detectors.names())
def test_the_planted_column_has_the_largest_part(name):
    x = LAW.draw(50, rng=BatchRng(6))
    x[:, 1] += 12
    parts = detectors.make(name)(case(), rows(x))
    assert (parts.argmax(1) == 1).float().mean() > 0.9


def test_categories_cost_their_negative_log_likelihood():
    """Of a known table, the sum over levels is near -log p for every cell of it."""
    law = DiscreteTable(torch.tensor([[0.5, 0.02], [0.03, 0.45]]))
    path, codes = Masking((2, 2)), law.cells
    none = torch.zeros(4, 2)
    own = torch.arange(2)
    seen = Rows(codes, none, none.bool(), none)
    owners = Owners(("a", "b"), own, own)

    class Clocked(Masking):  # levels are laid out by an affine clock; a Product lends one
        def time_at(self, ratio):
            return Linear().time_at(ratio)

    made = Case(law.predictor(path), Clocked((2, 2)), seen, owners, draws=256)
    nats = DenoisingError(levels=24, low=-4.0, high=4.0)(made, seen).sum(1)
    torch.testing.assert_close(nats, -law.probabilities.flatten().log(), rtol=0.12, atol=0.12)


def test_p_values_count_ties_and_reach_their_resolution():
    usual = torch.tensor([1.0, 2.0, 2.0, 3.0])
    found = p_values(torch.tensor([0.0, 2.0, 9.0]), usual)
    torch.testing.assert_close(found, torch.tensor([1.0, 0.8, 0.2], dtype=torch.float64))
    with pytest.raises(DataError, match="no held-out rows"):
        p_values(usual, usual[:0])


@pytest.mark.parametrize("level", [0.01, 0.05])
def test_false_alarms_keep_their_rate(level):
    """Mean over 400 pairs of 2000 held-out and 500 fresh rows; its deviation is 2 % of the rate."""
    rng = np.random.default_rng(0)
    draw = torch.from_numpy(rng.exponential(size=(400, 2500)))
    rates = [float((p_values(row[:500], row[500:]) <= level).double().mean()) for row in draw]
    assert abs(np.mean(rates) / level - 1) < 0.1


def test_an_odd_cell_counts_as_the_strangest_known_one():
    parts, usual = torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 7.0]])
    assert strangest(parts, torch.tensor([[True, False]]), usual).tolist() == [[7.0, 1.0]]


def test_wrong_options_are_named():
    with pytest.raises(ArgumentError, match="k=0"):
        detectors.make("knn", k=0)
    with pytest.raises(ArgumentError, match="levels=1"):
        detectors.make("denoising_error", levels=1)
    with pytest.raises(ArgumentError, match="draws=0"):
        DenoisingError()(case(draws=0), rows(mixed()[:2]))


def test_noised_neighbours_are_the_density_of_the_noised_training_rows():
    """Against the mixture that noise of each level makes of the rows, up to a constant."""
    train = LAW.draw(60, rng=BatchRng(1))
    x = mixed()[:40]
    owners = torch.arange(3)
    made = Case(
        LAW.predictor(Linear()), Linear(), rows(train), Owners(("a", "b", "c"), owners, owners)
    )
    found = detectors.make("noised_neighbours", high=2.0, levels=3)(made, rows(x)).sum(1)
    expected = torch.zeros(len(x))
    for variance in (4.0, 2.0, 1.0):
        spread = torch.full((60,), variance**0.5)
        noised = Mixture(train, spread, torch.full((60,), 1 / 60))
        expected -= noised.log_prob(x).float() + 1.5 * math.log(2 * math.pi * variance)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", ["knn", "noised_neighbours", "diffusion_time"])
def test_a_training_row_is_left_out_of_what_it_is_compared_with(name):
    """As if the training rows had been the others."""
    train = LAW.draw(40, rng=BatchRng(1))
    owners = torch.arange(3)

    def made(points):
        return Case(
            LAW.predictor(Linear()), Linear(), rows(points), Owners(("a", "b", "c"), owners, owners)
        )

    own = replace(rows(train), own=torch.arange(40))
    found = detectors.make(name)(made(train), own)
    for place in (0, 17, 39):
        others = torch.cat([train[:place], train[place + 1 :]])
        alone = detectors.make(name)(made(others), rows(train[place : place + 1]))
        torch.testing.assert_close(found[place : place + 1], alone, rtol=1e-3, atol=1e-4)


def test_the_flow_of_the_exact_predictor_gives_the_density():
    x = mixed()[:30]
    found = detectors.make("likelihood", steps=40)(case(), rows(x)).sum(1)
    centre = -1.5 * math.log(2 * math.pi)
    expected = torch.nn.functional.softplus(centre - LAW.log_prob(x)).float()
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)
