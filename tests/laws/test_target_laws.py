"""Laws of every target on every affine path, and of times, grids and weights."""

import pytest
import torch

from unfog.errors import ArgumentError, TargetError
from unfog.maths import views
from unfog.maths.grids import Rising, descents, grids
from unfog.maths.paths import paths
from unfog.maths.randomness import BatchRng
from unfog.maths.targets import first_time, targets
from unfog.maths.times import times
from unfog.maths.weights import weights

path_of = pytest.mark.parametrize("path", [r.make() for r in paths], ids=[r.name for r in paths])
target_of = pytest.mark.parametrize(
    "target", [r.make() for r in targets], ids=[r.name for r in targets]
)


@path_of
@target_of
@pytest.mark.parametrize("rank", [1, 2, 3, 4, 5])
def test_encode_decode_round_trips(path, target, rank):
    shape = (3, 2, 3, 2, 2)[:rank]
    x, z = torch.randn(2, *shape, dtype=torch.float64)
    for t in (
        torch.tensor(0.35, dtype=torch.float64),
        torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64),
    ):
        noised = path.corrupt(x, t, rng=BatchRng(0), z=z)
        y = target.encode(path, x, z, t)
        torch.testing.assert_close(target.decode(path, y, noised.x_t, t), x, rtol=1e-6, atol=1e-6)


@path_of
@target_of
def test_decode_at_the_first_time(path, target):
    """Where sampling starts, the answer must determine the data."""
    t = torch.tensor(first_time(target, path), dtype=torch.float64)
    x, z = torch.randn(2, 4, 3, dtype=torch.float64)
    noised = path.corrupt(x, t, rng=BatchRng(0), z=z)
    x_hat = target.decode(path, target.encode(path, x, z, t), noised.x_t, t)
    torch.testing.assert_close(x_hat, x, rtol=1e-5, atol=1e-5)


def test_noise_at_pure_noise_is_refused():
    with pytest.raises(TargetError, match="does not determine the data at t = 1"):
        targets.make("noise").decode(paths.make("linear"), *torch.zeros(2, 2, 1), torch.tensor(1.0))


@path_of
def test_velocity_target_is_the_velocity_view(path):
    x, z = torch.randn(2, 4, 3, dtype=torch.float64)
    t = torch.tensor(0.4, dtype=torch.float64)
    x_t = path.corrupt(x, t, rng=BatchRng(0), z=z).x_t
    torch.testing.assert_close(
        targets.make("velocity").encode(path, x, z, t), views.velocity(path, x_t, x, t)
    )


@path_of
@pytest.mark.parametrize("sigma_data", [0.5, 1.0, 3.0])
def test_edm_target_has_unit_variance_and_the_papers_preconditioning(path, sigma_data):
    target = targets.make("edm", sigma_data=sigma_data)
    for t in (0.05, 0.5, 0.95):
        t = torch.tensor(t, dtype=torch.float64)
        a, b = target.row(path, t)
        torch.testing.assert_close((a * sigma_data) ** 2 + b**2, torch.ones_like(a))
        # Karras et al. 2022, table 1, at the path's sigma / alpha
        level = path.sigma(t) / path.alpha(t)
        skip = sigma_data**2 / (level**2 + sigma_data**2)
        out = level * sigma_data / (level**2 + sigma_data**2).sqrt()
        y, x_t = torch.randn(2, 3, dtype=torch.float64)
        torch.testing.assert_close(
            target.decode(path, y, x_t, t), skip * x_t / path.alpha(t) + out * y
        )


@path_of
@pytest.mark.parametrize("law", [r.make() for r in times], ids=[r.name for r in times])
def test_times_are_stratified_draws_of_their_law(path, law):
    t = law.draw(path, 4096, rng=BatchRng(0))
    u = (torch.arange(4096) + 0.5) / 4096
    expected = law.quantile(path, u).clamp(law.low, law.high).float()
    # stratified: every order statistic lies within its own cell of the law
    cells = law.quantile(path, torch.arange(4097) / 4096).clamp(law.low, law.high).float()
    ranked = t.sort().values
    assert (ranked >= cells[:-1] - 1e-6).all()
    assert (ranked <= cells[1:] + 1e-6).all()
    assert (ranked - expected).abs().mean() < 0.01
    assert not torch.equal(t, ranked)


@path_of
@pytest.mark.parametrize("grid", [r.make() for r in grids], ids=[r.name for r in grids])
@pytest.mark.parametrize("steps", [1, 2, 5, 64])
def test_grids_fall_from_start_to_zero(path, grid, steps):
    cut = grid(path, steps)
    assert cut[-1] == 0
    assert cut[0] == grid.start
    if isinstance(grid, Rising):
        assert (cut.diff() != 0).all()
        assert descents(cut) >= steps
        return
    assert cut.shape == (steps + 1,)
    assert (cut.diff() < 0).all()


def test_churn_raises_by_the_papers_share_and_restart_repeats_its_window():
    path = paths.make("ve")
    level = path.sigma(grids.make("churn", amount=4.0, low=0.1, high=10.0)(path, 10))
    up = level.diff() > 0
    torch.testing.assert_close(
        level[1:][up] / level[:-1][up], torch.full((int(up.sum()),), 1.4).double()
    )
    assert (level[:-1][up] >= 0.1).all()
    assert (level[:-1][up] <= 10).all()
    cut = grids.make("restart", low=0.2, high=1.5, repeats=3, within=4)(path, 20)
    rises = (cut.diff() > 0).nonzero()[:, 0]
    assert len(rises) == 3
    assert descents(cut) == 20 + 3 * 4
    torch.testing.assert_close(path.sigma(cut[rises + 1]), torch.full((3,), 1.5).double())
    assert (path.sigma(cut[rises]) <= 0.2).all()


def test_quantile_grid_has_even_mass_of_its_law():
    cut = grids.make("quantile", location=0.4, scale=0.8)(paths.make("linear"), 8)
    mass = torch.special.ndtr((cut[1:-1].logit() - 0.4) / 0.8)
    torch.testing.assert_close(mass, 1 - torch.arange(1, 8).double() / 8)


def test_karras_grid_is_the_papers():
    """EDM eq. 5 with its defaults, 5 steps, on sigma itself."""
    path = paths.make("ve")
    got = path.sigma(grids.make("karras")(path, 5))
    i = torch.arange(5, dtype=torch.float64)
    want = (80 ** (1 / 7) + i / 4 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    torch.testing.assert_close(got[:-1], want, rtol=1e-6, atol=1e-9)


def test_grid_refuses_no_steps():
    with pytest.raises(ArgumentError, match="1 or more; got 0"):
        grids.make("linear")(paths.make("linear"), 0)


@path_of
@pytest.mark.parametrize("weight", [r.make() for r in weights], ids=[r.name for r in weights])
def test_weights_are_finite_and_not_negative(path, weight):
    w = weight(path, torch.linspace(0.02, 0.98, 50, dtype=torch.float64))
    assert w.isfinite().all()
    assert (w >= 0).all()
    assert w.shape == (50,)


def test_min_snr_is_the_papers():
    path = paths.make("vp")
    t = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    snr = (path.alpha(t) / path.sigma(t)) ** 2
    torch.testing.assert_close(weights.make("min_snr")(path, t), snr.clamp(max=5) / snr)
