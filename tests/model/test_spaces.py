"""Laws of every space, and what principal components and wavelets promise beyond them."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from unfog.errors import ArgumentError, DataError, RunError, ShapeError, UnknownName
from unfog.model import spaces
from unfog.model.spaces.pca import EXACT


def fields(count, *shape, seed=0):
    """Smooth random data around 3, in float32: neighbours are alike, as in pictures."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, *shape, generator=generator)
    for axis in range(1, 1 + len(shape)):
        x = x.cumsum(axis) * 0.5
    return x + 3


CASES = {
    "identity": ("identity", (3, 4), {}),
    "identity-scaled": ("identity", (5,), {"std": 0.5}),
    "pca": ("pca", (2, 3, 4), {"components": 6}),
    "pca-complete": ("pca", (2, 5), {"components": 10}),
    "pca-white": ("pca", (2, 5), {"components": 10, "whiten": "full", "std": 2.0}),
    "pca-half": ("pca", (12,), {"explained": 0.9, "whiten": 0.5}),
    "wavelet-1d": ("wavelet", (2, 9), {"levels": 2}),
    "wavelet-2d": ("wavelet", (3, 8, 6), {"levels": 1, "std": 0.7}),
    "wavelet-2d-odd": ("wavelet", (1, 7, 5), {"levels": 3}),
    "wavelet-3d": ("wavelet", (2, 4, 5, 3), {"levels": 2, "std": None}),
}
every = pytest.mark.parametrize("case", CASES)


def fitted(case, count=400, **more):
    name, shape, options = CASES[case]
    x = fields(count, *shape)
    return spaces.fit(name, x, **options, **more), x


@every
def test_back_undoes_into_where_lossless(case):
    space, x = fitted(case)
    new = 10 * torch.randn(20, *x.shape[1:])  # not like the fitted data at all
    apart = (space.back(space.into(new)) - new).abs().max() / new.abs().max()
    assert (apart < 1e-5) == space.lossless
    u = space.into(x)
    assert tuple(u.shape[1:]) == space.shape
    if not case.endswith("odd") and "1d" not in case and "3d" not in case:  # padding is not onto
        torch.testing.assert_close(space.into(space.back(u)), u, rtol=1e-4, atol=1e-4)


@every
def test_orthogonal_means_inner_products_up_to_one_number(case):
    space, x = fitted(case)
    a, b, origin = (space.back(space.into(v)) for v in (x[:5], x[5:10], torch.zeros_like(x[:5])))
    into = [space.into(v) for v in (a, b, origin)]
    inner = ((a - origin) * (b - origin)).flatten(1).sum(1) * space.scale**2
    latent = ((into[0] - into[2]) * (into[1] - into[2])).flatten(1).sum(1)
    same = torch.allclose(inner, latent, rtol=1e-4, atol=1e-3)
    assert same == space.orthogonal


@every
def test_linear_means_straight_lines_stay_straight(case):
    space, x = fitted(case)
    assert space.linear
    middle = space.into(0.3 * x[:9] + 0.7 * x[9:18])
    straight = 0.3 * space.into(x[:9]) + 0.7 * space.into(x[9:18])
    torch.testing.assert_close(middle, straight, rtol=1e-4, atol=1e-4)


@every
def test_the_stated_standard_deviation_is_the_latents(case):
    name, shape, options = CASES[case]
    x = fields(500, *shape)
    space = spaces.fit(name, x, held_out=x[:10], **options)
    u = space.into(x).double()
    assert u.var(0, correction=0).mean().sqrt().item() == pytest.approx(space.std, rel=1e-4)
    asked = options.get("std", None if name == "identity" else 1.0)
    if asked is None:
        assert space.scale == 1
    else:
        assert space.std == asked


@every
def test_survives_json_and_safetensors(case):
    space, x = fitted(case)
    config = json.loads(json.dumps(space.config()))
    again = spaces.build(config, load(save(space.tensors())))
    assert type(again) is type(space)
    assert again.config() == space.config()
    assert torch.equal(again.into(x), space.into(x))
    assert torch.equal(again.back(space.into(x)), space.back(space.into(x)))


@every
def test_only_the_given_rows_and_the_seed_matter(case):
    space, x = fitted(case, seed=3)
    again, _ = fitted(case, seed=3)
    assert torch.equal(space.into(x), again.into(x))
    name, _, options = CASES[case]
    poisoned = spaces.fit(name, x[:200], held_out=1e6 * x[200:], **options)
    clean = spaces.fit(name, x[:200], held_out=x[200:], **options)
    assert torch.equal(poisoned.into(x), clean.into(x))
    torch.manual_seed(99)  # the global generator is no part of it
    assert torch.equal(fitted(case, seed=3)[0].into(x), space.into(x))


@every
def test_gradients_flow_back(case):
    space, x = fitted(case)
    u = space.into(x[:3]).requires_grad_()
    space.back(u).square().sum().backward()
    assert u.grad.isfinite().all()
    assert u.grad.abs().sum() > 0


def test_pca_error_is_the_expected_tail_energy():
    """For a Gaussian of known spectrum the variance outside K components is what must be lost."""
    generator = torch.Generator().manual_seed(1)
    values = 0.7 ** torch.arange(20.0)
    turn = torch.linalg.qr(torch.randn(20, 20, generator=generator))[0]
    x = (torch.randn(21_000, 20, generator=generator) * values.sqrt()) @ turn.T + 5
    for count in (3, 8, 15):
        space = spaces.fit("pca", x[:20_000], components=count, held_out=x[20_000:])
        tail = (values[count:].sum() / values.sum()).item()
        # 1000 held-out rows: the error's relative standard error is below sqrt(2 / 1000) = 4.5 %
        assert space.error == pytest.approx(tail, rel=5 * 0.045)
        cosine = (space.basis @ turn[:, :count]).diagonal().abs()
        assert cosine.min() > 0.99
    kept = spaces.fit("pca", x, explained=1 - 0.7**4)
    assert kept.shape in ((4,), (5,))  # the fourth share equals the ask up to sampling


def test_pca_whitens_by_the_power_asked():
    x = fields(3000, 6)
    held_out = x[:5]
    stds = {
        power: spaces.fit("pca", x, components=6, whiten=power, held_out=held_out).into(x).std(0)
        for power in ("none", 0.5, "full")
    }
    assert stds["full"].max() / stds["full"].min() < 1.001
    ratio, half = stds["none"].log(), stds[0.5].log()
    torch.testing.assert_close(half - half.mean(), (ratio - ratio.mean()) / 2, rtol=0, atol=1e-3)
    assert (stds["none"].diff() < 0).all()


@pytest.mark.parametrize("ask", [{"components": 20}, {"explained": 0.95}])
def test_randomised_pca_finds_what_the_exact_one_finds(ask):
    """Above EXACT rows and columns a projection is used: it must lose no more than 1 % extra."""
    generator = torch.Generator().manual_seed(2)
    columns = EXACT + 64
    values = 1 / torch.arange(1.0, columns + 1).square()
    x = torch.randn(columns + 400, columns, generator=generator) * values.sqrt()
    rows, held_out = x[:-200], x[-200:]
    space = spaces.fit("pca", rows, held_out=held_out, **ask)
    away = (rows - rows.mean(0)).double()
    exact = torch.linalg.eigh(away.T @ away)[1].flip(1)[:, : space.shape[0]].float()
    rest = held_out - rows.mean(0)
    lost = (rest - rest @ exact @ exact.T).square().sum() / (
        held_out - held_out.mean(0)
    ).square().sum()
    assert space.error == pytest.approx(lost.item(), rel=0.01)
    assert torch.allclose(space.basis @ space.basis.T, torch.eye(space.shape[0]), atol=1e-5)
    if "explained" in ask:
        spectrum = torch.linalg.eigvalsh(away.T @ away).flip(0)
        needed = int((spectrum.cumsum(0) / spectrum.sum() < 0.95).sum()) + 1
        assert abs(space.shape[0] - needed) <= 1


def test_pca_of_more_columns_than_rows_rebuilds_the_rows():
    x = fields(60, 3, 16, 16)
    space = spaces.fit("pca", x, explained=1.0, held_out=x[:6])
    assert space.shape == (59,)  # 60 centred rows span 59 directions
    assert space.error < 1e-8
    assert not space.lossless


def test_wavelet_matches_the_definition_on_one_block():
    x = torch.tensor([[[[1.0, 2.0], [5.0, 10.0]]]])
    space = spaces.fit("wavelet", torch.cat([x, x + 1]), std=None)
    low_first = (
        torch.tensor([18.0, -6.0, -12.0, 4.0]) / 2
    )  # mean, across, down, diagonal; any order
    found = space.into(x).flatten()
    assert found[0].item() == pytest.approx(9.0)
    torch.testing.assert_close(found.sort().values, low_first.sort().values)


def test_wavelet_packs_smooth_pictures_into_the_low_band():
    x = fields(100, 3, 15, 17)
    space = spaces.fit("wavelet", x, levels=2, std=None)
    assert space.shape == (3 * 16, 4, 5)
    u = space.into(x)
    assert u[:, :3].square().sum() / u.square().sum() > 0.9
    assert u.square().sum().item() == pytest.approx(x.square().sum().item(), rel=1e-5)


def test_components_cap_what_is_explained():
    x = fields(300, 12)
    for explained in (0.5, 0.9, 1.0):
        free = spaces.fit("pca", x, explained=explained).shape[0]
        for most in (1, 3, 12, 50):
            both = spaces.fit("pca", x, explained=explained, components=most)
            assert both.shape[0] == min(free, most)


def test_clear_errors():
    x = fields(30, 4)
    with pytest.raises(UnknownName, match="did you mean 'pca'"):
        spaces.fit("pcaa", x)
    with pytest.raises(UnknownName, match="did you mean 'components'"):
        spaces.fit("pca", x, component=3)
    with pytest.raises(ArgumentError, match="only 4 directions"):
        spaces.fit("pca", x, components=5)
    with pytest.raises(ArgumentError, match="power in"):
        spaces.fit("pca", x, whiten="zca")
    with pytest.raises(DataError, match="all the same"):
        spaces.fit("pca", torch.ones(30, 4))
    with pytest.raises(DataError, match="NaN"):
        spaces.fit("identity", torch.full((30, 4), torch.nan))
    with pytest.raises(DataError, match="two rows"):
        spaces.fit("pca", x[:1])
    with pytest.raises(ArgumentError, match=r"levels must lie in \[1, 2\]"):
        spaces.fit("wavelet", torch.randn(5, 1, 4, 3), levels=3)
    with pytest.raises(ShapeError, match="spatial"):
        spaces.fit("wavelet", x)
    space = spaces.fit("pca", x, components=2)
    with pytest.raises(ShapeError, match=r"needs \(B, 4\)"):
        space.into(torch.zeros(3, 5))
    with pytest.raises(RunError, match="basis"):
        spaces.build(space.config(), {})


def test_fitting_leaves_the_data_alone():
    x = fields(50, 2, 6)
    before = x.clone()
    for name in ("identity", "pca", "wavelet"):
        spaces.fit(name, x)
    assert np.array_equal(x.numpy(), before.numpy())


@pytest.mark.parametrize("name", ["identity", "pca", "wavelet"])
def test_what_a_space_cannot_hold_is_foreseen(name):
    x = torch.randn(4400, 2, 8, 8) @ torch.diag(torch.linspace(0.2, 2, 8)) + 3
    options = {"components": 30} if name == "pca" else {}
    space = spaces.fit(name, x[:4000], **options)
    away = (space.back(space.into(x[4000:])) - x[4000:]).square().mean().sqrt().item()
    assert space.unheld == pytest.approx(away, rel=0.1, abs=1e-5)
