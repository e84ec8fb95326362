"""Tuned solvers and fitted times on exact truths."""

from itertools import pairwise

import pytest
import torch

from unfog.errors import ArgumentError, TimeError
from unfog.maths.grids import FittedGrid, grids
from unfog.maths.paths import paths
from unfog.maths.product import Product
from unfog.maths.randomness import BatchRng
from unfog.maths.times import FittedTimes
from unfog.maths.truth import Mixture
from unfog.sample.loop import sample
from unfog.sample.schedule import evened, followed, step_errors
from unfog.sample.solvers import solvers
from unfog.sample.solvers.tuned import Row, Tuned
from unfog.sample.tuning import Reference, distances, missed, numbers, refine, stepwise, tune

MIXTURE = Mixture(
    torch.tensor([[-1.5, 0.5], [1.0, 1.0], [0.5, -1.5]], dtype=torch.float64),
    torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64),
    torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64),
)


def reference(path, seed, count=48, predict=None, like=None):
    predict = predict or MIXTURE.predictor(path)
    like = torch.empty(count, 2, dtype=torch.float64) if like is None else like
    z = path.prior(like, rng=BatchRng(seed))
    cut = grids.make("angle")(getattr(path, "clock", path), 64)
    steps = sample(predict, path, solvers.make("threestep"), z, cut, rng=BatchRng(0))
    return Reference(predict, path, cut, (z, *(step.x for step in steps)))


def stock(ref, name, grid, steps):
    cut = grids.make(grid)(ref.path, steps)
    *_, last = sample(
        ref.predict, ref.path, solvers.make(name), ref.states[0], cut, rng=BatchRng(0)
    )
    return float(distances(last.x, ref.end).mean())


@pytest.mark.parametrize("name", ["linear", "cosine", "vp", "ve"])
def test_tuned_is_nearer_than_every_stock_solver_on_other_noise(name):
    path = paths.make(name)
    fitted, held, fresh = (reference(path, seed) for seed in (1, 2, 3))
    starts = [grids.make(g)(path, 5)[:-1].tolist() for g in ("linear", "angle")]
    solver, away = tune(fitted, held, starts)
    best = min(
        stock(fresh, s, g, 5)
        for s in ("euler", "multistep", "unipc", "adams_bashforth")
        for g in ("linear", "angle", "karras")
    )
    assert away == missed(solver, held)
    assert missed(solver, fresh) < 0.75 * best


def test_weights_of_a_gaussian_are_found_exactly():
    """One call and one dimension: the flow's end is linear in the noise, and so is the solver."""
    path = paths.make("linear")
    truth = Mixture(
        torch.tensor([[0.7]], dtype=torch.float64),
        torch.tensor([0.4], dtype=torch.float64),
        torch.ones(1, dtype=torch.float64),
    )
    like = torch.empty(32, 1, dtype=torch.float64)
    ref = reference(path, 1, predict=truth.predictor(path), like=like)
    solver = stepwise(ref, [1.0], ridge=1e-12)
    torch.testing.assert_close(ref.end, 0.7 + 0.4 * ref.states[0], atol=1e-3, rtol=0)
    assert missed(solver, ref) < 1e-3


def test_refining_never_worsens_and_stops_in_time():
    path = paths.make("linear")
    ref = reference(path, 1)
    first = stepwise(ref, grids.make("linear")(path, 4)[:-1].tolist())
    assert refine(first, ref, until=0.0) == first
    better = refine(first, ref, rounds=2)
    assert missed(better, ref) < missed(first, ref)
    assert all(a > b for a, b in pairwise([*(r.t for r in better.rows), 0.0]))
    assert better.rows[0].t == 1.0
    assert {n.since for n in numbers(path, better) if n.name == "t"} == {0, 1, 2}


def test_a_product_of_affine_paths_is_tuned_as_one():
    path = Product({"a": paths.make("linear"), "b": paths.make("cosine")})

    def predict(x_t, t, s=None):
        return {n: MIXTURE.predictor(p)(x_t[n], t) for n, p in path.fields.items()}

    like = {n: torch.empty(48, 2, dtype=torch.float64) for n in path.fields}
    fitted, held = (reference(path, seed, predict=predict, like=like) for seed in (1, 2))
    start = grids.make("linear")(path, 5)[:-1].tolist()
    _, away = tune(fitted, held, [start])
    plain = Tuned(tuple(Row(t, t, (1.0,)) for t in start))
    assert away < 0.4 * missed(plain, held)


def test_a_tuned_solver_keeps_to_its_own_times():
    path = paths.make("linear")
    solver = Tuned((Row(1.0, 1.0, (1.0,)), Row(0.5, 0.5, (1.5, -0.5))))
    z = path.prior(torch.empty(4, 2, dtype=torch.float64), rng=BatchRng(0))
    with pytest.raises(TimeError, match="its own times"):
        list(
            sample(
                MIXTURE.predictor(path), path, solver, z, torch.tensor([1.0, 0.4, 0.0]),
                rng=BatchRng(0),
            )
        )  # fmt: skip
    with pytest.raises(TimeError, match="0 predictions before"):
        solver.step(MIXTURE.predictor(path), path, z, solver.times[1], solver.times[2], None)
    with pytest.raises(ArgumentError, match="1 to 1 predictions"):
        Tuned((Row(1.0, 1.0, (1.0, 2.0)),))


def test_fitted_knots_are_met_exactly_and_checked():
    path = paths.make("linear")
    knots = (1.0, 0.83, 0.5, 0.2, 0.0)
    assert grids.make("fitted", knots=list(knots))(path, 4).tolist() == list(knots)
    assert FittedGrid(knots=knots)(path, 8)[::2].tolist() == list(knots)
    drawn = FittedTimes(knots=knots).draw(path, 4000, rng=BatchRng(0))
    inside = [float(((drawn < a) & (drawn >= b)).double().mean()) for a, b in pairwise(knots)]
    torch.testing.assert_close(torch.tensor(inside), torch.full((4,), 0.25), atol=2e-3, rtol=0)
    for wrong in ((0.5, 1.0, 0.0), (1.0, 0.5), (1.2, 0.0), (0.0,)):
        with pytest.raises(ArgumentError, match="that fall"):
            FittedGrid(knots=wrong)


@pytest.mark.parametrize("name", ["linear", "ve"])
@pytest.mark.parametrize("solver", ["euler", "multistep", "unipc"])
def test_fitted_times_even_the_steps_errors_on_other_trajectories(name, solver):
    path = paths.make(name)
    predict, stepper = MIXTURE.predictor(path), solvers.make(solver)
    cut = grids.make("angle")(path, 96)

    def course(seed):
        z = path.prior(torch.empty(400, 2, dtype=torch.float64), rng=BatchRng(seed))
        return followed(predict, path, solvers.make("threestep"), z, cut, rng=BatchRng(0))

    def worst(grid):
        added = step_errors(course(2), stepper, grid)[""]
        return float(added.max() / added.mean())

    fitted, added = evened(course(1), stepper, 12)
    assert float(added.max() / added.mean()) < 1.35
    assert worst(fitted) <= 1.5 < worst(grids.make("angle")(path, 12))


def test_step_errors_are_those_of_real_steps():
    """From the trajectory, with the net asked, an Euler step lands where it is said to."""
    path = paths.make("linear")
    predict = MIXTURE.predictor(path)
    cut = grids.make("angle")(path, 200)
    z = path.prior(torch.empty(64, 2, dtype=torch.float64), rng=BatchRng(1))
    course = followed(predict, path, solvers.make("threestep"), z, cut, rng=BatchRng(0))
    t, s = cut[80], cut[110]
    landed = path.move(course.states[80], predict(course.states[80], t), t, s)
    away = float((landed - course.states[110]).square().mean().sqrt())
    away /= float(torch.hypot(path.alpha(s), path.sigma(s)))
    said = step_errors(course, solvers.make("euler"), torch.stack([cut[0], t, s, cut[-1]]))[""]
    assert abs(float(said[1]) / away - 1) < 0.02
