"""Laws of fresh noise on the way, of steps that choose their length, and of reveal orders."""

import math
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from unfog.errors import ArgumentError, ResourceError, TimeError
from unfog.judge.twosample import energy_test
from unfog.maths.discrete import Masking
from unfog.maths.grids import grids
from unfog.maths.paths import paths
from unfog.maths.product import Product
from unfog.maths.randomness import BatchRng
from unfog.maths.truth import Gaussian, Mixture
from unfog.maths.truth_discrete import DiscreteTable
from unfog.sample.adaptive import adapt
from unfog.sample.loop import sample
from unfog.sample.randomness import SampleRng
from unfog.sample.reveal import Random, revealing, reveals
from unfog.sample.solvers import solvers
from unfog.sample.solvers.angles import angle_at, time_at

MIXTURE = Mixture(
    torch.tensor([[-1.5, 0.5], [1.0, 1.0], [0.5, -1.5]], dtype=torch.float64),
    torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64),
    torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64),
)
path_of = pytest.mark.parametrize("path", [r.make() for r in paths], ids=[r.name for r in paths])


class One:
    """Noise of 1 at one step for one row: a linear sampler's variance is the rows' sum of squares."""

    def __init__(self, step=0):
        self.step = step

    def at(self, step):
        return One(step)

    def normal(self, like):
        out = torch.zeros_like(like)
        out[self.step] = 1
        return out


@pytest.mark.parametrize(
    ("name", "counts", "least"),
    [
        ("euler", (96, 384), 0.85),
        ("multistep", (96, 384), 1.85),
        ("multistep_sde", (384, 1024), 1.5),
    ],
)
def test_fresh_noise_keeps_the_weak_order(name, counts, least):
    """The variance after steps with eta = 1 on Gaussians, without drawing: exact, so its order shows.

    The errors for three widths are added up: one alone can pass through 0. That of multistep_sde
    is far smaller at a hundred steps and falls by the second power up to a logarithm.
    """
    path, solver = paths.make("cosine"), solvers.make(name)
    errors = []
    for steps in counts:
        total = 0.0
        for width in (0.3, 0.8, 1.5):
            wanted = torch.tensor([[width**2]], dtype=torch.float64)
            predict = Gaussian(torch.zeros(1, dtype=torch.float64), wanted).predictor(path)
            x = torch.zeros(steps + 1, 1, dtype=torch.float64)
            x[0] = 1  # the prior's own noise
            cut = grids.make("angle")(path, steps)
            *_, last = sample(predict, path, solver, x, cut, eta=1.0, rng=One())
            total += abs(last.x.square().sum().item() / width**2 - 1)
        errors.append(total)
    assert math.log(errors[0] / errors[1], counts[1] / counts[0]) > least, errors


def test_the_weights_of_ancestral_steps_are_nearer_than_those_of_the_flow():
    """At 48 steps with eta = 1, the variance of a narrow Gaussian is far better."""
    path, width = paths.make("cosine"), 0.3
    wanted = torch.tensor([[width**2]], dtype=torch.float64)
    predict = Gaussian(torch.zeros(1, dtype=torch.float64), wanted).predictor(path)
    off = {}
    for name in ("multistep", "multistep_sde"):
        x = torch.zeros(49, 1, dtype=torch.float64)
        x[0] = 1
        cut = grids.make("angle")(path, 48)
        *_, last = sample(predict, path, solvers.make(name), x, cut, eta=1.0, rng=One())
        off[name] = abs(last.x.square().sum().item() / width**2 - 1)
    assert off["multistep_sde"] < off["multistep"] / 3, off


@path_of
@pytest.mark.parametrize("grid", ["churn", "restart"])
def test_rising_grids_keep_the_distribution(path, grid):
    """False alarm 1 in 1000 each; the same seeds without the rises give other samples."""
    z = path.prior(torch.empty(500, 2, dtype=torch.float64), rng=BatchRng(11))
    got = []
    for name in (grid, grids.make(grid).base):
        cut = grids.make(name)(path, 40)
        solver = solvers.make("multistep")
        *_, last = sample(MIXTURE.predictor(path), path, solver, z, cut, rng=BatchRng(12))
        got.append(last.x)
    fresh = MIXTURE.draw(500, rng=BatchRng(13))
    generator = torch.Generator().manual_seed(0)
    assert energy_test(got[0], fresh, permutations=999, generator=generator) > 0.001
    assert (got[0] - got[1]).abs().mean() > 0.01


@path_of
def test_adaptive_error_follows_the_tolerance(path):
    z = path.prior(torch.empty(24, 2, dtype=torch.float64), rng=BatchRng(1))
    predict = MIXTURE.predictor(path)
    fine = grids.make("angle")(path, 50)
    *_, exact = sample(predict, path, solvers.make("dormand_prince"), z, fine, rng=BatchRng(0))
    calls = []
    for tol in (1e-3, 1e-5):
        *_, last = adapt(predict, path, z, tol=tol, rng=BatchRng(0))
        assert (last.x - exact.x).norm(dim=1).median() < 5 * tol
        assert (last.t == 0).all()
        calls.append(last.calls.double().mean())
    assert calls[0] < calls[1]


def test_adaptive_counts_its_calls_and_samples_do_not_see_each_other():
    path, asked = paths.make("linear"), []
    z = path.prior(torch.empty(6, 2, dtype=torch.float64), rng=BatchRng(1))
    exact = MIXTURE.predictor(path)

    def predict(x_t, t, s=None):
        asked.append(len(x_t))
        return exact(x_t, t)

    *_, whole = adapt(predict, path, z, tol=1e-4, rng=SampleRng(0, range(6)))
    assert len(asked) == whole.calls.max()
    for i in range(6):
        *_, alone = adapt(exact, path, z[i : i + 1], tol=1e-4, rng=SampleRng(0, [i]))
        torch.testing.assert_close(alone.x[0], whole.x[i], rtol=0, atol=1e-9)
        assert alone.calls[0] == whole.calls[i]


def test_what_can_not_be_done_is_said():
    path = paths.make("linear")
    predict, z = MIXTURE.predictor(path), torch.randn(3, 2)
    with pytest.raises(ArgumentError, match="tol must lie"):
        next(adapt(predict, path, z, tol=0.0, rng=BatchRng(0)))
    with pytest.raises(ResourceError, match="not reached after 3 attempts"):
        list(adapt(predict, path, z, tol=1e-3, most=3, rng=BatchRng(0)))
    with pytest.raises(TimeError, match="one grid for the whole batch"):
        solvers.make("unipc").step(predict, path, z, torch.full((3,), 0.5), torch.tensor(0.2), None)
    with pytest.raises(ArgumentError, match="has none"):
        revealing(path, reveals.make("random"))


def test_solvers_take_a_time_per_sample():
    """Stages at a time per sample are those at each sample's own time."""
    path = Product({"a": paths.make("linear"), "b": paths.make("vp"), "c": Masking((3,))})
    t = torch.tensor([0.9, 0.6, 0.3], dtype=torch.float64)
    state = {n: torch.randn(3, 2, dtype=torch.float64) for n in "ab"}
    state["c"] = torch.tensor([[0], [3], [1]])

    def predict(x_t, t, s=None):
        third = torch.full((len(x_t["c"]), 1, 3), 1 / 3)
        exact = {n: MIXTURE.predictor(path.fields[n])(x_t[n], t) for n in "ab"}
        return {**exact, "c": third}

    for name in ("midpoint", "rk4", "dormand_prince"):
        solver = solvers.make(name)
        whole, _ = solver.step(predict, path, state, t, 0.5 * t, None)
        for i in range(3):
            one = {n: v[i : i + 1] for n, v in state.items()}
            alone, _ = solver.step(predict, path, one, t[i], 0.5 * t[i], None)
            for n in "ab":
                torch.testing.assert_close(alone[n][0], whole[n][i], rtol=1e-9, atol=1e-9)


def test_fields_on_different_paths_keep_the_order():
    """Two affine paths on one clock: fourth order for both, by the chain rule."""
    path = Product({"a": paths.make("linear"), "b": paths.make("vp")})
    z = {n: torch.randn(32, 2, dtype=torch.float64) for n in "ab"}

    def predict(x_t, t, s=None):
        return {n: MIXTURE.predictor(path.fields[n])(x_t[n], t) for n in "ab"}

    def go(steps):
        cut = torch.linspace(0.95, 0.2, steps + 1, dtype=torch.float64)
        *_, last = sample(predict, path, solvers.make("rk4"), z, cut, rng=BatchRng(0))
        return last.x

    exact, coarse, fine = go(160), go(20), go(40)
    for n in "ab":
        ratio = (coarse[n] - exact[n]).norm(dim=1) / (fine[n] - exact[n]).norm(dim=1)
        assert abs(ratio.median().log2() - 4) < 0.5, ratio.median()


CUBE = torch.rand(3, 2, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) ** 3
TABLE = DiscreteTable(CUBE / CUBE.sum())


def away(x):
    """Total variation between samples of the table's cells and the table."""
    counts = torch.bincount(x[:, 0] * 8 + x[:, 1] * 4 + x[:, 2], minlength=24) / len(x)
    return float((counts - TABLE.probabilities.flatten()).abs().sum() / 2)


def drawn(name, steps, eta=0.0, count=8000, **options):
    path = Masking(TABLE.sizes)
    lined = revealing(path, reveals.make(name, **options))
    x = path.prior(torch.zeros(count, 3), rng=BatchRng(0))
    cut = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    predict = TABLE.predictor(path)
    *_, last = sample(predict, lined, solvers.make("euler"), x, cut, eta=eta, rng=BatchRng(1))
    return last.x


FLOOR = 0.03  # of 8000 exact draws over 24 cells: mean 0.016, spread 0.002


@pytest.mark.parametrize("name", ["random", "confidence", "forward"])
def test_one_reveal_a_step_is_exact(name):
    """Counted orders reveal one of three entries in each of three steps; entries on their own do not."""
    assert away(drawn(name, 3)) < FLOOR
    assert away(drawn("ancestral", 3)) > 0.08


@pytest.mark.parametrize("name", reveals.names())
def test_many_steps_and_taking_tokens_back_keep_the_distribution(name):
    assert away(drawn(name, 60)) < FLOOR
    assert away(drawn(name, 150, eta=0.5)) < FLOOR


def test_surest_draws_first_prefer_the_likely():
    """The trade that is promised: more probable cells, fewer different ones."""
    flat = TABLE.probabilities.flatten()

    def said(x):
        cells = x[:, 0] * 8 + x[:, 1] * 4 + x[:, 2]
        share = torch.bincount(cells, minlength=24) / len(x)
        return float(flat[cells].mean()), float(-(share * share.clamp_min(1e-9).log()).sum())

    likely, spread = said(drawn("confidence", 3, drawn=True))
    plain_likely, plain_spread = said(drawn("confidence", 3))
    assert likely > 1.1 * plain_likely
    assert spread < plain_spread - 0.1


def test_one_decision_over_all_fields():
    """Of two fields with 3 entries in all, exactly one is revealed in each of three steps."""
    path = Product({"a": Masking((3, 2)), "x": paths.make("linear"), "b": Masking((4,))})
    lined = revealing(path, reveals.make("random"))
    state = path.prior(
        {"a": torch.zeros(50, 2).long(), "x": torch.zeros(50, 2), "b": torch.zeros(50, 1).long()},
        rng=BatchRng(0),
    )

    def predict(x_t, t, s=None):
        a = torch.tensor([[1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0.0]]).expand(50, 2, 3)
        return {"a": a, "x": x_t["x"], "b": torch.full((50, 1, 4), 0.25)}

    cut = torch.linspace(1, 0, 4, dtype=torch.float64)
    left = []
    for step in sample(predict, lined, solvers.make("euler"), state, cut, rng=BatchRng(1)):
        masked = (step.x["a"] == torch.tensor([3, 2])).sum(1) + (step.x["b"] == 4).sum(1)
        left.append(sorted(set(masked.tolist())))
    assert left == [[2], [1], [0]]


@path_of
def test_the_clock_is_inverted_to_rounding(path):
    for angle in (1e-3, 0.1, 0.7, 1.4):
        assert abs(angle_at(path, time_at(path, angle)) - angle) < 1e-13
    assert time_at(path, 0.0) == 0
    assert time_at(path, math.pi / 2) == 1


@pytest.mark.parametrize("start", [1.0, 0.9, 0.5, 0.05])
@pytest.mark.parametrize("name", [n for n in grids.names() if n != "fitted"])
def test_a_grid_runs_from_its_start_to_data(name, start):
    """Also grids that begin part of the way up, as edits do."""
    cut = grids.make(name, start=start)(paths.make("linear"), 6)
    assert cut[0] == start
    assert cut[-1] == 0
    assert float(cut.max()) <= max(start, 0.5 if name == "restart" else start) + 1e-6
    if name not in ("churn", "restart"):
        assert bool((cut.diff() < 0).all())


@pytest.mark.parametrize("points", [2, 3, 4])
def test_lms_integrates_polynomials_of_the_noise_level_exactly(points):
    """Noise that is a polynomial of degree points - 1 in (sigma / alpha)^power, on uneven levels."""
    path, solver = paths.make("ve"), solvers.make("lms", points=points, power=0.5)
    levels = torch.tensor([3.0, 2.2, 1.9, 1.1, 0.4], dtype=torch.float64)
    cut = (levels / path.sigma_max).pow(1 / path.rho)
    degree = torch.arange(points, dtype=torch.float64)

    def noise(level):
        return (level ** (degree / 2)).sum()

    def integral(level):
        return (level ** (degree / 2 + 1) / (degree / 2 + 1)).sum()

    x = torch.zeros(1, dtype=torch.float64)
    memory = None
    for i in range(4):
        here = x.clone()
        x_hat, memory = solver.step(
            lambda x_t, t, s=None, i=i: x_t - levels[i] * noise(levels[i]),
            path, here, cut[i], cut[i + 1], memory,
        )  # fmt: skip
        x = path.move(here, x_hat, cut[i], cut[i + 1])
        if i + 1 >= points:
            moved = integral(levels[i + 1]) - integral(levels[i])
            torch.testing.assert_close(x - here, moved[None], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("eta", [0.0, 0.5])
def test_drawing_only_what_is_revealed_gives_the_draws_of_drawing_all(eta):
    """A random order that says that it looks at the draws is handed them all, and changes nothing."""

    @dataclass(frozen=True)
    class Looking(Random):
        drawn: ClassVar[bool] = True

    path = Masking((3, 2, 4))
    x_hat = torch.softmax(torch.randn(64, 3, 4, generator=torch.Generator().manual_seed(0)), -1)
    x_hat[:, 0, 3:], x_hat[:, 1, 2:] = 0, 0
    x_hat /= x_hat.sum(-1, keepdim=True)
    ends = []
    for order in (Random(), Looking()):
        lined, x = revealing(path, order), path.prior(torch.zeros(64, 3), rng=BatchRng(0))
        for number, (t, s) in enumerate([(1.0, 0.7), (0.7, 0.4), (0.4, 0.1)]):
            x = lined.move(x, x_hat, t, s, eta=eta, rng=SampleRng(1, range(64), number))
        ends.append(x)
    assert torch.equal(*ends)
    assert 0 < (ends[0] == torch.tensor([3, 2, 4])).float().mean() < 0.5
