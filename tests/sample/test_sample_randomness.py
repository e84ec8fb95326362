"""A sample's noise is its own: it depends on seed, index, step and draw, and on nothing else."""

import pytest
import torch

from unfog.maths.paths import paths
from unfog.sample.loop import sample
from unfog.sample.randomness import SampleRng
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
