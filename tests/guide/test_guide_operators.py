"""Operators: linear where they say so, with their adjoint, and what each is known to do."""

import pytest
import torch

from unfog.errors import ArgumentError, ShapeError
from unfog.guide.operators import (
    Blur,
    Downsample,
    Field,
    Fourier,
    Magnitude,
    Mask,
    Matrix,
    Mean,
    Sum,
    operators,
)

F64 = torch.float64
G = torch.Generator().manual_seed(0)
SHAPE = (2, 6, 8)  # channels, height, width
KERNEL = torch.rand(3, 5, generator=G, dtype=F64)
MEMBERS = {
    "mask": Mask(torch.rand(SHAPE, generator=G) < 0.5),
    "mask of places": Mask(torch.rand(2, generator=G) < 0.5),
    "blur": Blur(0.8),
    "blur, given": Blur(kernel=KERNEL),
    "blur, one axis": Blur(1.0, axes=(2,)),
    "downsample": Downsample(2),
    "fourier": Fourier(),
    "fourier, some": Fourier(torch.rand(6, 8, generator=G) < 0.4),
    "magnitude": Magnitude(),
    "matrix": Matrix(torch.randn(5, 96, generator=G, dtype=F64)),
    "sum": Sum(),
    "sum, one axis": Sum((0,)),
    "mean": Mean(),
    "mean, two axes": Mean((1, 2)),
}


def normal(*shape):
    return torch.randn(*shape, generator=G, dtype=F64)


def test_every_operator_is_here():
    assert {type(m) for m in MEMBERS.values()} | {Field} == {row.make for row in operators}


@pytest.mark.parametrize("name", MEMBERS)
def test_linear_ones_are_linear_and_the_others_are_not(name):
    a = MEMBERS[name]
    x, other = normal(3, *SHAPE), normal(3, *SHAPE)
    mixed = 2 * a(x) - 3 * a(other)
    if a.linear:
        torch.testing.assert_close(a(2 * x - 3 * other), mixed)
    else:
        assert (a(2 * x - 3 * other) - mixed).abs().max() > 0.1


@pytest.mark.parametrize("name", MEMBERS)
def test_the_adjoint_is_the_transpose(name):
    """<J u, v> = <u, J' v> for the derivative J at x, which is A itself for a linear A."""
    a = MEMBERS[name]
    x, u = normal(3, *SHAPE), normal(3, *SHAPE)
    v = torch.randn(a(x).shape, generator=G, dtype=F64)
    pushed = torch.func.jvp(a, (x,), (u,))[1]
    per_sample = (pushed * v).flatten(1).sum(1) if v.ndim > 1 else pushed * v
    torch.testing.assert_close(per_sample, (u * a.adjoint(v, x)).flatten(1).sum(1))
    if a.linear:
        torch.testing.assert_close(pushed, a(u))


@pytest.mark.parametrize("name", MEMBERS)
def test_samples_do_not_see_each_other(name):
    a, x = MEMBERS[name], normal(4, *SHAPE)
    torch.testing.assert_close(a(x), torch.cat([a(x[i : i + 1]) for i in range(4)]))


def test_what_each_does():
    x = normal(2, *SHAPE)
    flat = torch.ones(1, 1, 6, 8, dtype=F64)
    torch.testing.assert_close(Blur(1.3)(flat), flat)
    torch.testing.assert_close(Downsample(2)(x)[:, :, 0, 0], x[:, :, :2, :2].mean((2, 3)))
    torch.testing.assert_close(Fourier()(x).square().sum(), x.square().sum())
    turned = x.flip(2, 3).roll((1, 1), (2, 3))
    torch.testing.assert_close(Magnitude(pad=0)(turned), Magnitude(pad=0)(x))
    torch.testing.assert_close(Sum()(x), Mean()(x) * 96)
    peak = torch.zeros(1, 1, 7, 9, dtype=F64)
    peak[0, 0, 3, 4] = 1
    seen = Blur(kernel=KERNEL)(peak)[0, 0, 2:5, 2:7]
    torch.testing.assert_close(seen, KERNEL.flip(0, 1))
    assert Field("a", Mean())({"a": x, "b": x}).shape == (2,)
    torch.testing.assert_close(Blur(1.0)(normal(2, 1, 9)).shape, torch.Size([2, 1, 9]))


def test_refusals():
    x = torch.zeros(1, 1, 7, 7)
    with pytest.raises(ShapeError, match="7 entries has no blocks of 2"):
        Downsample(2)(x)
    with pytest.raises(ArgumentError, match="positive"):
        Blur(0.0)
    with pytest.raises(ArgumentError, match="odd"):
        Blur(kernel=torch.ones(2, 3))
    with pytest.raises(ShapeError, match=r"must be \(M, 49\)"):
        Matrix(torch.zeros(2, 3))(x)
    with pytest.raises(ShapeError, match="axes of a sample"):
        Sum((3,))(x)
    with pytest.raises(ShapeError, match="did you mean 'num'"):
        Field("nun")({"num": x})
