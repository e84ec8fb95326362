"""U-Net, transformer, perceptron and recurrent net: what each promises beyond the laws."""

import pytest
import torch

from unfog.errors import ArgumentError, ShapeError, UnknownName
from unfog.nets import nets


def wild(net, amount=0.3):
    torch.manual_seed(0)
    with torch.no_grad():
        for value in net.parameters():
            value.add_(amount * torch.randn_like(value) / max(1, value[0].numel()) ** 0.5)
    return net


@pytest.mark.parametrize("name", ["unet", "dit"])
@pytest.mark.parametrize(
    "shape",
    [[1, 1], [3, 7], [2, 28], [1, 1, 1], [4, 7, 13], [3, 28, 9], [1, 1, 2, 3], [5, 3, 5, 7]],
)
def test_any_channels_and_any_size(name, shape):
    options = (
        {"width": 16, "mult": [1, 1, 2], "blocks": 1}
        if name == "unet"
        else {"width": 16, "depth": 1, "patch": 3}
    )
    net = wild(nets.make(name, shape=shape, **options))
    x_t, t = torch.randn(2, *shape), torch.rand(2)
    made = net(x_t, t)
    assert made.shape == x_t.shape
    assert float(made.detach().flatten(1).norm(dim=1).min()) > 0
    wide = nets.make(name, shape=shape, out_channels=2 * shape[0], **options)
    assert wide(x_t, t).shape == (2, 2 * shape[0], *shape[1:])
    other = torch.randn(2, shape[0], *(size + 2 for size in shape[1:]))
    assert net(other, t).shape == other.shape


@pytest.mark.parametrize("name", ["unet", "dit"])
def test_every_output_pixel_depends_on_its_input_pixel(name):
    """The Jacobian of a net with scrambled patches or axes would miss this diagonal."""
    options = (
        {"width": 16, "mult": [1, 2], "blocks": 1, "patch": 2}
        if name == "unet"
        else {"width": 16, "depth": 1, "patch": 2}
    )
    net = wild(nets.make(name, shape=[1, 5, 6], **options))
    if name == "dit":  # without mixing, only the own patch may count
        with torch.no_grad():
            for block in net.blocks:
                block.modulation.linear.weight.zero_()
                block.modulation.linear.bias.zero_()
    x = torch.randn(1, 1, 5, 6)
    jacobian = torch.autograd.functional.jacobian(lambda x: net(x, torch.tensor(0.5)), x).view(
        30, 30
    )
    assert float(jacobian.diagonal().abs().min()) > 0
    if name == "dit":
        place = torch.arange(30)
        patch = (place // 6 // 2) * 3 + place % 6 // 2
        assert float(jacobian[patch[:, None] != patch].abs().max()) == 0


def activations(net, x_t, t):
    """Standard deviation of what leaves every block of a U-Net."""
    seen = []
    parts = [net.first, net.middle, *(b for level in (*net.down, *net.up) for b in level)]
    hooks = [p.register_forward_hook(lambda m, i, o: seen.append(float(o.std()))) for p in parts]
    with torch.no_grad():
        net(x_t, t)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("shape", [[3, 16, 16], [2, 64], [1, 8, 8, 8]])
def test_unet_preserves_magnitude(shape):
    torch.manual_seed(0)
    net = nets.make("unet", shape=shape, width=32, mult=[1, 2, 2], attention=[False, True, True])
    seen = activations(net, torch.randn(8, *shape), torch.rand(8))
    assert len(seen) == 14
    assert min(seen) > 0.5
    assert max(seen) < 2


def test_unet_normalising_weights_keeps_the_function_and_gives_unit_filters():
    net = wild(nets.make("unet", shape=[1, 8, 8], width=16, mult=[1, 2], blocks=1))
    x_t, t = torch.randn(2, 1, 8, 8), torch.rand(2)
    with torch.no_grad():
        before = net(x_t, t)
        for value in net.first.parameters():
            value.mul_(7.0)
        assert torch.allclose(net(x_t, t), before, atol=1e-5)  # only directions count
        net.normalise_weights()
        assert torch.allclose(net(x_t, t), before, atol=1e-5)
    rows = net.middle.first.weight.flatten(1).norm(dim=1)
    assert torch.allclose(rows, torch.ones_like(rows), atol=1e-5)


def test_unet_without_attention_moves_with_the_image():
    """A shift by the coarsest cell shifts the answer, away from the border."""
    net = wild(
        nets.make("unet", shape=[1, 64], width=8, mult=[1, 2], blocks=1, attention=[False] * 2)
    )
    x = torch.zeros(1, 1, 64)
    x[..., 30:34] = torch.randn(4)
    with torch.no_grad():
        one, moved = net(x, torch.tensor(0.5)), net(x.roll(2, -1), torch.tensor(0.5))
    assert torch.allclose(one.roll(2, -1)[..., 24:40], moved[..., 24:40], atol=1e-5)
    assert float(one[..., 24:40].std()) > 1e-3


def test_unet_puts_attention_where_few_places_are_left():
    net = nets.make("unet", shape=[1, 32, 32], width=8, mult=[1, 1, 1])
    assert net.options["attention"] == [False, False, True]
    with pytest.raises(ArgumentError, match="one value per level"):
        nets.make("unet", shape=[1, 32, 32], mult=[1, 1, 1], attention=[True])


def test_text_is_attended_to_word_by_word():
    """Two texts with the same first word differ; padding beyond them does not count."""
    given = {"caption": {"type": "text", "size": 9, "length": 6}}
    for name, options in (
        ("unet", {"shape": [1, 8, 8], "width": 16, "mult": [1, 1]}),
        ("dit", {"shape": [1, 8, 8], "width": 16, "patch": 2, "depth": 2}),
        ("sets", {"fields": {"n": {"type": "number", "size": 2}}, "width": 16, "heads": 2}),
    ):
        net = wild(nets.make(name, given=given, **options))
        assert net.conditions.tokens
        x = torch.randn(1, 1, 8, 8) if name != "sets" else {"n": torch.randn(1, 2)}
        texts = [[1, 2], [1, 3], [2, 1], [1, 2, -1, -1]]
        with torch.no_grad():
            made = [net(x, torch.tensor(0.5), {"caption": torch.tensor([text])}) for text in texts]
        made = [value["n"] if name == "sets" else value for value in made]
        assert float((made[0] - made[1]).abs().max()) > 1e-4
        assert float((made[0] - made[2]).abs().max()) > 1e-4  # the order of words
        assert float((made[0] - made[3]).abs().max()) < 1e-6


def test_causal_rnn_looks_only_back_and_the_other_both_ways():
    for causal in (True, False):
        net = wild(nets.make("rnn", shape=[2, 12], width=16, depth=2, causal=causal))
        x = torch.randn(1, 2, 12)
        changed = x.clone()
        changed[..., 6:] += 1
        with torch.no_grad():
            difference = (
                (net(x, torch.tensor(0.5)) - net(changed, torch.tensor(0.5))).abs().amax((0, 1))
            )
        assert float(difference[6:].min()) > 1e-5
        assert (float(difference[:6].max()) == 0) == causal


@pytest.mark.parametrize(
    ("name", "options", "state"),
    [
        ("mlp", {"shape": [4]}, (2, 5)),
        ("unet", {"shape": [1, 8, 8], "width": 8}, (2, 3, 8, 8)),
        ("dit", {"shape": [1, 8, 8], "width": 8}, (2, 1, 8)),
        ("rnn", {"shape": [1, 8], "width": 8}, (2, 2, 8)),
    ],
)
def test_a_state_that_does_not_fit_is_named(name, options, state):
    with pytest.raises(ShapeError) as caught:
        nets.make(name, **options)(torch.zeros(state), torch.tensor(0.5))
    assert str(tuple(state)) in str(caught.value)


def test_unknown_names_and_options_are_named():
    with pytest.raises(UnknownName, match="did you mean 'unet'"):
        nets.make("unnet", shape=[1, 8])
    with pytest.raises(ArgumentError, match="did you mean 'width'"):
        nets.make("unet", shape=[1, 8], widht=3)
    with pytest.raises(ArgumentError, match="shape"):
        nets.make("unet")
    with pytest.raises(ArgumentError, match="axes"):
        nets.make("dit", shape=[3])
