"""Times found for the distance at the end: better than even ones on an exact mixture."""

import time

import pytest
import torch

from unfog.maths.affine import Affine
from unfog.maths.grids import grids
from unfog.maths.paths import paths
from unfog.maths.randomness import BatchRng
from unfog.maths.truth import Mixture
from unfog.sample.landing import apart, landing
from unfog.sample.loop import sample
from unfog.sample.solvers import solvers
from unfog.sample.tuning import Reference

ROWS, STEPS = 96, 8


@pytest.fixture(scope="module", params=["linear", "cosine"])
def references(request):
    """Two sets of exact trajectories of one mixture."""
    path = paths.make(request.param)
    assert isinstance(path, Affine)
    rng = torch.Generator().manual_seed(0)
    means = torch.randn(5, 3, dtype=torch.float64, generator=rng) * 1.5
    truth = Mixture(means, torch.full((5,), 0.2).double(), torch.full((5,), 0.2).double())
    predict = truth.predictor(path)
    cut = grids.make("angle")(path, 96)
    found = []
    for seed in (1, 2):
        states = [path.prior(torch.zeros(ROWS, 3, dtype=torch.float64), rng=BatchRng(seed))]
        steps = sample(predict, path, solvers.make("threestep"), states[0], cut, rng=BatchRng(seed))
        states += [step.x for step in steps]
        found.append(Reference(predict, path, cut, tuple(states)))
    return found


def test_fitted_times_land_nearer_on_other_trajectories(references):
    fitted, other = references
    solver = solvers.make("unipc")
    starts = [grids.make(name)(fitted.path, STEPS) for name in ("linear", "angle")]
    found = landing(fitted, solver, starts, rng=BatchRng(3))
    assert found.times.shape == (STEPS + 1,)
    assert bool((found.times.diff() < 0).all())
    assert found.times[0] == starts[found.start][0]
    assert found.times[-1] == 0
    assert found.error == apart(fitted, solver, found.times, rng=BatchRng(3))
    unfitted = min(apart(other, solver, cut, rng=BatchRng(3)) for cut in starts)
    assert apart(other, solver, found.times, rng=BatchRng(3)) < 0.8 * unfitted


def test_the_distance_is_the_definitions(references):
    reference, _ = references
    path, solver = reference.path, solvers.make("euler")
    cut = grids.make("linear")(path, 2)
    x, middle = reference.states[0], cut[1]
    for t, s in ((cut[0], middle), (middle, cut[2])):
        x = path.move(x, reference.predict(x, t), t, s)
    wanted = reference.end
    spread = (wanted - wanted.mean(0)).square().sum(0).div(ROWS - 1).mean().sqrt()
    rms = (x - wanted).square().mean(1).sqrt().mean()
    assert apart(reference, solver, cut, rng=BatchRng(3)) == pytest.approx(float(rms / spread))


def test_without_time_the_best_start_is_kept(references):
    reference, _ = references
    solver = solvers.make("euler")
    starts = [grids.make(name)(reference.path, 4) for name in ("karras", "linear")]
    errors = [apart(reference, solver, cut, rng=BatchRng(3)) for cut in starts]
    found = landing(reference, solver, starts, rng=BatchRng(3), until=time.monotonic())
    assert found.tried == 0
    assert found.error == min(errors)
    assert torch.equal(found.times, starts[errors.index(min(errors))])
