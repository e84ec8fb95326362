"""Laws of the masking path, and the exact joint table at the end of many steps."""

import math
from itertools import pairwise

import pytest
import torch
from scipy import stats
from torch.nn import functional as F

from unfog.errors import ArgumentError, ShapeError, TimeError
from unfog.maths.discrete import Masking
from unfog.maths.randomness import BatchRng
from unfog.maths.truth_discrete import DiscreteTable
from unfog.sample.randomness import SampleRng

SIZES = (2, 5, 3)
schedules = pytest.mark.parametrize("schedule", ["linear", "cosine"])


def data(count, seed=0):
    columns = [BatchRng(seed, i).uniform(torch.empty(count)) * k for i, k in enumerate(SIZES)]
    return torch.stack(columns, 1).long()


def onehot(x):
    return F.one_hot(x, max(SIZES)).float()


def within(count, hits, share):
    """Whether a count of hits fits a binomial, at a false-alarm rate of 1e-6."""
    return stats.binomtest(int(hits), int(count), float(share)).pvalue > 1e-6


@schedules
def test_masking_rate_ends_and_weight(schedule):
    path = Masking(SIZES, schedule)
    assert path.masked_share(torch.tensor(0.0)) == 0
    assert path.masked_share(torch.tensor(1.0)) == 1
    x = data(20_000)
    for t in (0.0, 0.2, 0.7, 1.0):
        noised = path.corrupt(x, torch.tensor(t), rng=BatchRng(1))
        share = path.masked_share(torch.tensor(t))
        for column in range(3):
            assert within(len(x), noised.z[:, column].sum(), share)
        assert torch.equal(noised.x_t, torch.where(noised.z, torch.tensor(SIZES), x))
    t = torch.linspace(0.05, 0.95, 10, dtype=torch.float64)
    rate = (path.masked_share(t + 1e-6) - path.masked_share(t - 1e-6)) / 2e-6
    torch.testing.assert_close(path.weight(t), rate / path.masked_share(t), rtol=1e-6, atol=0)


@schedules
def test_the_weighted_cross_entropy_is_the_entropy_at_the_truth(schedule):
    """The continuous-time bound is tight for the exact predictor: its mean is H(x) in nats."""
    table = DiscreteTable(torch.tensor([[0.4, 0.1, 0.05], [0.05, 0.1, 0.3]], dtype=torch.float64))
    path = Masking(table.sizes, schedule)
    x = table.draw(60_000, rng=BatchRng(2))
    t = BatchRng(3).uniform(torch.empty(len(x), dtype=torch.float64)) * 0.9999 + 1e-4
    noised = path.corrupt(x, t, rng=BatchRng(4))
    p = table.predictor(path)(noised.x_t, t)
    nats = -p.gather(-1, x[..., None])[..., 0].log()
    bound = path.weight(t) * (nats * noised.z).sum(1)
    entropy = -(table.probabilities * table.probabilities.log()).sum()
    assert (bound.mean() - entropy).abs() < 5 * bound.std() / len(x) ** 0.5  # 5 standard errors


@schedules
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("t", "s"), [(1.0, 0.6), (0.8, 0.3), (0.3, 0.2), (0.5, 0.0)])
def test_move_with_the_true_data_keeps_the_marginal(schedule, eta, t, s):
    path = Masking(SIZES, schedule)
    x = data(20_000)
    x_t = path.corrupt(x, torch.tensor(t), rng=BatchRng(1)).x_t
    x_s = path.move(x_t, onehot(x), t, s, eta=eta, rng=BatchRng(2))
    hidden = x_s == torch.tensor(SIZES)
    assert within(hidden.numel(), hidden.sum(), path.masked_share(torch.tensor(s)))
    assert torch.equal(x_s[~hidden], x[~hidden])
    joint = (hidden[:, 0] & hidden[:, 1]).sum()  # entries stay independent given x
    assert within(len(x), joint, path.masked_share(torch.tensor(s)) ** 2)


@pytest.mark.parametrize(("schedule", "eta"), [("linear", 0.0), ("cosine", 0.0), ("linear", 0.1)])
def test_many_exact_steps_reproduce_the_joint_table(schedule, eta):
    generator = torch.Generator().manual_seed(5)
    raw = torch.rand(SIZES, generator=generator).pow(3) + 0.02
    raw[0, 1, 2] = raw[1, 4, 0] = 0
    table = DiscreteTable(raw / raw.sum())
    path = Masking(SIZES, schedule)
    predict = table.predictor(path)
    x_t = path.prior(torch.zeros(6000, 3, dtype=torch.long), rng=BatchRng(0))
    assert torch.equal(x_t[0], torch.tensor(SIZES))
    rng = BatchRng(6)
    for number, (t, s) in enumerate(pairwise(torch.linspace(1, 0, 201))):
        x_t = path.move(x_t, predict(x_t, t), t, s, eta=eta, rng=rng.at(number))
    flat = (x_t[:, 0] * SIZES[1] + x_t[:, 1]) * SIZES[2] + x_t[:, 2]
    seen = torch.bincount(flat, minlength=table.probabilities.numel())
    expected = table.probabilities.flatten() * len(x_t)
    possible = expected > 0
    # two entries shown in the same one of 200 steps don't see each other: about 3 rows in 200
    assert seen[~possible].sum() < 0.02 * len(x_t)
    seen, expected = seen[possible].double(), expected[possible].double()
    # chi-square, false alarm 1e-4
    assert stats.chisquare(seen, expected * seen.sum() / expected.sum()).pvalue > 1e-4


def test_one_step_loses_the_dependence():
    """All entries at once are drawn from the marginals: why a masked model needs steps."""
    table = DiscreteTable(torch.tensor([[0.5, 0.0], [0.0, 0.5]]))
    path = Masking((2, 2))
    x_t = path.prior(torch.zeros(4000, 2, dtype=torch.long), rng=BatchRng(0))
    x = path.move(x_t, table.predictor(path)(x_t, 1.0), 1.0, 0.0, rng=BatchRng(1))
    assert within(4000, (x[:, 0] == x[:, 1]).sum(), 0.5)


@schedules
def test_move_to_the_same_time_is_the_identity(schedule):
    path = Masking(SIZES, schedule)
    x = data(500)
    for t in (0.0, 0.4, 1.0):
        x_t = path.corrupt(x, torch.tensor(t), rng=BatchRng(1)).x_t
        for eta in (0.0, 1.0):
            assert torch.equal(path.move(x_t, onehot(x), t, t, eta=eta, rng=BatchRng(2)), x_t)
        assert torch.equal(path.renoise(x_t, t, t, rng=BatchRng(3)), x_t)


def test_revealed_entries_stay_at_eta_zero_and_none_are_masked_at_zero():
    path = Masking(SIZES)
    x = data(3000)
    x_t = path.corrupt(x, torch.tensor(0.6), rng=BatchRng(1)).x_t
    wrong = onehot((x + 1) % torch.tensor(SIZES))
    x_s = path.move(x_t, wrong, 0.6, 0.2, rng=BatchRng(2))
    shown = x_t != torch.tensor(SIZES)
    assert torch.equal(x_s[shown], x_t[shown])
    for eta in (0.0, 1.0):
        x_0 = path.move(x_t, wrong, 0.6, 0.0, eta=eta, rng=BatchRng(3))
        assert (x_0 < torch.tensor(SIZES)).all()


@pytest.mark.parametrize(("t", "s", "most"), [(0.4, 0.3, 0.5), (0.9, 0.6, 1.0)])
def test_eta_is_the_share_of_the_largest_remasking(t, s, most):
    path = Masking((6,))
    x = torch.zeros(5000, 4, dtype=torch.long)
    x_t = path.corrupt(x, t, rng=BatchRng(1)).x_t
    shown = x_t != 6
    for eta in (0.3, 1.0):
        x_s = path.move(x_t, F.one_hot(x, 6).float(), t, s, eta=eta, rng=BatchRng(2))
        assert within(shown.sum(), (x_s[shown] == 6).sum(), eta * most)


def test_a_sample_does_not_depend_on_its_batch():
    path = Masking(SIZES)
    x, p = path.prior(data(6), rng=BatchRng(0)), torch.full((6, 3, 5), 0.2)
    p = path.answer(p)
    together = path.move(x, p, 1.0, 0.4, eta=0.5, rng=SampleRng(3, range(6)))
    for i in range(6):
        alone = path.move(x[i : i + 1], p[i : i + 1], 1.0, 0.4, eta=0.5, rng=SampleRng(3, [i]))
        assert torch.equal(alone, together[i : i + 1])


def test_times_per_sample_and_per_entry():
    path = Masking((4,))
    x = torch.zeros(4000, 6, dtype=torch.long)
    t = torch.tensor([0.2, 0.8]).repeat(2000)
    z = path.corrupt(x, t, rng=BatchRng(1)).z
    assert within(12_000, z[0::2].sum(), 0.2)
    assert within(12_000, z[1::2].sum(), 0.8)
    each = torch.linspace(0, 1, 6).expand(4000, 6)
    z = path.corrupt(x, each, rng=BatchRng(2)).z
    assert z[:, 0].sum() == 0
    assert z[:, 5].all()
    assert within(4000, z[:, 2].sum(), 0.4)
    x_t = path.corrupt(x, t, rng=BatchRng(3)).x_t
    sure = F.one_hot(x, 4).float()
    x_s = path.move(x_t, sure, t, t / 2, rng=BatchRng(4))
    assert within(12_000, (x_s[1::2] == 4).sum(), 0.4)


def test_renoise_keeps_the_marginal():
    path = Masking(SIZES, "cosine")
    x = data(20_000)
    x_s = path.corrupt(x, torch.tensor(0.3), rng=BatchRng(1)).x_t
    x_t = path.renoise(x_s, 0.3, 0.8, rng=BatchRng(2))
    hidden = x_t == torch.tensor(SIZES)
    assert within(hidden.numel(), hidden.sum(), math.sin(0.8 * math.pi / 2))
    was = x_s == torch.tensor(SIZES)
    assert (hidden | ~was).all()
    assert (path.renoise(x_s, 0.3, 1.0, rng=BatchRng(2)) == torch.tensor(SIZES)).all()


def test_padding_never_leaks_and_known_entries_stay():
    path = Masking((7,))
    x = torch.randint(7, (8, 6))
    mask = torch.ones(8, 6)
    mask[:, 4:] = 0
    keep = torch.zeros(8, 6)
    keep[:, 1] = 1
    poisoned = x.clone()
    poisoned[:, 4:] = 10**9
    one = torch.tensor(1.0)
    a = path.corrupt(x, one, rng=BatchRng(1), mask=mask, keep=keep)
    b = path.corrupt(poisoned, one, rng=BatchRng(1), mask=mask, keep=keep)
    assert torch.equal(a.x_t, b.x_t)
    assert (a.x_t[:, 4:] == 0).all()
    assert not a.z[:, 4:].any()
    assert torch.equal(a.x_t[:, 1], x[:, 1])
    assert not a.z[:, 1].any()
    assert (a.x_t[:, [0, 2, 3]] == 7).all()
    x_hat = torch.full((8, 6, 7), 1 / 7)
    x_hat[:, 4:] = torch.nan  # what a net says about padding does not matter
    for s in (0.5, 0.0):
        moved = path.move(a.x_t, x_hat, 1.0, s, eta=1.0, rng=BatchRng(2), mask=mask)
        assert (moved[:, 4:] == 0).all()
    assert (path.renoise(a.x_t, 0.1, 1.0, rng=BatchRng(3), mask=mask)[:, 4:] == 0).all()
    assert (path.prior(x, rng=BatchRng(4), mask=mask)[:, 4:] == 0).all()


def test_given_z_is_used():
    path = Masking((7,))
    x = torch.randint(7, (8, 6))
    z = torch.rand(8, 6) < 0.5
    noised = path.corrupt(x, torch.tensor(0.1), rng=BatchRng(0), z=z)
    assert torch.equal(noised.x_t == 7, z)


def test_answer_gives_no_mass_to_mask_tokens():
    path = Masking(SIZES)
    p = path.answer(torch.full((2, 3, 5), 3.0))
    torch.testing.assert_close(p[0, 0], torch.tensor([0.5, 0.5, 0, 0, 0]))
    torch.testing.assert_close(p[0, 1], torch.full((5,), 0.2))
    assert (p[:, 2, 3:] == 0).all()


def test_impossible_categories_are_never_drawn():
    """Also at the ends of the uniform numbers, where a cumulative sum rounds."""

    class Fixed:
        def __init__(self, value):
            self.value = value

        def uniform(self, like):
            return torch.full(like.shape, self.value)

    path = Masking((1000,))
    p = torch.zeros(1, 1, 1000)
    p[..., 3:700] = 1 / 697
    x_t = torch.full((1, 1), 1000)
    assert path.move(x_t, p, 1.0, 0.0, rng=Fixed(0.0)) == 3
    assert path.move(x_t, p, 1.0, 0.0, rng=Fixed(1 - 2**-24)) == 699


def test_table_predictor_is_the_conditional():
    table = DiscreteTable(torch.tensor([[0.1, 0.2, 0.1], [0.3, 0.0, 0.3]], dtype=torch.float64))
    path = Masking(table.sizes)
    p = table.predictor(path)(torch.tensor([[2, 3], [0, 3], [2, 1]]), 0.5).float()
    torch.testing.assert_close(p[0, 0], torch.tensor([0.4, 0.6, 0]))
    torch.testing.assert_close(p[0, 1], torch.tensor([0.4, 0.2, 0.4]))
    torch.testing.assert_close(p[1, 1], torch.tensor([0.25, 0.5, 0.25]))
    torch.testing.assert_close(p[2, 0], torch.tensor([1.0, 0, 0]))
    counts = torch.bincount((table.draw(20_000, rng=BatchRng(1)) * torch.tensor([3, 1])).sum(1))
    assert counts[4] == 0
    kept = torch.tensor([0, 1, 2, 3, 5])
    # chi-square, false alarm 1e-4
    assert stats.chisquare(counts[kept], table.probabilities.flatten()[kept] * 20_000).pvalue > 1e-4


def test_clear_errors():
    path = Masking(SIZES)
    x, p, rng = data(4), onehot(data(4)), BatchRng(0)
    with pytest.raises(ShapeError, match="column 1 holds 5; allowed are 0 to 4"):
        path.corrupt(torch.tensor([[0, 5, 0]]), torch.tensor(0.5), rng=rng)
    with pytest.raises(ShapeError, match="column 2 holds -1"):
        path.corrupt(torch.tensor([[0, 4, -1]]), torch.tensor(0.5), rng=rng)
    with pytest.raises(ShapeError, match="column 0 holds 3; allowed are 0 to 1, and 2 for masked"):
        path.move(torch.tensor([[3, 0, 0]]), p[:1], 0.5, 0.2, rng=rng)
    with pytest.raises(ShapeError, match="whole numbers"):
        path.corrupt(x.float(), torch.tensor(0.5), rng=rng)
    with pytest.raises(ShapeError, match=r"\(B, 3\)"):
        path.corrupt(x[:, :2], torch.tensor(0.5), rng=rng)
    hidden = path.prior(x, rng=rng)
    for bad in (p * 2, -p + 2 / 5, p * torch.nan, p.roll(3, -1)):
        with pytest.raises(ArgumentError, match="not a distribution"):
            path.move(hidden, bad, 0.5, 0.2, rng=rng)
    with pytest.raises(ShapeError, match="x_hat must be"):
        path.move(hidden, p[..., :2], 0.5, 0.2, rng=rng)
    with pytest.raises(ArgumentError, match="needs an rng"):
        path.move(hidden, p, 0.5, 0.2)
    with pytest.raises(ArgumentError, match="eta must lie"):
        path.move(hidden, p, 0.5, 0.2, eta=2.0, rng=rng)
    with pytest.raises(TimeError):
        path.move(hidden, p, 0.2, 0.5, rng=rng)
    with pytest.raises(ArgumentError, match="schedule"):
        Masking(SIZES, "square")
    with pytest.raises(ArgumentError, match="sizes"):
        Masking((3, 0))
    with pytest.raises(ArgumentError, match="sum to 1"):
        DiscreteTable(torch.ones(2, 2))


@pytest.mark.parametrize("sizes", [(3, 2, 5), (40, 7), (2,)])
def test_probabilities_are_the_softmax_however_logits_lie_in_memory(sizes):
    path = Masking(sizes)
    logits = torch.randn(6, len(sizes), max(sizes), generator=torch.Generator().manual_seed(0))
    lying = logits.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    for column, size in enumerate(sizes):
        wanted = torch.softmax(logits[:, column, :size].double(), -1).float()
        for given in (logits, lying):
            found = path.answer(given)[:, column]
            torch.testing.assert_close(found[:, :size], wanted)
            assert (found[:, size:] == 0).all()
