"""Laws of a Product: numbers and categories of one row on one clock."""

from itertools import pairwise

import pytest
import torch
from scipy import stats
from torch.nn import functional as F

from unfog.errors import ShapeError
from unfog.maths.discrete import Masking
from unfog.maths.manifolds import Torus
from unfog.maths.paths import paths
from unfog.maths.product import Product, fieldwise
from unfog.maths.randomness import BatchRng

SIZES = (3, 5)
LINEAR = paths.make("linear")
TABLE = Product({"num": LINEAR, "cat": Masking(SIZES)})


def rows(count):
    rng = BatchRng(11)
    u = rng.uniform(torch.empty(count, 2))
    return {
        "num": rng.normal(torch.empty(count, 4)) + 1,
        "cat": (u * torch.tensor(SIZES)).long(),
    }


def trusted(x):
    return {"num": x["num"], "cat": F.one_hot(x["cat"], max(SIZES)).float()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_every_field_moves_on_its_own_path_and_one_clock():
    x = rows(50)
    t = torch.linspace(0.1, 1, 50)
    noised = TABLE.corrupt(x, t, rng=BatchRng(1))
    alone = LINEAR.corrupt(x["num"], t, rng=BatchRng(1))  # num draws first
    assert torch.equal(noised.x_t["num"], alone.x_t)
    assert noised.t is t
    assert not TABLE.affine
    assert Product({"a": LINEAR}).affine
    # eta = 0: what a field alone would do, exactly
    moved = TABLE.move(noised.x_t, trusted(x), t, t / 2, rng=BatchRng(2))
    assert torch.equal(moved["num"], LINEAR.move(noised.x_t["num"], x["num"], t, t / 2))
    named = fieldwise(TABLE, lambda path, v: (path, v), x)
    assert named["cat"][0] is TABLE.fields["cat"]
    assert named["num"][1] is x["num"]


def test_move_to_the_same_time_is_the_identity():
    x = rows(200)
    for t in (0.0, 0.4, 1.0):
        x_t = TABLE.corrupt(x, torch.tensor(t), rng=BatchRng(1)).x_t
        for eta in (0.0, 1.0):
            assert same(TABLE.move(x_t, trusted(x), t, t, eta=eta, rng=BatchRng(2)), x_t)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_several_moves_with_the_true_data_keep_the_marginals(eta):
    count = 20_000
    x = rows(count)
    x_t = TABLE.corrupt(x, torch.tensor(0.9), rng=BatchRng(1)).x_t
    rng = BatchRng(2)
    for number, (t, s) in enumerate(pairwise([0.9, 0.6, 0.5, 0.25])):
        x_t = TABLE.move(x_t, trusted(x), t, s, eta=eta, rng=rng.at(number))
    noise = (x_t["num"] - 0.75 * x["num"]) / 0.25
    # 5 standard errors each: a false alarm in about a hundred thousand runs
    assert (noise.mean(0).abs() < 5 / count**0.5).all()
    assert ((noise.var(0) - 1).abs() < 5 * (2 / count) ** 0.5).all()
    hidden = x_t["cat"] == torch.tensor(SIZES)
    for column in range(2):  # false alarm 1e-6
        assert stats.binomtest(int(hidden[:, column].sum()), count, 0.25).pvalue > 1e-6
    # masking and noise know nothing of each other
    link = torch.corrcoef(torch.cat([noise[:, :1], hidden.float()], 1).T)[0, 1:]
    assert (link.abs() < 5 / count**0.5).all()


def test_move_to_zero_lands_on_the_prediction():
    x = rows(100)
    prior = TABLE.prior(x, rng=BatchRng(1))
    assert (prior["cat"] == torch.tensor(SIZES)).all()
    assert same(TABLE.move(prior, trusted(x), 1.0, 0.0, rng=BatchRng(2)), x)


def test_mask_and_keep_are_per_field_and_a_missing_name_is_none():
    x = rows(100)
    mask = {"num": torch.tensor([1.0, 1, 1, 0]).expand(100, 4)}
    keep = {
        "cat": torch.tensor([1.0, 0]).expand(100, 2),
        "num": torch.tensor([1.0, 0, 0, 0]).expand(100, 4),
    }
    one = torch.tensor(1.0)
    noised = TABLE.corrupt(x, one, rng=BatchRng(1), mask=mask, keep=keep)
    assert torch.equal(noised.x_t["cat"][:, 0], x["cat"][:, 0])
    assert torch.equal(noised.x_t["num"][:, 0], x["num"][:, 0])
    assert (noised.x_t["cat"][:, 1] == 5).all()
    assert (noised.x_t["num"][:, 3] == 0).all()
    poisoned = {"num": x["num"].clone(), "cat": x["cat"]}
    poisoned["num"][:, 3] = 1e30
    assert same(TABLE.corrupt(poisoned, one, rng=BatchRng(1), mask=mask, keep=keep).x_t, noised.x_t)
    x_hat = trusted(x)
    for made in (
        TABLE.move(noised.x_t, x_hat, 1.0, 0.5, eta=1.0, rng=BatchRng(2), mask=mask),
        TABLE.renoise(noised.x_t, 0.2, 0.5, rng=BatchRng(3), mask=mask),
        TABLE.prior(x, rng=BatchRng(4), mask=mask),
    ):
        assert (made["num"][:, 3] == 0).all()
    unkept = TABLE.corrupt(x, one, rng=BatchRng(1)).x_t
    assert (unkept["cat"] == torch.tensor(SIZES)).all()


def test_given_noise_is_used_field_by_field():
    x = rows(40)
    z = {"num": torch.full((40, 4), 2.0)}
    noised = TABLE.corrupt(x, torch.tensor(0.5), rng=BatchRng(1), z=z)
    torch.testing.assert_close(noised.x_t["num"], 0.5 * x["num"] + 1)
    assert torch.equal(noised.z["cat"], noised.x_t["cat"] == torch.tensor(SIZES))


def test_renoise_keeps_the_marginals():
    count = 20_000
    x = rows(count)
    x_s = TABLE.corrupt(x, torch.tensor(0.3), rng=BatchRng(1)).x_t
    x_t = TABLE.renoise(x_s, 0.3, 0.8, rng=BatchRng(2))
    noise = (x_t["num"] - 0.2 * x["num"]) / 0.8
    assert ((noise.var(0) - 1).abs() < 5 * (2 / count) ** 0.5).all()  # 5 standard errors
    hidden = int((x_t["cat"] == torch.tensor(SIZES)).sum())
    assert stats.binomtest(hidden, 2 * count, 0.8).pvalue > 1e-6


def test_three_kinds_of_fields_on_one_clock():
    pose = Product({"num": LINEAR, "angle": Torus(), "cat": Masking((4,))})
    x = {"num": torch.randn(9, 2), "angle": torch.rand(9, 3), "cat": torch.randint(4, (9, 6))}
    z = pose.prior(x, rng=BatchRng(0))
    noised = pose.corrupt(x, torch.full((9,), 0.5), rng=BatchRng(1), z={"angle": z["angle"]})
    tangent = pose.fields["angle"].log(noised.x_t["angle"], x["angle"])
    x_hat = {"num": x["num"], "angle": tangent, "cat": F.one_hot(x["cat"], 4).float()}
    back = pose.move(noised.x_t, x_hat, torch.full((9,), 0.5), torch.zeros(9), rng=BatchRng(2))
    torch.testing.assert_close(back, x, rtol=0, atol=1e-6)


def test_unknown_and_missing_fields_are_named():
    x = rows(4)
    half = torch.tensor(0.5)
    with pytest.raises(ShapeError, match=r"unknown field 'nums'.*did you mean 'num'"):
        TABLE.corrupt({**x, "nums": x["num"]}, half, rng=BatchRng(0))
    with pytest.raises(ShapeError, match="unknown field 'dog'"):
        TABLE.corrupt(x, half, rng=BatchRng(0), keep={"dog": x["num"]})
    with pytest.raises(ShapeError, match="no field 'cat'"):
        TABLE.corrupt({"num": x["num"]}, half, rng=BatchRng(0))
    with pytest.raises(ShapeError, match="no field 'cat'"):
        TABLE.move(x, {"num": x["num"]}, 0.5, 0.2, rng=BatchRng(0))
    with pytest.raises(ShapeError, match="dict of"):
        TABLE.prior(x["num"], rng=BatchRng(0))
