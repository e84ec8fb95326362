"""Flow maps: every objective's fixed point is the exact map, and a learnt one composes."""

import pytest
import torch

from unfog.maths.discrete import Masking
from unfog.maths.flowmaps import flowmaps
from unfog.maths.grids import grids
from unfog.maths.jumps import Ask, drift, flowing, jump, reach, scaled
from unfog.maths.paths import Linear, paths
from unfog.maths.product import Product
from unfog.maths.randomness import BatchRng
from unfog.maths.targets import Velocity, targets
from unfog.maths.times import Angle, Uniform
from unfog.maths.truth import Mixture
from unfog.maths.weights import Unit
from unfog.model.connect import connect
from unfog.model.ema import Ema
from unfog.model.model import Model
from unfog.nets import nets
from unfog.sample.loop import sample
from unfog.sample.solvers import solvers
from unfog.tasks.usual import usual_of
from unfog.train.batches import Batches
from unfog.train.loop import Objective, train
from unfog.train.optim import adamw
from unfog.train.schedule import CosineFall, Horizon

NAMES = flowmaps.names()
SMOOTH = ["linear", "cosine", "vp"]


def mixture(dtype=torch.float64):
    means = torch.tensor([[1.2, 0.3], [-1.0, 0.8], [0.0, -1.2]], dtype=dtype)
    return Mixture(
        means, torch.tensor([0.5, 0.4, 0.6], dtype=dtype), torch.tensor([0.4, 0.3, 0.3]).to(dtype)
    )


def exact_map(path, predict, steps=12):
    """(x_t, t, s) -> x_hat whose jump is the probability flow, followed by Runge and Kutta."""

    def answer(x_t, t, s=None):
        if s is None:
            return predict(x_t, t)

        def rate(x, time):
            return drift(path, x, predict(x, time), time)

        x, h = x_t, (s - t) / steps
        for number in range(steps):
            at = t + number * h
            one = rate(x, at)
            two = rate(x + scaled(h / 2, one), at + h / 2)
            three = rate(x + scaled(h / 2, two), at + h / 2)
            four = rate(x + scaled(h, three), at + h)
            x = x + scaled(h / 6, one + 2 * two + 2 * three + four)
        stay = path.sigma(s) / path.sigma(t)
        return scaled(1 / reach(path, t, s), x - scaled(stay, x_t))

    return answer


def asked(path, answer, predict, count=24):
    """Rows of the exact mixture, with times between them."""
    u = torch.linspace(0, 1, count, dtype=torch.float64)
    t = 0.5 + 0.4 * u
    s = 0.6 * t - 0.1
    x_t = path.corrupt(mixture().draw(count, rng=BatchRng(1)), t, rng=BatchRng(2)).x_t
    return Ask(answer, predict, path, x_t, t, s, answer(x_t, t, s), predict(x_t, t), 0.2 + 0.6 * u)


def sharp(name):
    """The objective without what is meant to smooth it: differences of times."""
    if name == "consistency":
        return flowmaps.make(name, steps=4000)
    return flowmaps.make(name, step=0.0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("corruption", SMOOTH)
def test_the_exact_map_is_the_fixed_point(name, corruption):
    path = paths.make(corruption)
    predict = mixture().predictor(path)
    found = sharp(name).missed(asked(path, exact_map(path, predict), predict))
    assert found.abs().max() < 1e-3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("corruption", SMOOTH)
def test_a_wrong_map_is_pulled_the_right_way(name, corruption):
    """The map is off by more the further it jumps: what is said to be missed has that sign.

    (Off by a constant it would compose, as the flow of other data, which only s = t rules out.)
    """
    path = paths.make(corruption)
    predict = mixture().predictor(path)
    exact = exact_map(path, predict)

    def off(x_t, t, s=None):
        return (
            exact(x_t, t, s)
            if s is None
            else exact(x_t, t, s) + scaled(t - s, torch.ones_like(x_t))
        )

    found = sharp(name).missed(asked(path, off, predict))
    assert (found > 0).double().mean() > 0.9


def test_discrete_consistency_is_exact_in_the_limit_of_many_steps():
    """The neighbour comes from one Euler step: an error like the square of its length."""
    path = Linear()
    predict = mixture().predictor(path)
    ask = asked(path, exact_map(path, predict), predict)
    errors = [flowmaps.make("consistency", steps=n).missed(ask).abs().mean() for n in (50, 100)]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.15)


@pytest.mark.parametrize("name", ["mean_flow", "continuous_consistency", "lagrangian"])
def test_differences_agree_with_exact_derivatives(name):
    path = Linear()
    predict = mixture().predictor(path)
    exact = exact_map(path, predict)
    ask = asked(path, lambda x, t, s=None: exact(x, t, s) + 0.1, predict)
    one, other = (flowmaps.make(name, step=step).missed(ask) for step in (0.0, 1e-4))
    assert torch.allclose(one, other, atol=3e-3)


@pytest.mark.parametrize("corruption", paths.names())
@pytest.mark.parametrize("shape", [(5, 2), (5, 1, 4, 4)])
def test_a_jump_to_where_it_starts_is_the_identity(corruption, shape):
    path, rng = paths.make(corruption), BatchRng(3)
    t = torch.linspace(0.1, 1, 5)
    x_t, x_hat = rng.normal(torch.empty(shape)), rng.normal(torch.empty(shape))
    assert torch.equal(jump(path, x_t, x_hat, t, t), x_t)


def table(count):
    """Two numbers and a category that says which blob."""
    kind = (BatchRng(4).uniform(torch.empty(count)) * 3).long()
    centre = torch.tensor([[-1.2, 0.0], [1.2, 0.6], [0.0, -1.2]])[kind]
    return {"num": centre + 0.3 * BatchRng(5).normal(centre), "cat": kind[:, None]}


def test_of_a_table_numbers_jump_and_categories_stay():
    path = Product({"num": Linear(), "cat": Masking((3,))})
    x = table(6)
    t, s = torch.full((6,), 0.8), torch.full((6,), 0.2)
    keep = {"num": torch.tensor([[1, 0]] * 6).bool(), "cat": torch.zeros(6, 1).bool()}
    x_t = path.corrupt(x, t, rng=BatchRng(6), keep=keep).x_t
    x_hat = {"num": torch.zeros(6, 2), "cat": torch.full((6, 1, 3), 1 / 3)}
    found = jump(path, x_t, x_hat, t, s, keep)
    assert torch.equal(found["cat"], x_t["cat"])
    assert torch.equal(found["num"][:, 0], x["num"][:, 0])
    assert torch.allclose(found["num"][:, 1], x_t["num"][:, 1] / 4)
    assert set(drift(path, x_t, x_hat, t, keep)) == {"num"}


@pytest.mark.parametrize("name", NAMES)
def test_a_mixed_table_has_a_loss_and_a_gradient(name):
    fields = {"num": {"type": "number", "size": 2}, "cat": {"type": "category", "sizes": [3]}}
    from unfog.maths.heads import Categories, Joint

    torch.manual_seed(0)
    net = nets.make("table", fields=fields, width=32, depth=1, two_times=True)
    torch.nn.init.normal_(net.last.weight, std=0.1)
    path = Product({"num": Linear(), "cat": Masking((3,))})
    model = Model(net, path, Joint({"num": Velocity(), "cat": Categories()}))
    flowmap = flowmaps.make(name, matched=0.5)
    losses, _ = connect(
        model, table(64), flowmap=flowmap, times=Uniform(), weight=Unit(), rng=BatchRng(7)
    )
    losses.mean().backward()
    assert losses.isfinite().all()
    assert float(net.last.weight.grad.abs().sum()) > 0


@pytest.mark.parametrize("name", NAMES)
def test_rows_that_are_matched_have_the_ordinary_loss(name):
    """Where s = t the loss is the squared error of the target, in whatever currency that is."""
    torch.manual_seed(0)
    for target in ("velocity", "v", "data"):
        net = nets.make("mlp", shape=[2], width=32, depth=1, two_times=True)
        torch.nn.init.normal_(net.last.weight, std=0.1)
        model = Model(net, paths.make("cosine"), targets.make(target))
        x = mixture(torch.float32).draw(64, rng=BatchRng(8))
        z = BatchRng(9).normal(x)
        flowmap = flowmaps.make(name, matched=0.6, power=0.0)
        law = Uniform(low=0.05, high=0.95)
        losses, t = connect(
            model, x, flowmap=flowmap, times=law, weight=Unit(), rng=BatchRng(10), z=z
        )
        pairs = flowmap.draw(law, model.path, 64, rng=BatchRng(10))
        assert torch.equal(pairs.t, t)
        noised = model.path.corrupt(x, t, rng=BatchRng(0), z=z)
        plain = model.target.error(model.path, model.answer(noised.x_t, t), x, noised).mean(1)
        assert 10 < int(pairs.apart.sum()) < 54
        assert torch.allclose(losses[~pairs.apart], plain[~pairs.apart], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_pairs_of_times_are_ordered_and_have_the_shares_that_are_asked_for(name):
    flowmap = flowmaps.make(name, matched=0.4, starts=0.3, ends=0.2)
    t, s, apart, _ = flowmap.draw(Uniform(), Linear(), 20_000, rng=BatchRng(11))
    assert bool((s[~apart] == t[~apart]).all())
    assert bool((s[apart] < t[apart]).all())
    assert float(apart.double().mean()) == pytest.approx(0.6, abs=0.02)
    if name != "shortcut":  # whose own times lie at the ends too
        assert float((t[apart] == 1).double().mean()) == pytest.approx(0.3, abs=0.02)
        assert float((s[apart] == 0).double().mean()) == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("onward", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_teacher_is_asked_where_it_is_wanted_and_nowhere_else(name, onward):
    torch.manual_seed(0)
    net = nets.make("mlp", shape=[2], width=8, depth=1, two_times=True)
    model = Model(net, Linear(), Velocity())
    flowmap, asked = flowmaps.make(name, matched=0.5, onward=onward), []

    def teacher(cond, keep):
        def predict(x_t, t, s=None):
            asked.extend(t.tolist())
            return torch.zeros_like(x_t)

        return predict

    x = torch.ones(40, 2)
    law = Uniform()
    losses, t = connect(
        model, x, flowmap=flowmap, times=law, weight=Unit(), rng=BatchRng(20), teacher=teacher
    )
    assert losses.isfinite().all()
    apart = flowmap.draw(law, Linear(), 40, rng=BatchRng(20)).apart
    assert bool(set(t[~apart].tolist()) & set(asked)) is not onward
    wanted = flowmap.wants_here
    if name != "lagrangian":  # which asks where it lands
        assert bool(set(t[apart].tolist()) & set(asked)) is wanted


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("highest", [0.003, 0.03, 1.0])
def test_times_that_nearly_touch_are_in_order(name, highest):
    """Differences and floors of times round, and no move may go up by that."""
    torch.manual_seed(0)
    net = nets.make("mlp", shape=[1], width=8, depth=1, two_times=True)
    model = Model(net, Linear(), Velocity())
    flowmap, law = flowmaps.make(name), Uniform(high=highest)
    losses, _ = connect(
        model, torch.zeros(5000, 1), flowmap=flowmap, times=law, weight=Unit(), rng=BatchRng(18)
    )
    assert losses.isfinite().all()


def test_a_weight_by_the_error_changes_gradients_and_not_losses():
    loss = torch.tensor([0.5, 4.0], requires_grad=True)
    found = flowmaps.make("mean_flow", power=1.0, floor=0.1).weighed(loss)
    assert torch.allclose(found, loss, rtol=1e-6)
    found.sum().backward()
    assert torch.allclose(loss.grad, 1 / (loss.detach() + 0.1))


def learnt(content, steps):
    """A map distilled from the exact mixture."""
    torch.manual_seed(0)
    path = Linear()
    exact = mixture(torch.float32).predictor(path)
    data = mixture(torch.float32).draw(8000, rng=BatchRng(12))
    model = Model(
        nets.make("mlp", shape=[2], width=64, depth=2, vector=64, two_times=True), path, Velocity()
    )
    ema = Ema(model, 0.1)
    objective = Objective(
        times=Angle(),
        weight=Unit(),
        flowmap=flowmaps.build(content),
        teacher=lambda cond, keep: exact,
    )
    batches = Batches(len(data), 512, 0, lambda index: (data[torch.from_numpy(index)], {}))
    for _ in train(
        model,
        batches,
        adamw(model, lr=4e-3),
        objective,
        CosineFall(),
        horizon=Horizon(steps),
        seed=0,
        ema=ema,
    ):
        pass
    return ema.model, exact


@pytest.mark.parametrize("kind", ["table", "image"])
def test_a_learnt_map_composes_and_lands_where_the_flow_lands(kind):
    model, exact = learnt(usual_of(kind).objective(None), 700)
    model.requires_grad_(False)
    path, count = Linear(), 2000
    x = path.corrupt(
        mixture(torch.float32).draw(count, rng=BatchRng(13)), torch.tensor(0.9), rng=BatchRng(14)
    ).x_t

    def to(x, t, s):
        t, s = torch.tensor(t), torch.tensor(s)
        return path.move(x, model.predict(x, t, None, s), t, s)

    def size(v):
        return float(v.square().mean().sqrt())

    apart = size(to(to(x, 0.9, 0.5), 0.5, 0.1) - to(x, 0.9, 0.1)) / size(x)
    assert apart < 0.02
    assert torch.equal(to(x, 0.5, 0.5), x)
    z = path.prior(torch.zeros(count, 2), rng=BatchRng(15))
    *_, last = sample(
        exact, path, solvers.make("heun"), z, grids.make("angle")(path, 60), rng=BatchRng(16)
    )
    for jumps in (1, 4):
        cut = grids.make("angle")(path, jumps).float()
        *_, end = sample(model.bind(None), path, solvers.make("euler"), z, cut, rng=BatchRng(17))
        assert size(end.x - last.x) < 0.1
    assert size(flowing(path, lambda _, v: v, last.x)) > 0.5


@pytest.mark.parametrize("name", ["progressive", "mean_flow"])
def test_a_batch_in_pieces_is_the_batch(name):
    """Pieces draw the whole batch's times and noise, so that memory or processes change nothing."""

    def first(micro):
        torch.manual_seed(0)
        model = Model(
            nets.make("mlp", shape=[2], width=32, depth=1, two_times=True), Linear(), Velocity()
        )
        data = mixture(torch.float32).draw(64, rng=BatchRng(19))
        batches = Batches(64, 64, 0, lambda index: (data[torch.from_numpy(index)], {}))
        objective = Objective(times=Uniform(), weight=Unit(), flowmap=flowmaps.make(name))
        loop = train(
            model,
            batches,
            adamw(model, lr=1e-3),
            objective,
            CosineFall(),
            horizon=Horizon(3),
            seed=0,
            micro=micro,
        )
        return torch.stack([progress.losses for progress in loop])

    assert torch.allclose(first(None), first(24), rtol=1e-3, atol=1e-5)
