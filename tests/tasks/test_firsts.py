"""First draws: conditional frequencies of a known joint table, and of a known number."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats

from unfog.guide.candidates import pick_each, pick_together
from unfog.maths.discrete import Masking
from unfog.maths.paths import Linear
from unfog.maths.product import Product
from unfog.maths.truth_discrete import DiscreteTable
from unfog.sample.randomness import SampleRng
from unfog.tasks.firsts import first_draws, lone_number
from unfog.tasks.limits import Limits

P = torch.tensor(
    [[[0.20, 0.02], [0.05, 0.13]], [[0.01, 0.24], [0.10, 0.02]], [[0.05, 0.05], [0.12, 0.01]]]
)


class Known:
    """A net that knows a joint table of three categories, and how the first depends on a number:
    above 0 only its last two codes occur.
    """

    told = True

    def __init__(self, number=False):
        self.number = number
        masking = Masking(tuple(P.shape))
        self.path = Product({"num": Linear(), "cat": masking} if number else {"cat": masking})
        self.tables = [DiscreteTable(P).predictor(masking)]
        if number:
            high = P.clone()
            high[0] = 0
            self.tables.append(DiscreteTable(high / high.sum()).predictor(masking))

    def bind(self, cond, keep=None):
        def predict(x_t, t, s=None):
            found = self.tables[0](x_t["cat"], t)
            if not self.number:
                return {"cat": found}
            above = self.tables[1](x_t["cat"], t)
            seen = (x_t["num"][:, 0] > 0) & (keep is not None and keep["num"][:, 0])
            return {"num": x_t["num"], "cat": torch.where(seen[:, None, None], above, found)}

        return predict


def model(number=False):
    fields = {"cat": {"type": "category", "sizes": list(P.shape)}}
    if number:
        fields = {"num": {"type": "number", "size": 1}, **fields}
    config = SimpleNamespace(fields=fields, shape=())
    return SimpleNamespace(net=Known(number), config=config, device=torch.device("cpu"))


HOW = SimpleNamespace(grid=lambda path, steps: torch.tensor([1.0, 0.5, 0.0]), steps=2)


def rows(count, number=False, **asked):
    known = {"cat": torch.zeros(count, 3, dtype=torch.long)}
    if number:
        known = {"num": torch.zeros(count, 1), **known}
    return Limits(
        known, {n: torch.zeros_like(v, dtype=torch.bool) for n, v in known.items()}, **asked
    )


def drawn(made, limits, size, count):
    found = first_draws(made, limits, None, HOW, list(range(count)), size=size, seed=3)
    chosen, ess = pick_each(found.log_weight, SampleRng(9, range(count)))
    return {n: v[chosen] for n, v in found.state.items()}, ess


def close(found, chance, count):
    """Within four deviations of a binomial, of each cell."""
    error = 4 * (chance * (1 - chance) / count).clamp_min(0).sqrt() + 1e-9
    return bool(((found - chance).abs() <= error).all())


def test_several_sets_of_levels_have_the_joint_conditional_frequencies():
    """One after the other with masked chances alone is another distribution: weights mend it."""
    count = 6000
    first = torch.tensor([1.0, 1.0, 0.0]).expand(count, -1)
    last = torch.tensor([0.0, 1.0]).expand(count, -1)
    truth = P[:2, :, 1].sum(1) / P[:2, :, 1].sum()
    shares = {}
    for size in (1, 64):
        limits = rows(count, codes={0: first, 2: last})
        state, ess = drawn(model(), limits, size, count)
        assert bool((state["cat"][:, 0] < 2).all() & (state["cat"][:, 2] == 1).all())
        shares[size] = torch.bincount(state["cat"][:, 0], minlength=2).double() / count
    assert close(shares[64], truth, count), (shares, truth)
    assert not close(shares[1], truth, count)
    assert 20 < ess < 64


def test_one_set_of_levels_is_exact_without_weights():
    count = 6000
    limits = rows(count, codes={0: torch.tensor([0.0, 1.0, 1.0]).expand(count, -1)})
    state, _ = drawn(model(), limits, 1, count)
    share = torch.bincount(state["cat"][:, 0], minlength=3).double() / count
    truth = P.sum((1, 2))[1:] / P.sum((1, 2))[1:].sum()
    assert share[0] == 0
    assert close(share[1:], truth, count)


def test_a_number_in_a_span_is_a_truncated_normal_and_known_levels_weigh_it():
    count, low = 4000, -0.5
    span = torch.tensor([[low, 2.0]]).expand(count, 1, 2)
    limits = rows(count, number=True, spans={0: span})
    made = model(number=True)
    assert lone_number(made, limits)
    state, _ = drawn(made, limits, 1, count)
    z = state["num"][:, 0].numpy()
    assert stats.kstest(z, stats.truncnorm(low, 2.0).cdf).pvalue > 1e-3
    # the first category's code 0 has chance 0 above 0: given it, the number lies below
    limits = rows(count, number=True, spans={0: span})
    limits.keep["cat"][:, 0] = True
    state, ess = drawn(made, limits, 32, count)
    z = state["num"][:, 0].numpy()
    assert (z <= 0).all()
    assert bool((state["cat"][:, 0] == 0).all())
    assert stats.kstest(z, stats.truncnorm(low, 0.0).cdf).pvalue > 1e-3
    assert ess == pytest.approx(32 * 0.29, abs=2)  # the share of the span below 0


def test_far_tails_and_two_spans_keep_their_shares():
    count = 4000
    span = torch.tensor([[-6.5, -6.0], [6.0, 40.0]]).expand(count, 2, 2)
    state, _ = drawn(model(number=True), rows(count, number=True, spans={0: span}), 1, count)
    z = state["num"][:, 0].double().numpy()
    assert ((np.abs(z) >= 6) & ((z > 0) | (z >= -6.5))).all()
    low = stats.norm.cdf(-6.0) - stats.norm.cdf(-6.5)
    share = low / (low + stats.norm.sf(6.0))
    assert (z < 0).mean() == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / count))
    tail = stats.kstest(z[z > 0], lambda x: 1 - stats.norm.sf(x) / stats.norm.sf(6.0))
    assert tail.pvalue > 1e-3


def test_rows_picked_together_have_the_mean_and_the_tilted_law():
    """Of a normal, rows with the mean m are N(m, 1): the exact conditional law of many rows."""
    z = np.random.default_rng(0).normal(size=60_000)
    chosen, ess, found = pick_together(
        torch.zeros(len(z)), (z - 0.8)[:, None], 1000, 5, np.array([1e-4])
    )
    x = z[chosen.numpy()]
    assert found
    assert abs(x.mean() - 0.8) <= 1e-4
    assert stats.kstest(x, stats.norm(0.8, 1).cdf).pvalue > 1e-3
    # sum of squared weights of a shift by m is exp(m^2) / M
    assert ess == pytest.approx(60 / math.exp(0.64), rel=0.1)
