"""Laws of every corrector: a level's distribution stays, and a coarse solver's error shrinks."""

import pytest
import torch

from unfog.errors import ArgumentError
from unfog.judge.twosample import energy_test
from unfog.maths.discrete import Masking
from unfog.maths.grids import grids
from unfog.maths.paths import paths
from unfog.maths.product import Product
from unfog.maths.randomness import BatchRng
from unfog.maths.truth import Mixture
from unfog.sample.correctors import correctors
from unfog.sample.loop import sample
from unfog.sample.randomness import SampleRng
from unfog.sample.solvers import solvers

MIXTURE = Mixture(
    torch.tensor([[-1.5, 0.5], [1.0, 1.0], [0.5, -1.5]], dtype=torch.float64),
    torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64),
    torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64),
)
path_of = pytest.mark.parametrize("path", [r.make() for r in paths], ids=[r.name for r in paths])
corrector_of = pytest.mark.parametrize(
    "corrector", [r.make() for r in correctors], ids=[r.name for r in correctors]
)


def judged(got, fresh):
    return energy_test(got, fresh, permutations=999, generator=torch.Generator().manual_seed(0))


def energy(x, y):
    """Squared energy distance of two sets of points: 2 E|x - y| - E|x - x'| - E|y - y'|."""
    near = [torch.cdist(a, b).mean() for a, b in ((x, y), (x, x), (y, y))]
    return float(2 * near[0] - near[1] - near[2])


@path_of
@corrector_of
@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_the_distribution_of_a_level_stays(path, corrector, t):
    """Twenty corrections with the exact score; false alarm 1 in 1000 each."""
    at = torch.tensor(t, dtype=torch.float64)
    predict = MIXTURE.predictor(path)
    x_t = path.corrupt(MIXTURE.draw(500, rng=BatchRng(1)), at, rng=BatchRng(2)).x_t
    start = x_t
    for number in range(20):
        x_t = corrector(predict, path, x_t, at, rng=BatchRng(3, number))
    fresh = path.corrupt(MIXTURE.draw(500, rng=BatchRng(4)), at, rng=BatchRng(5)).x_t
    assert judged(x_t, fresh) > 0.001
    assert (corrector.calls == 0) == torch.equal(x_t, start)


@path_of
@corrector_of
def test_samples_through_the_loop_are_right(path, corrector):
    """Ancestral steps with a correction at each, as in predictor-corrector sampling."""
    x = path.prior(torch.empty(500, 2, dtype=torch.float64), rng=BatchRng(11))
    cut = grids.make("angle")(path, 60)
    steps = sample(
        MIXTURE.predictor(path),
        path,
        solvers.make("euler"),
        x,
        cut,
        eta=1.0,
        rng=BatchRng(12),
        corrector=corrector,
    )
    *_, last = steps
    assert judged(last.x, MIXTURE.draw(500, rng=BatchRng(13))) > 0.001


@path_of
def test_langevin_brings_a_coarse_solver_nearer(path):
    """Six ancestral steps alone, and with five Langevin steps at each level: energy distance."""
    fresh = MIXTURE.draw(2000, rng=BatchRng(13))
    like = torch.empty(2000, 2, dtype=torch.float64)
    cut = grids.make("angle")(path, 6)
    away = []
    for corrector in (correctors.make("none"), correctors.make("langevin", snr=0.3, steps=5)):
        x = path.prior(like, rng=BatchRng(11))
        *_, last = sample(
            MIXTURE.predictor(path),
            path,
            solvers.make("euler"),
            x,
            cut,
            eta=1.0,
            rng=BatchRng(12),
            corrector=corrector,
        )
        away.append(energy(last.x, fresh))
    assert away[1] < 0.4 * away[0], away  # measured 0.26 on every path


@corrector_of
def test_splitting_the_batch_changes_nothing(corrector):
    path = paths.make("vp")
    t = torch.tensor(0.4, dtype=torch.float64)
    x_t = torch.randn(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    predict = MIXTURE.predictor(path)
    whole = corrector(predict, path, x_t, t, rng=SampleRng(3, range(6)))
    parts = [corrector(predict, path, x_t[i : i + 1], t, rng=SampleRng(3, [i])) for i in range(6)]
    torch.testing.assert_close(whole, torch.cat(parts), rtol=0, atol=1e-12)


def test_padding_stays_zero_and_categories_stay_as_they_are():
    path = Product({"num": paths.make("linear"), "cat": Masking((3,))})
    x_t = {"num": torch.randn(4, 5, 2), "cat": torch.tensor([[0], [1], [2], [3]])}
    mask = {"num": torch.tensor([1.0, 1, 1, 0, 0]).expand(4, 5), "cat": None}
    x_t["num"] = x_t["num"] * mask["num"][..., None]

    def predict(x_t, t, s=None):
        return {"num": 0.5 * x_t["num"], "cat": torch.full((4, 1, 3), 1 / 3)}

    got = correctors.make("langevin")(
        predict, path, x_t, torch.tensor(0.5), rng=BatchRng(0), mask=mask
    )
    assert torch.equal(got["cat"], x_t["cat"])
    assert (got["num"][:, 3:] == 0).all()
    assert not torch.equal(got["num"], x_t["num"])


@pytest.mark.parametrize("options", [{"snr": 0.0}, {"snr": 1.0}, {"steps": 0}])
def test_langevin_refuses_what_does_not_walk(options):
    with pytest.raises(ArgumentError, match="take none"):
        correctors.make("langevin", **options)
