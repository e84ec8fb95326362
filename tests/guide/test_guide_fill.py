"""Known entries of tables: seen clean, never forgotten; a category that is ruled out."""

import torch

from unfog.guide import clean, fill, never
from unfog.maths.discrete import Masking
from unfog.maths.grids import LinearGrid
from unfog.maths.paths import paths
from unfog.maths.product import Product
from unfog.sample.loop import sample
from unfog.sample.randomness import SampleRng
from unfog.sample.solvers import solvers

SEEN = []


def predictor(x_t, t, s=None):
    SEEN.append({name: value.clone() for name, value in x_t.items()})
    flat = torch.tensor([0.2, 0.3, 0.5]).expand(*x_t["cat"].shape, 3)
    return {"num": torch.zeros_like(x_t["num"]), "cat": flat}


def test_known_fields_are_shown_clean_and_come_out_bit_equal():
    path = Product({"num": paths.make("linear"), "cat": Masking((3, 3))})
    count = 4000
    known = {"num": torch.randn(count, 2), "cat": torch.randint(0, 3, (count, 2))}
    keep = {"num": torch.rand(count, 2) < 0.5, "cat": torch.rand(count, 2) < 0.5}
    last = {"cat": torch.tensor([2, -1])}
    for solver in ("euler", "heun", "multistep"):
        SEEN.clear()
        predict = fill(never(clean(predictor, known, keep), last), known, keep)
        rng = SampleRng(0, range(count))
        x_t = path.prior(known, rng=rng)
        grid = LinearGrid()(path, 6)
        for step in sample(predict, path, solvers.make(solver), x_t, grid, rng=rng):
            x_t = step.x
        for name in known:
            assert torch.equal(x_t[name][keep[name]], known[name][keep[name]])
            assert all(torch.equal(x[name][keep[name]], known[name][keep[name]]) for x in SEEN)
        free = x_t["cat"][~keep["cat"][:, 0], 0]  # 2 is ruled out: 0.2 and 0.3 become 0.4 and 0.6
        assert (free != 2).all()
        assert abs((free == 1).float().mean() - 0.6) < 0.05
        other = x_t["cat"][~keep["cat"][:, 1], 1]
        assert abs((other == 2).float().mean() - 0.5) < 0.05
        assert not torch.equal(x_t["num"], known["num"])


def test_what_is_left_out_of_keep_stays_noisy():
    known = {"num": torch.ones(2, 1), "cat": torch.ones(2, 1).long()}
    SEEN.clear()
    x_t = {"num": torch.zeros(2, 1), "cat": torch.full((2, 1), 3)}
    clean(predictor, known, {"cat": torch.ones(2, 1).bool()})(x_t, torch.tensor(0.5))
    assert torch.equal(SEEN[0]["num"], x_t["num"])
    assert torch.equal(SEEN[0]["cat"], known["cat"])


def test_the_rest_is_even_where_it_has_no_mass():
    sure = torch.tensor([0.0, 0.0, 1.0]).expand(2, 1, 3)
    got = never(lambda x_t, t, s: {"cat": sure}, {"cat": torch.tensor([2])})({}, torch.tensor(0.5))
    assert torch.equal(got["cat"], torch.tensor([0.5, 0.5, 0.0]).expand(2, 1, 3))
