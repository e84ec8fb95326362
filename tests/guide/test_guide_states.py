"""Guides on categories, dicts of fields, padding and latents; and where they say no."""

import pytest
import torch
from torch.nn import functional as F

from unfog.errors import ArgumentError, DataError, ShapeError
from unfog.guide import (
    Hold,
    Measurement,
    Steer,
    cfg,
    classifier,
    compose,
    diffpir,
    dps,
    likelihood,
    mmps,
    particles,
    pigdm,
    projected,
    rescaled,
    reward,
)
from unfog.guide.operators import Field, Mask, Matrix, Mean
from unfog.maths.discrete import Masking
from unfog.maths.grids import LinearGrid, grids
from unfog.maths.manifolds import Torus
from unfog.maths.paths import paths
from unfog.maths.product import Product
from unfog.maths.randomness import BatchRng
from unfog.maths.truth import Gaussian
from unfog.maths.truth_discrete import DiscreteTable
from unfog.sample.correctors import correctors
from unfog.sample.loop import sample
from unfog.sample.randomness import SampleRng
from unfog.sample.solvers import solvers

F64 = torch.float64
LINEAR = paths.make("linear")
CODES = Masking((3, 4))
TABLE = DiscreteTable(torch.rand(3, 4, generator=torch.Generator().manual_seed(1)).pow(2).div_(
    torch.rand(3, 4, generator=torch.Generator().manual_seed(1)).pow(2).sum()))  # fmt: skip
GRADES = torch.randn(3, 4, generator=torch.Generator().manual_seed(2))
T = torch.tensor(0.5, dtype=F64)


def variation(x, truth, share=None):
    """Total variation between the counts of codes, or their shares, and a table."""
    share = torch.full((len(x),), 1 / len(x)) if share is None else share
    found = torch.bincount(x[:, 0] * 4 + x[:, 1], weights=share, minlength=12).reshape(3, 4)
    return (found - truth).abs().sum().item() / 2


def revealed(predict, *, count=8000, steps=60):
    x = torch.tensor(CODES.sizes).expand(count, 2)
    *_, last = sample(
        predict, CODES, solvers.make("euler"), x, LinearGrid()(LINEAR, steps), rng=BatchRng(3)
    )
    return last.x


def walked(walk, *, groups, size, steps=40):
    x = torch.tensor(CODES.sizes).expand(groups * size, 2)
    cut = LinearGrid()(LINEAR, steps)
    *_, last = particles(walk(cut), x, cut, size=size, rng=BatchRng(6))
    return last.x, torch.softmax(last.log_weight, 1).flatten() / groups


def normalised(values):
    return values / values.sum()


# --- categories -------------------------------------------------------------------------------


def test_an_exact_classifier_of_categories_gives_their_posterior():
    """log p(y | revealed entries) by summing over the hidden ones; 1.5 % variation is chance."""
    likely = torch.sigmoid(GRADES)
    joint = TABLE.probabilities * likely

    def log_prob(x_t, t):
        hidden = [F.one_hot(x_t[:, n], k + 1)[:, :k].float() for n, k in enumerate((3, 4))]
        rows, columns = (torch.where(h.sum(1, keepdim=True) > 0, h, 1.0) for h in hidden)
        tables = [
            torch.einsum("bi,ij,bj->b", rows, p, columns) for p in (joint, TABLE.probabilities)
        ]
        return tables[0].log() - tables[1].log()

    x = revealed(classifier(TABLE.predictor(CODES), CODES, log_prob))
    assert variation(x, normalised(joint)) < 0.025
    assert variation(x, TABLE.probabilities) > 0.05


def test_a_reward_per_entry_of_independent_categories_is_exact():
    rows, columns = torch.tensor([0.2, 0.3, 0.5]), torch.tensor([0.1, 0.2, 0.3, 0.4])
    table = DiscreteTable(rows[:, None] * columns)
    worth = torch.tensor([[1.0, 0.0, -1.0, 0.0], [0.5, -0.5, 0.0, 1.0]])
    predict = reward(table.predictor(CODES), CODES, lambda x: (x * worth).sum((1, 2)))
    truth = normalised(table.probabilities * (worth[0, :3, None] + worth[1]).exp())
    assert variation(revealed(predict, steps=20), truth) < 0.025


@pytest.mark.parametrize("pull", [0.0, 1.0])
def test_particles_of_categories_follow_any_reward(pull):
    """exp(grade of the pair), which no entry alone can tell."""

    def potential(x, t):
        return torch.einsum("bi,bj,ij->b", x[:, 0, :3], x[:, 1], GRADES)

    x, share = walked(
        lambda cut: Steer(TABLE.predictor(CODES), CODES, potential, pull), groups=500, size=64
    )
    truth = normalised(TABLE.probabilities * GRADES.exp())
    assert variation(x, TABLE.probabilities, share) > 0.15
    assert variation(x, truth, share) < 0.025


def test_held_categories_give_the_conditional():
    known, keep = torch.tensor([[2, 0]]), torch.tensor([[1, 0]])
    x, share = walked(
        lambda cut: Hold(
            TABLE.predictor(CODES), CODES, known.expand(32_000, 2), keep.expand(32_000, 2), cut,
            size=16, rng=BatchRng(8),
        ),
        groups=2000,
        size=16,
    )  # fmt: skip
    assert (x[:, 0] == 2).all()
    truth = torch.zeros(3, 4)
    truth[2] = normalised(TABLE.probabilities[2])
    assert variation(x, truth, share) < 0.03


@pytest.mark.parametrize("guide", [cfg, rescaled, projected])
def test_guided_probabilities_stay_probabilities(guide):
    """p ∝ c^scale u^(1 - scale): a large scale never makes one negative, and no code is invented."""
    c, u = torch.tensor([[[0.7, 0.3, 0.0]]]), torch.tensor([[[0.2, 0.8, 0.0]]])
    x_t = torch.tensor([[2]])
    got = guide(lambda *_: c, lambda *_: u, scale=3.0)(x_t, T)
    torch.testing.assert_close(
        got, torch.tensor([[[0.7**3 / 0.04, 0.3**3 / 0.64, 0.0]]]) / (0.7**3 / 0.04 + 0.3**3 / 0.64)
    )


# --- composition ------------------------------------------------------------------------------


def evidence(prior, row, y, noise):
    """The Gaussian posterior after y = row x + noise."""
    gain = prior.cov @ row / (row @ prior.cov @ row + noise**2)
    return Gaussian(
        prior.mean + gain * (y - row @ prior.mean), prior.cov - gain[:, None] * (row @ prior.cov)
    )


FREE = Gaussian(torch.zeros(2, dtype=F64), torch.eye(2, dtype=F64))
E1, E2, SLANT = torch.eye(2, dtype=F64)[0], torch.eye(2, dtype=F64)[1], torch.ones(2, dtype=F64)


def test_conditions_on_independent_parts_compose_exactly():
    c1, c2 = evidence(FREE, E1, 1.0, 0.5), evidence(FREE, E2, -2.0, 0.7)
    both = evidence(c1, E2, -2.0, 0.7)
    got = compose(FREE.predictor(LINEAR), [c1.predictor(LINEAR), c2.predictor(LINEAR)])
    x_t = torch.randn(10, 2, dtype=F64)
    torch.testing.assert_close(got(x_t, T), both.predictor(LINEAR)(x_t, T))


def test_overlapping_conditions_compose_with_a_corrector():
    """The product of two conditionals of correlated evidence; Langevin takes most of the error."""
    c1, c2 = evidence(FREE, E1, 1.0, 0.5), evidence(FREE, SLANT, 2.0, 0.5)
    truth = evidence(c1, SLANT, 2.0, 0.5)
    predict = compose(FREE.predictor(LINEAR), [c1.predictor(LINEAR), c2.predictor(LINEAR)])
    off = []
    for corrector in (correctors.make("none"), correctors.make("langevin", snr=0.25, steps=30)):
        x = LINEAR.prior(torch.empty(4000, 2, dtype=F64), rng=BatchRng(1))
        cut = grids.make("angle")(LINEAR, 30)
        *_, last = sample(
            predict, LINEAR, solvers.make("euler"), x, cut, rng=BatchRng(2), corrector=corrector
        )
        mean = (last.x.mean(0) - truth.mean).norm() / truth.cov.trace().sqrt()
        off.append((mean.item(), ((last.x.T.cov() - truth.cov).norm() / truth.cov.norm()).item()))
    assert off[1][0] < 0.05 < 0.3 < off[0][0], off
    assert off[1][1] < 0.05 < off[0][1], off


def test_not_moves_away():
    there = evidence(FREE, E1, 1.0, 0.5)
    predict = compose(FREE.predictor(LINEAR), [there.predictor(LINEAR)], [-0.5])
    x_t = 0.1 * torch.randn(200, 2, dtype=F64)
    plain, got = FREE.predictor(LINEAR)(x_t, T), predict(x_t, T)
    assert (got - there.mean).norm(dim=1).mean() > (plain - there.mean).norm(dim=1).mean() + 0.1
    torch.testing.assert_close(got[:, 1], plain[:, 1])  # and nowhere else


# --- the variants of guidance -----------------------------------------------------------------


def test_rescaled_has_the_conditionals_spread_and_projected_is_across():
    g = torch.Generator().manual_seed(0)
    c, u = torch.randn(5, 3, 4, generator=g), torch.randn(5, 3, 4, generator=g)
    x_t = torch.zeros(5, 3, 4)
    plain = cfg(lambda *_: c, lambda *_: u, scale=4.0)(x_t, T)
    got = rescaled(lambda *_: c, lambda *_: u, scale=4.0, share=1.0)(x_t, T)
    torch.testing.assert_close(got.flatten(1).std(1), c.flatten(1).std(1))
    half = rescaled(lambda *_: c, lambda *_: u, scale=4.0, share=0.0)(x_t, T)
    torch.testing.assert_close(half, plain)
    across = projected(lambda *_: c, lambda *_: u, scale=4.0)(x_t, T)
    assert ((across - c) * c).flatten(1).sum(1).abs().max() < 1e-4
    torch.testing.assert_close(
        projected(lambda *_: c, lambda *_: u, scale=4.0, parallel=1.0)(x_t, T), plain
    )
    short = projected(lambda *_: c, lambda *_: u, scale=2.0, parallel=1.0, longest=0.5)(x_t, T)
    torch.testing.assert_close((short - c).flatten(1).norm(dim=1), torch.full((5,), 0.5))


# --- dicts, padding, latents --------------------------------------------------------------------

PAIR = Product({"a": LINEAR, "b": LINEAR, "cat": Masking((2,))})
JOINT = Gaussian(
    torch.tensor([0.3, -0.2], dtype=F64), torch.tensor([[1.0, 0.8], [0.8, 1.0]], dtype=F64)
)


def paired(x_t, t, s=None):
    """Two correlated numbers in two fields, beside a coin."""
    x_hat = JOINT.predictor(LINEAR)(torch.cat([x_t["a"], x_t["b"]], 1), t)
    coin = torch.full((*x_t["cat"].shape, 2), 0.5, dtype=F64)
    return {"a": x_hat[:, :1], "b": x_hat[:, 1:], "cat": coin}


def pair_state(count):
    like = {name: torch.empty(count, 1, dtype=F64) for name in "ab"}
    return PAIR.prior({**like, "cat": torch.zeros(count, 1).long()}, rng=BatchRng(1))


@pytest.mark.parametrize("method", [mmps, pigdm])
def test_a_measured_field_informs_the_other(method):
    """y = a + noise; b follows by the correlation, the coin does not care."""
    m = Measurement(torch.tensor([[1.5]], dtype=F64), Field("a"), 0.4)
    truth = evidence(JOINT, E1, 1.5, 0.4)
    x_t = pair_state(50)
    got = method(paired, PAIR, m)(x_t, T)
    wanted = truth.predictor(LINEAR)(torch.cat([x_t["a"], x_t["b"]], 1), T)
    if method is mmps:
        torch.testing.assert_close(torch.cat([got["a"], got["b"]], 1), wanted, rtol=0, atol=1e-6)
    plain = paired(x_t, T)
    assert ((got["b"] - plain["b"]) * (got["a"] - plain["a"]) > 0).all()
    assert torch.equal(got["cat"], plain["cat"])


def test_particles_of_a_dict_have_the_posterior():
    m = Measurement(torch.tensor([[1.5]], dtype=F64), Field("a"), 0.4)
    cut = grids.make("angle")(LINEAR, 100)
    walk = Steer(paired, PAIR, likelihood(m, PAIR))
    *_, last = particles(walk, pair_state(400 * 32), cut, size=32, rng=BatchRng(2))
    truth = evidence(JOINT, E1, 1.5, 0.4)
    share = torch.softmax(last.log_weight, 1).flatten() / 400
    assert abs(share @ last.x["a"][:, 0] - truth.mean[0]) < 0.05
    assert abs(share @ last.x["b"][:, 0] - truth.mean[1]) < 0.05
    assert share @ last.x["cat"][:, 0].double() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("method", [mmps, pigdm, dps, diffpir])
def test_padding_does_not_count_in_a_measurement(method):
    """The mean over real entries; what stands in the padding changes nothing."""
    real = torch.tensor([1.0, 1, 1, 0, 0], dtype=F64)
    truth = Gaussian(torch.zeros(5, dtype=F64), torch.eye(5, dtype=F64) + 0.5)
    m = Measurement(
        torch.tensor([1.0], dtype=F64),
        lambda x: x.sum(1) / 3,
        0.1,
        back=lambda x: LINEAR.project(x, real.expand(x.shape)),
    )
    guided = method(lambda x, t, s=None: truth.predictor(LINEAR)(x * real, t), LINEAR, m)
    x_t = torch.randn(6, 5, dtype=F64)
    other = torch.where(real.bool(), x_t, 9.0)
    torch.testing.assert_close(guided(x_t, T)[:, :3], guided(other, T)[:, :3])


@pytest.mark.parametrize("method", [mmps, pigdm, dps, diffpir])
def test_latents_are_measured_through_back(method):
    """In rotated and stretched coordinates a method that uses covariances finds the same data."""
    turn = torch.linalg.qr(
        torch.randn(2, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
    )[0]
    offset = torch.tensor([0.5, -1.0], dtype=F64)
    latent = Gaussian(turn @ (JOINT.mean - offset), turn @ JOINT.cov @ turn.T)
    m = Measurement(torch.tensor([[1.5]], dtype=F64), Matrix(E1[None]), 0.4)
    inner = Measurement(m.y, m.operator, m.noise, back=lambda u: u @ turn + offset)
    x_t = torch.randn(9, 2, dtype=F64)
    here = method(JOINT.predictor(LINEAR), LINEAR, m)(x_t, T)
    u_t = (x_t - LINEAR.alpha(T) * offset) @ turn.T
    there = method(latent.predictor(LINEAR), LINEAR, inner)(u_t, T)
    torch.testing.assert_close(there @ turn + offset, here)


def test_a_curved_operator_is_met():
    """y = x1^2 + x2, white data: after sampling the data explain it to the noise."""
    m = Measurement(torch.tensor([[2.0]], dtype=F64), lambda x: x[:, :1].square() + x[:, 1:], 0.05)
    for method, limit in ((mmps, 0.1), (pigdm, 0.1), (diffpir, 0.1), (dps, 0.1)):
        x = LINEAR.prior(torch.empty(300, 2, dtype=F64), rng=BatchRng(1))
        cut = grids.make("angle")(LINEAR, 60)
        *_, last = sample(
            method(FREE.predictor(LINEAR), LINEAR, m),
            LINEAR,
            solvers.make("euler"),
            x,
            cut,
            rng=BatchRng(2),
        )
        off = (m.missing(m.see(last.x)).square().mean()).sqrt().item()
        assert off < limit, (method.__name__, off)


# --- particles do not interfere -----------------------------------------------------------------


def test_groups_of_particles_do_not_depend_on_their_company():
    m = Measurement(torch.tensor([[1.5]]), Matrix(E1[None].float()), 0.4)
    cut = grids.make("angle")(LINEAR, 10)
    walk = Steer(
        Gaussian(JOINT.mean.float(), JOINT.cov.float()).predictor(LINEAR),
        LINEAR,
        likelihood(m, LINEAR),
    )

    def picked(indices):
        rng = SampleRng(5, indices)
        x = LINEAR.prior(torch.empty(len(indices), 2), rng=rng)
        *_, last = particles(walk, x, cut, size=8, rng=rng)
        return last.pick(rng=rng.at(99))

    whole = picked(range(32))
    torch.testing.assert_close(whole, torch.cat([picked(range(16)), picked(range(16, 32))]))
    assert torch.equal(whole, picked(range(32)))


# --- refusals -----------------------------------------------------------------------------------


def test_refusals_say_what_to_do():
    predict, m = FREE.predictor(LINEAR), Measurement(torch.zeros(1, 1), Mean(), 0.1)
    ring = Product({"turn": Torus()})
    for make in (
        lambda: mmps(predict, ring, m),
        lambda: reward(predict, ring, lambda x: x),
        lambda: Steer(predict, ring, lambda x, t: x),
        lambda: classifier(predict, Torus(), lambda x, t: x),
    ):
        with pytest.raises(ArgumentError, match="on a path of Torus"):
            make()
    with pytest.raises(ArgumentError, match="noise > 0"):
        likelihood(Measurement(torch.zeros(1, 1), Mean(), 0.0), LINEAR)
    with pytest.raises(ShapeError, match=r"the operator gives \(3,\), y has shape \(1, 1\)"):
        mmps(predict, LINEAR, m)(torch.zeros(3, 2, dtype=F64), T)
    with pytest.raises(ArgumentError, match="NaN"):
        Measurement(torch.tensor([[float("nan")]]), Mean())
    with pytest.raises(ArgumentError, match="one weight per condition"):
        compose(predict, [predict], [1.0, 2.0])
    with pytest.raises(ArgumentError, match="divides the batch of 6"):
        next(
            particles(
                Steer(predict, LINEAR, lambda x, t: x[:, 0]),
                torch.zeros(6, 2),
                LinearGrid()(LINEAR, 2),
                size=4,
                rng=BatchRng(0),
            )
        )
    impossible = Steer(predict, LINEAR, lambda x, t: x[:, 0] * 0 - torch.inf, 0.0)
    x, cut = torch.zeros(4, 2, dtype=F64), LinearGrid()(LINEAR, 2)
    with pytest.raises(DataError, match="weight 0"):
        list(particles(impossible, x, cut, size=4, rng=BatchRng(0)))
    with pytest.raises(ShapeError, match="does not fit"):
        Mask(torch.ones(3))(torch.zeros(2, 5))
