"""A batch in shares is the batch: rows, noise, times, dropout and pairs."""

import numpy as np
import pytest
import torch

from unfog.errors import ArgumentError, ShapeError
from unfog.maths.couplings import OptimalTransport
from unfog.maths.discrete import Masking
from unfog.maths.paths import Linear, paths
from unfog.maths.product import Product
from unfog.maths.randomness import BatchRng
from unfog.maths.targets import targets
from unfog.maths.times import Uniform
from unfog.maths.weights import weights
from unfog.model.model import Model
from unfog.nets import nets
from unfog.train.batches import Batches
from unfog.train.dist import World
from unfog.train.loop import Losses, Objective

TOTAL = 13


def shares(size):
    return [World(rank, size).share(TOTAL) for rank in range(size)]


@pytest.mark.parametrize("size", [1, 2, 3, 13])
def test_shares_are_contiguous_and_make_up_the_batch(size):
    parts = shares(size)
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(TOTAL))
    assert max(p.stop - p.start for p in parts) - min(p.stop - p.start for p in parts) <= 1


def test_a_batch_too_small_for_all_is_refused():
    with pytest.raises(ArgumentError, match="--batch 3 or more"):
        World(0, 3).share(2)


def test_the_shares_of_every_batch_are_the_items_of_one_process():
    batches = Batches(40, TOTAL, 5, lambda index: (torch.from_numpy(index), {}))
    for number in range(7):
        parts = [next(batches.since(number, share)).index for share in shares(3)]
        assert np.array_equal(np.concatenate(parts), batches.index(number))


@pytest.mark.parametrize("draw", ["normal", "uniform"])
def test_noise_of_shares_is_the_noise_of_the_batch(draw):
    whole = BatchRng(1, 0, 4)
    like = torch.empty(TOTAL, 2, 3)
    expected = [getattr(whole, draw)(like), getattr(whole, draw)(like)]
    parts = [(share.rng(BatchRng(1, 0, 4)), share.of(like)) for share in shares(3)]
    for wanted in expected:
        assert torch.equal(torch.cat([getattr(rng, draw)(rows) for rng, rows in parts]), wanted)


def test_stratified_times_are_those_of_the_whole_batch():
    law = Uniform()
    wanted = law.draw(Linear(), TOTAL, rng=BatchRng(2, 0, 1))
    parts = [
        share.times(law).draw(Linear(), share.stop - share.start, rng=share.rng(BatchRng(2, 0, 1)))
        for share in shares(2)
    ]
    assert torch.equal(torch.cat(parts), wanted)
    assert sorted((wanted * TOTAL).long().tolist()) == list(range(TOTAL))


def test_noise_that_is_not_by_row_is_refused():
    rng = shares(2)[1].rng(BatchRng(0))
    with pytest.raises(ShapeError, match="first axis has to be the batch"):
        rng.uniform(torch.empty(TOTAL, TOTAL))


def test_states_of_fields_and_conditions_are_cut_alike():
    share = shares(2)[1]
    state = {"a": torch.arange(TOTAL), "b": torch.arange(TOTAL).view(-1, 1)}
    cut = share.of(state)
    assert cut["a"].tolist() == cut["b"][:, 0].tolist() == list(range(share.start, share.stop))
    product = Product({"a": Linear(), "b": Masking((3,))})
    x = {"a": torch.randn(TOTAL, 2), "b": torch.randint(3, (TOTAL, 4))}
    t = torch.rand(TOTAL)
    whole = product.corrupt(x, t, rng=BatchRng(3)).x_t
    parts = [product.corrupt(s.of(x), s.of(t), rng=s.rng(BatchRng(3))).x_t for s in shares(3)]
    for name in x:
        assert torch.equal(torch.cat([part[name] for part in parts]), whole[name])


@pytest.mark.parametrize("coupling", [None, OptimalTransport()])
def test_losses_and_gradients_of_shares_are_those_of_the_batch(coupling):
    torch.manual_seed(0)
    given = {"label": {"type": "class", "size": 3}}
    net = nets.make("mlp", shape=[2], given=given, width=16)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    model = Model(net, Linear(), targets.make("velocity"))
    objective = Objective(Uniform(), weights.make("unit"), coupling, dropout=0.5)
    losses_of = Losses(model)
    x, cond = torch.randn(TOTAL, 2), {"label": torch.arange(TOTAL) % 3}

    def step(size):
        model.zero_grad()
        parts = []
        for share in shares(size):
            taken = (x, cond) if coupling else (share.of(x), share.of(cond))
            losses, times = losses_of(*taken, BatchRng(7, 0, 3), share, objective)
            (losses.mean() * (len(losses) * size / TOTAL) / size).backward()
            parts.append(torch.stack([losses.detach(), times]))
        gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        return torch.cat(parts, 1), gradient

    (one, slope), (three, slopes) = step(1), step(3)
    assert torch.equal(one[1], three[1])
    assert torch.allclose(one, three, atol=1e-6)
    assert torch.allclose(slope, slopes, atol=1e-5 * float(slope.abs().max()))
    assert float(slope.abs().max()) > 0.01


@pytest.mark.parametrize("group", [512, 4, 5])
def test_stable_targets_of_shares_are_those_of_the_batch(monkeypatch, group):
    """Means are over the whole batch or its groups, whoever computes its rows."""
    monkeypatch.setattr("unfog.maths.stable.GROUP", group)
    torch.manual_seed(0)
    net = nets.make("mlp", shape=[2], width=16)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    model = Model(net, Linear(), targets.make("velocity"))
    objective = Objective(Uniform(), weights.make("unit"), stable=True)
    losses_of, x = Losses(model), torch.randn(TOTAL, 2)
    one, three = (
        torch.cat([losses_of(x, {}, BatchRng(7, 0, 3), s, objective)[0] for s in shares(size)])
        for size in (1, 3)
    )
    own = losses_of(
        x, {}, BatchRng(7, 0, 3), shares(1)[0], Objective(Uniform(), weights.make("unit"))
    )[0]
    torch.testing.assert_close(one, three)
    assert not torch.allclose(one, own)


def test_a_coupling_is_given_unit_noise_on_every_path():
    """The exploding path's prior is 80 deviations wide; what `corrupt` takes as z is not."""
    seen = []

    class Recorder(OptimalTransport):
        def pair(self, x, z, cond=None, *, rng):
            seen.append(z)
            return z

    model = Model(nets.make("mlp", shape=[2], width=16), paths.make("ve"), targets.make("edm"))
    objective = Objective(Uniform(), weights.make("unit"), Recorder())
    whole = shares(1)[0]
    Losses(model)(torch.zeros(TOTAL, 2), {}, BatchRng(1, 0, 0), whole, objective)
    assert 0.5 < float(seen[0].std()) < 1.6
