"""Laws of every coupling: it only re-pairs, never at a loss, and never tells noise the condition."""

from itertools import permutations

import pytest
import torch

from unfog.errors import ArgumentError, ShapeError, UnknownName
from unfog.maths.couplings import Sinkhorn, classes, couplings, sinkhorn
from unfog.maths.randomness import BatchRng

every = pytest.mark.parametrize("name", couplings.names())
transports = pytest.mark.parametrize("name", ["optimal_transport", "sinkhorn"])


def batch(count, *shape, seed=0):
    rng = BatchRng(seed)
    x = 2 * rng.normal(torch.empty(count, *shape)) + 1
    return x, rng.normal(torch.empty(count, *shape))


def cost(x, z):
    return (x - z).double().square().sum().item()


def rows(z):
    return sorted(z.flatten(1).tolist())


CONDITIONS = {
    "none": None,
    "class": {"label": torch.arange(60) % 4 - 1},  # -1 = missing
    "number": {"age": torch.linspace(-3, 3, 60)[:, None]},
    "mixed": {
        "label": torch.arange(60) % 3,
        "age": torch.where(torch.arange(60) % 5 == 0, torch.nan, torch.linspace(-3, 3, 60))[
            :, None
        ],
        "text": (torch.arange(60) // 20)[:, None].expand(60, 4),
        "absent": None,
    },
}


@every
@pytest.mark.parametrize("cond", CONDITIONS)
def test_the_noise_is_the_same_bit_for_bit(name, cond):
    x, z = batch(60, 3, 2)
    before = z.clone()
    paired = couplings.make(name).pair(x, z, CONDITIONS[cond], rng=BatchRng(1))
    assert rows(paired) == rows(z)
    assert torch.equal(z, before)
    again = couplings.make(name).pair(x, z, CONDITIONS[cond], rng=BatchRng(1))
    assert torch.equal(again, paired)


@every
def test_never_crosses_a_class_and_missing_is_one(name):
    x, z = batch(60, 2)
    for cond in ({"a": CONDITIONS["class"]["label"]}, CONDITIONS["mixed"]):
        paired = couplings.make(name).pair(x, z, cond, rng=BatchRng(1))
        groups = list(classes(cond, 60))
        assert sum(len(g) for g in groups) == 60
        for group in groups:
            assert rows(paired[group]) == rows(z[group])
    assert len(list(classes(CONDITIONS["class"], 60))) == 4
    missing = {"age": torch.tensor([[1.0], [torch.nan], [2.0], [torch.nan]])}
    assert [g.tolist() for g in classes(missing, 4)] == [[0, 2], [1, 3]]


@every
@pytest.mark.parametrize("cond", ["none", "class"])
def test_never_costs_more_than_independent(name, cond):
    for seed in range(5):
        x, z = batch(60, 4, seed=seed)
        paired = couplings.make(name).pair(x, z, CONDITIONS[cond], rng=BatchRng(seed))
        assert cost(x, paired) <= cost(x, z)


def test_total_cost_counts_the_condition_and_never_rises():
    x, z = batch(60, 2)
    c = CONDITIONS["number"]["age"]
    both = torch.cat([z, 3 * c], 1)
    member = couplings.make("optimal_transport", cond_weight=9.0)
    # the order that pair() chose, read off by exact matching of the noise
    paired = member.pair(x, z, {"age": c}, rng=BatchRng(0))
    order = (paired[:, None] == z).all(2).float().argmax(1)
    lifted = torch.cat([x, 3 * c], 1)
    assert cost(lifted, both[order]) <= cost(lifted, both)
    direct = couplings.make("optimal_transport").pair(lifted, both, rng=BatchRng(0))
    assert cost(lifted, both[order]) == pytest.approx(cost(lifted, direct), rel=1e-6)


@pytest.mark.parametrize("count", [2, 5, 7])
def test_exact_transport_matches_brute_force(count):
    for seed in range(5):
        x, z = batch(count, 2, seed=seed)
        best = min(cost(x, z[list(order)]) for order in permutations(range(count)))
        paired = couplings.make("ot").pair(x, z, rng=BatchRng(0))
        assert cost(x, paired) == pytest.approx(best, rel=1e-6)


@transports
def test_noise_stays_independent_of_the_class(name):
    """Two classes far apart: blind to them, transport sends the left noise left; aware, it can't."""
    total = torch.zeros(2, dtype=torch.float64)
    blind = torch.zeros(2, dtype=torch.float64)
    count = 0
    for seed in range(40):
        rng = BatchRng(7, seed)
        label = (rng.uniform(torch.empty(64)) < 0.5).long()
        x = rng.normal(torch.empty(64, 1)) + 20 * (2 * label[:, None] - 1)
        z = rng.normal(x)
        member = couplings.make(name)
        aware = member.pair(x, z, {"label": label}, rng=rng)
        unaware = member.pair(x, z, rng=rng)
        for k in (0, 1):
            total[k] += aware[label == k].double().sum()
            blind[k] += unaware[label == k].double().sum()
        count += 32
    # 5 standard errors of the mean of about 1280 unit normals
    assert (total.abs() / count < 5 / count**0.5).all()
    assert (blind.abs() / count > 0.6).all()  # E|z| = 0.8 for a normal cut in half


def test_a_heavy_condition_keeps_noise_independent_of_a_real_condition():
    correlation = {}
    for weight in (0.0, 1000.0):
        pairs = []
        for seed in range(40):
            rng = BatchRng(8, seed)
            c = rng.normal(torch.empty(64, 1))
            x = 5 * c
            member = couplings.make("optimal_transport", cond_weight=weight)
            pairs.append(torch.cat([c, member.pair(x, rng.normal(x), {"c": c}, rng=rng)], 1))
        correlation[weight] = torch.corrcoef(torch.cat(pairs).T)[0, 1].item()
    assert correlation[0.0] > 0.9
    assert abs(correlation[1000.0]) < 5 / (40 * 64) ** 0.5


def test_sinkhorn_plan_is_doubly_stochastic_and_entropic():
    x, z = batch(40, 3)
    gain = 2 * (x @ z.T).double()
    log_plan = sinkhorn(gain, 0.1, 500)
    plan = log_plan.exp()
    torch.testing.assert_close(plan.sum(0), torch.ones(40, dtype=torch.float64))
    torch.testing.assert_close(plan.sum(1), torch.ones(40, dtype=torch.float64), rtol=0, atol=1e-6)

    def doubly_centred(m):
        return m - m.mean(0) - m.mean(1, keepdim=True) + m.mean()

    ratio = doubly_centred(log_plan) / doubly_centred(gain)  # one price everywhere
    torch.testing.assert_close(ratio, ratio[0, 0].expand_as(ratio), rtol=1e-6, atol=0)


def test_sinkhorn_lies_between_exact_and_independent():
    x, z = batch(100, 2)
    means = {}
    for epsilon in (1e-4, 0.1, 1e6):
        member = Sinkhorn(epsilon=epsilon)
        means[epsilon] = sum(cost(x, member.pair(x, z, rng=BatchRng(i))) for i in range(20)) / 20
    exact = cost(x, couplings.make("optimal_transport").pair(x, z, rng=BatchRng(0)))
    independent = (x[:, None] - z).square().sum().item() / 100
    assert exact <= means[1e-4] < means[0.1] < means[1e6]
    assert means[1e-4] < exact + 0.05 * (independent - exact)
    gain = 2 * (x @ z.T).double()
    plan = sinkhorn(gain, 0.1, 50).exp() * (x[:, None] - z).square().sum(-1)
    assert means[0.1] < plan.sum().item() + 0.1 * (independent - exact)  # late rows cost a little
    assert means[1e6] == pytest.approx(independent, rel=0.05)


def test_sinkhorn_first_draws_follow_the_plan():
    gain = torch.tensor([[2.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    plan = sinkhorn(gain, 1.0, 100).exp()
    hits = sum(
        int(Sinkhorn(epsilon=1.0, iterations=5).assign(gain, rng=BatchRng(9, i))[0] == 0)
        for i in range(2000)
    )
    share = plan[0, 0].item()
    assert abs(hits / 2000 - share) < 5 * (share * (1 - share) / 2000) ** 0.5  # 5 standard errors


def test_a_dict_of_fields_is_permuted_as_one():
    x, z = batch(30, 2)
    fields = {"a": x, "b": x[:, :1].clone()}
    noise = {"a": z, "b": z[:, :1].clone()}
    paired = couplings.make("ot").pair(fields, noise, rng=BatchRng(0))
    assert torch.equal(paired["a"][:, :1], paired["b"])
    weighted = torch.tensor([2.0**0.5, 1.0])
    assert cost(x * weighted, paired["a"] * weighted) <= cost(x * weighted, z * weighted)


def test_paired_says_that_it_needs_a_source():
    assert couplings.make("paired").needs_source
    assert not couplings.make("optimal_transport").needs_source
    x, z = batch(9, 2)
    assert couplings.make("paired").pair(x, z, rng=BatchRng(0)) is z


def test_configuration_round_trips():
    for name in couplings.names():
        member = couplings.make(name)
        assert couplings.build(couplings.describe(member)) == member


def test_clear_errors():
    x, z = batch(8, 2)
    with pytest.raises(ShapeError, match="same shapes"):
        couplings.make("ot").pair(x, z[:4], rng=BatchRng(0))
    with pytest.raises(ShapeError, match="'label' has 3 rows"):
        couplings.make("ot").pair(x, z, {"label": torch.zeros(3)}, rng=BatchRng(0))
    with pytest.raises(ArgumentError, match="real numbers"):
        couplings.make("ot").pair(x.long(), z.long(), rng=BatchRng(0))
    with pytest.raises(ArgumentError, match="cond_weight"):
        couplings.make("ot", cond_weight=-1.0)
    with pytest.raises(ArgumentError, match="epsilon"):
        couplings.make("sinkhorn", epsilon=0.0)
    with pytest.raises(UnknownName, match="sinkhorn"):
        couplings.make("sinkhorm")
