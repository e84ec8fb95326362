"""The parts that nets share: each against a closed form or torch's own."""

import math

import pytest
import torch
from torch.nn import functional as F

from unfog.errors import ArgumentError, ShapeError
from unfog.nets.attention import Attention, Block, attend, checked_heads
from unfog.nets.embed import TimeEmbedding, positions, sinusoids
from unfog.nets.patches import cropped, fold, marked, unfold


def test_sinusoids_keep_their_norm_and_depend_on_differences():
    frequencies = torch.logspace(0, 2, 16)
    t = torch.rand(50)
    made = sinusoids(t, frequencies)
    assert torch.allclose(made.square().mean(1), torch.ones(50), atol=1e-5)
    inner = made @ made.T / 32
    want = ((t[:, None] - t)[..., None] * frequencies).cos().mean(-1)
    assert torch.allclose(inner, want, atol=1e-4)


def test_time_embedding_has_unit_variance_and_tells_near_times_apart():
    torch.manual_seed(0)
    embed = TimeEmbedding(1024)
    embed.initialise()
    made = embed(torch.linspace(0, 1, 101), None, 101).detach()
    assert 0.7 < float(made.std()) < 1.4
    step = (made[1:] - made[:-1]).square().mean(1).sqrt()
    assert float(step.min()) > 0.05  # one hundredth of the way is visible everywhere
    assert float(step.max() / step.min()) < 3  # and about equally
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(embed(torch.linspace(0, 1, 101), None, 101), made)


def test_time_of_a_wrong_shape_is_refused():
    embed = TimeEmbedding(8)
    with pytest.raises(ShapeError, match=r"t has shape \(3,\)"):
        embed(torch.rand(3), None, 4)


@pytest.mark.parametrize("grid", [(7,), (5, 6), (2, 3, 4)])
def test_positions_are_all_different(grid):
    made = positions(grid, 50)
    assert made.shape == (math.prod(grid), 50)
    distance = torch.cdist(made, made) + 100 * torch.eye(len(made))
    assert float(distance.min()) > 0.5
    part = positions([size + 3 for size in grid], 50).view(*(size + 3 for size in grid), 50)
    inside = part[tuple(slice(size) for size in grid)].reshape(-1, 50)
    assert torch.allclose(inside, made)  # a larger grid continues a smaller one


def test_attend_is_torchs_attention():
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 6, 8), torch.randn(2, 3, 6, 8)
    mask = torch.rand(2, 6) < 0.6
    mask[:, 0] = True
    want = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
    assert torch.allclose(attend(q * 8**-0.5, k, v, mask), want, atol=1e-6)


def test_masked_keys_have_no_influence_at_all():
    torch.manual_seed(0)
    q, k, v = torch.randn(1, 2, 3, 4), torch.randn(1, 2, 5, 4), torch.randn(1, 2, 5, 4)
    mask = torch.tensor([[True, False, True, True, False]])
    before = attend(q, k, v, mask)
    k[:, :, ~mask[0]], v[:, :, ~mask[0]] = 1e4, -1e4
    assert torch.equal(attend(q, k, v, mask), before)
    assert attend(q, k, v, torch.zeros(1, 5, dtype=torch.bool)).isfinite().all()


def test_attention_ignores_the_scale_of_queries_and_keys():
    torch.manual_seed(0)
    layer = Attention(16, 2)
    layer.initialise()
    x = torch.randn(2, 7, 16)
    before = layer(x)
    with torch.no_grad():
        layer.all_in.weight[:32] *= 50
    assert torch.allclose(layer(x), before, atol=1e-4)


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(ArgumentError, match="heads=5 does not divide width=16"):
        checked_heads(16, 5)


def test_block_is_the_identity_at_the_start():
    torch.manual_seed(0)
    block = Block(16, 2, 8, 8, 2.0)
    block.initialise()
    x = torch.randn(2, 5, 16)
    assert torch.equal(block(x, torch.randn(2, 8), torch.randn(2, 3, 8)), x)


@pytest.mark.parametrize("spatial", [(6,), (4, 6), (2, 4, 6)])
def test_fold_and_unfold_are_inverse(spatial):
    x = torch.randn(2, 3, *spatial)
    assert torch.equal(unfold(fold(x, 2), 2), x)
    if len(spatial) == 2:
        assert torch.equal(fold(x, 2), F.pixel_unshuffle(x, 2))
        assert torch.equal(unfold(fold(x, 2), 2), F.pixel_shuffle(F.pixel_unshuffle(x, 2), 2))


def test_marked_pads_to_a_multiple_and_says_where():
    x = torch.randn(2, 3, 5, 7)
    made = marked(x, 4)
    assert made.shape == (2, 4, 8, 8)
    assert torch.equal(cropped(made, (5, 7))[:, :3], x)
    assert float(made[:, 3].sum()) == 2 * 5 * 7
    assert float(made[:, :, 5:].abs().sum() + made[..., 7:].abs().sum()) == 0
