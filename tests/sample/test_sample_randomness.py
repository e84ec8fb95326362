"""A sample's noise is its own: it depends on seed, index, step and draw, and on nothing else."""

import numpy as np
import pytest
import torch

from unfog.errors import ArgumentError, ShapeError
from unfog.maths.paths import paths
from unfog.maths.randomness import BatchRng, later
from unfog.sample.loop import sample
from unfog.sample.randomness import SampleRng, _gaussian, philox
from unfog.sample.solvers import solvers

SHAPE = (3, 4, 4)


def drawn(batch, verb="normal", step=0, seed=0, count=64):
    """The noise of samples 0 to count, drawn `batch` at a time."""
    parts = []
    for at in range(0, count, batch):
        indices = range(at, min(at + batch, count))
        rng = SampleRng(seed, indices, step)
        parts.append(getattr(rng, verb)(torch.empty(len(indices), *SHAPE)))
    return torch.cat(parts)


@pytest.mark.parametrize("verb", ["normal", "uniform"])
@pytest.mark.parametrize("step", [0, 5])
def test_noise_is_bit_equal_in_any_batch(verb, step):
    whole = drawn(64, verb, step)
    for batch in (1, 7):
        assert torch.equal(drawn(batch, verb, step), whole)


def test_prior_and_every_step_are_bit_equal_in_any_batch():
    """An ancestral run whose prediction acts entry by entry never sees its neighbours."""
    path, grid = paths.make("linear"), torch.linspace(1, 0, 6)
    ends = {}
    for batch in (1, 7, 64):
        parts = []
        for at in range(0, 64, batch):
            indices = range(at, min(at + batch, 64))
            rng = SampleRng(3, indices)
            x_t = path.prior(torch.empty(len(indices), *SHAPE), rng=rng)
            for step in sample(
                lambda x, t, s=None: 0.5 * x,
                path,
                solvers.make("euler"),
                x_t,
                grid,
                eta=1.0,
                rng=rng,
            ):
                x_t = step.x
            parts.append(x_t)
        ends[batch] = torch.cat(parts)
    assert torch.equal(ends[1], ends[64])
    assert torch.equal(ends[7], ends[64])


def test_seeds_steps_draws_and_indices_are_independent_streams():
    """|mean of products| < 5 / sqrt(n): a false alarm once in 10^6 per pair."""
    rng = SampleRng(0, range(64))
    like = torch.empty(64, *SHAPE)
    first, second = rng.normal(like), rng.normal(like)
    streams = [
        first,
        second,
        SampleRng(1, range(64)).normal(like),
        SampleRng(0, range(64), 1).normal(like),
        SampleRng(0, range(1, 65)).normal(like),
        SampleRng(-1, range(64)).normal(like),
    ]
    n = like.numel()
    for i, a in enumerate(streams):
        assert abs(a.mean()) < 5 / n**0.5
        assert abs(a.square().mean() - 1) < 5 * (2 / n) ** 0.5
        for b in streams[i + 1 :]:
            assert abs((a * b).mean()) < 5 / n**0.5
    assert torch.equal(streams[4][:-1], first[1:])  # sample 1 is sample 1 wherever it stands
    assert torch.equal(rng.at(1).normal(like), streams[3])


def test_the_type_asked_for_comes_back():
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        assert SampleRng(0, [0]).normal(torch.empty(1, 2, dtype=dtype)).dtype == dtype
    values = drawn(64, "uniform")
    assert values.min() >= 0
    assert values.max() < 1


PI = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((2**32 - 1,) * 4, 2**64 - 1, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (PI, 0x299F31D0A4093822, (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
    ],
)
def test_philox_gives_the_published_known_answers(counter, key, expected):
    """Random123's known-answer vectors of philox4x32 with 10 rounds, alone and in a batch."""
    alone = philox(*(np.array([word], np.uint64) for word in counter), key)
    assert tuple(int(word[0]) for word in alone) == expected
    batch = [np.arange(5, dtype=np.uint64) for _ in counter]
    for words, word in zip(batch, counter, strict=True):
        words[3] = word
    assert tuple(int(word[3]) for word in philox(*batch, key)) == expected


def test_every_field_of_the_counter_tells_numbers_apart():
    """All 64 bits of seed and index, and the last step, draw and block that are allowed."""
    like = torch.empty(1, 4)
    ends = [(0, 0, 0), *((0, 1 << bit, 0) for bit in range(64)), (0, 0, 1), (0, 0, 2**24 - 1)]
    ends += [(1 << bit, 0, 0) for bit in range(64)]
    rows = [SampleRng(seed, [index], step).uniform(like) for seed, index, step in ends]
    rng = SampleRng(0, [0])
    rng._draws = 2**16 - 1
    rows.append(rng.uniform(like))
    assert len(torch.cat(rows).unique(dim=0)) == len(ends) + 1 == 132


@pytest.mark.parametrize(("verb", "law"), [("normal", "norm"), ("uniform", "uniform")])
@pytest.mark.parametrize("shape", [(40_000, 5), (50, 4096)])
def test_numbers_follow_their_law(verb, law, shape):
    """Kolmogorov-Smirnov over 200 000 numbers at p = 1e-6, and over each of the four places of a
    block.
    """
    stats = pytest.importorskip("scipy.stats")
    values = getattr(SampleRng(11, range(shape[0]), 3), verb)(torch.empty(shape)).double()
    places = values.T if shape[1] == 5 else values.reshape(-1, 4).T
    for part in (values.flatten(), *places):
        assert stats.kstest(part.numpy(), law).pvalue > 1e-6


@pytest.mark.parametrize("verb", ["normal", "uniform"])
def test_neighbours_are_uncorrelated(verb):
    """Places, indices, steps and draws next to each other, also their squares: |z| < 5.5 each."""
    like = torch.empty(256, 40)
    rng = SampleRng(0, range(256))
    steps = [rng.at(step) for step in range(20)]
    draws = torch.stack([torch.stack([getattr(r, verb)(like) for _ in range(5)]) for r in steps])
    draws = draws.double()
    for values in (draws, (draws - draws.mean()).square()):
        values = (values - values.mean()) / values.std()
        for axis in range(4):
            for lag in (1, 2, 4):
                size = values.shape[axis]
                product = values.narrow(axis, 0, size - lag) * values.narrow(axis, lag, size - lag)
                assert abs(product.mean()) * product.numel() ** 0.5 < 5.5, (axis, lag)


def test_no_two_numbers_are_the_same_word():
    """Blocks repeat neither over samples, steps nor draws: rows of four numbers are distinct."""
    like = torch.empty(100, 64)
    rng = SampleRng(5, range(100))
    rows = [r.uniform(like).reshape(-1, 4) for r in (rng.at(s) for s in range(8)) for _ in range(4)]
    rows = torch.cat(rows)
    assert len(rows.unique(dim=0)) == len(rows)


def test_normals_are_finite_with_tails():
    """The extreme words give finite numbers; 2 million draws reach beyond 4.5 and not 6.8."""
    ends = np.array([0, 1, 2**31 - 1, 2**31, 2**32 - 1], np.uint64)
    words = [pair.ravel() for pair in np.meshgrid(ends, ends)]
    out = np.empty((25, 4), np.float32)
    _gaussian((words[0], words[1], words[1], words[0]), out)
    assert np.isfinite(out).all()
    assert 6.7 < np.abs(out).max() < 6.8
    values = SampleRng(0, range(500)).normal(torch.empty(500, 4000))
    assert 4.5 < values.abs().max() < 6.8
    # 4th moment 3 with standard deviation sqrt(96 / n)
    assert abs(values.double().pow(4).mean() - 3) < 5 * (96 / values.numel()) ** 0.5


@pytest.mark.parametrize("verb", ["normal", "uniform"])
@pytest.mark.parametrize("size", [1, 3, 5, 14, 67, 50_003])
def test_a_number_knows_its_place_and_not_its_tensor(verb, size, monkeypatch):
    """The same in a longer sample, in any batch, and however the work is cut."""
    like = torch.empty(37 if size < 1000 else 3, size)
    rng = SampleRng(2, range(1000, 1000 + len(like)), 1)
    whole = getattr(rng, verb)(like)
    alone = [getattr(SampleRng(2, [i], 1), verb)(like[:1]) for i in rng.indices]
    assert torch.equal(torch.cat(alone), whole)
    longer = getattr(rng.at(1), verb)(torch.empty(len(like), size + 9))
    assert torch.equal(longer[:, :size], whole)
    monkeypatch.setattr("unfog.sample.randomness._CHUNK", 61)
    assert torch.equal(getattr(rng.at(1), verb)(like), whole)


def test_scalars_and_empty_samples_can_be_drawn():
    assert SampleRng(0, range(3)).normal(torch.empty(3)).shape == (3,)
    assert SampleRng(0, range(3)).normal(torch.empty(3, 0)).shape == (3, 0)
    assert SampleRng(0, []).uniform(torch.empty(0, 4)).shape == (0, 4)


def test_what_would_repeat_noise_is_refused():
    like = torch.empty(1, 4)
    for indices in ([-1], [2**64], range(-2, 3)):
        with pytest.raises(ArgumentError, match="index"):
            SampleRng(0, indices)
    for step in (-1, 2**24):
        with pytest.raises(ArgumentError, match="step"):
            SampleRng(0, [0]).at(step).normal(like)
    rng = SampleRng(0, [0])
    rng._draws = 2**16
    with pytest.raises(ArgumentError, match="draw"):
        rng.normal(like)
    with pytest.raises(ArgumentError, match="block"):
        SampleRng(0, [0]).normal(torch.empty(1).expand(1, 2**26 + 1))
    with pytest.raises(ShapeError, match="3 samples"):
        SampleRng(0, range(3)).normal(like)


@pytest.mark.parametrize("make", [lambda: SampleRng(3, [7, 2**40, 0, 5], 9), lambda: BatchRng(3)])
def test_a_draw_of_which_some_entries_are_looked_at_is_the_whole_draws(make):
    """`later` gives what `uniform` gives there, and counts as a draw, looked at or not."""
    like = torch.empty(4, 11)
    where = torch.rand(4, 11, generator=torch.Generator().manual_seed(0)) < 0.3
    one, other = make(), make()
    first, second = one.uniform(like), one.uniform(like)
    some, nobody, last = later(other, like), later(other, like), other.uniform(like)
    assert torch.equal(some(where), first[where])
    assert torch.equal(nobody(~where), second[~where])
    assert torch.equal(last, one.uniform(like))
    assert some(torch.zeros_like(where)).shape == (0,)
