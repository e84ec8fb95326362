"""The model: one border between net and numerics, where scale, time, precision and condition cross."""

import pytest
import torch
from torch import nn

from unfog.errors import ArgumentError
from unfog.maths.paths import Linear, paths
from unfog.maths.randomness import BatchRng
from unfog.maths.targets import Velocity, targets
from unfog.maths.times import Uniform
from unfog.maths.weights import Unit
from unfog.model.model import Model
from unfog.nets import nets, null

AFFINE = ["linear", "cosine", "vp", "ve", "sigmoid"]


class Spy(nn.Module):
    """Answers a constant and remembers what it was asked."""

    def __init__(self, says=0.0):
        super().__init__()
        self.says = says
        self.linear = nn.Linear(1, 1)  # somewhere for autocast to bite
        self.seen = []

    def forward(self, x_t, t, cond=None, s=None):
        computed = self.linear(x_t.flatten(1)[:, :1])
        self.seen.append((x_t, t, cond, s, computed.dtype))
        return torch.full_like(x_t, self.says).to(computed.dtype)


def awake(given=None, **options):
    """A small net with random weights everywhere: a fresh one answers zero."""
    net = nets.make("mlp", shape=[3], width=16, depth=2, vector=16, given=given)
    with torch.no_grad():
        for value in net.parameters():
            value.normal_(std=0.3)
    return Model(net, Linear(), Velocity(), **options).eval()


@pytest.mark.parametrize("sigma_data", [0.25, 3.0])
@pytest.mark.parametrize("path", AFFINE)
def test_the_net_sees_unit_variance_and_rising_noise_levels(path, sigma_data):
    path, spy = paths.make(path), Spy()
    model = Model(spy, path, Velocity(), sigma_data=sigma_data)
    x = sigma_data * torch.randn(20_000, 2)
    cuts = torch.linspace(0.02, 0.98, 7)
    for t in cuts:
        noised = path.corrupt(x, t, rng=BatchRng(0))
        model.answer(noised.x_t, noised.t)
    # the spread of 40 000 numbers is within 4 x 0.35 % of 1, but once in 16 000
    assert [seen[0].std().item() for seen in spy.seen] == pytest.approx([1.0] * 7, abs=0.015)
    levels = torch.stack([seen[1] for seen in spy.seen])
    assert (levels.diff() > 0).all()
    assert ((levels >= 0) & (levels <= 1)).all()
    half = torch.atan2(path.sigma(cuts), path.alpha(cuts) * sigma_data) / (torch.pi / 2)
    torch.testing.assert_close(levels, half.float())


@pytest.mark.parametrize("path", ["linear", "vp", "ve"])
@pytest.mark.parametrize("target", ["data", "noise", "velocity", "v", "edm"])
def test_predict_is_the_decoded_answer(path, target):
    path, target = paths.make(path), targets.make(target)
    model = Model(Spy(says=0.7), path, target)
    x_t, t = torch.randn(5, 3), torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9])
    x_hat = model.predict(x_t, t)
    torch.testing.assert_close(x_hat, target.decode(path, model.answer(x_t, t), x_t, t))
    # the answer together with x_t is one (x, z): encoding that pair gives the answer back
    alpha, sigma = path.alpha(t)[:, None], path.sigma(t)[:, None]
    z_hat = ((x_t - alpha * x_hat) / sigma).float()
    again = target.encode(path, x_hat, z_hat, t)
    torch.testing.assert_close(again, torch.full((5, 3), 0.7), atol=2e-3, rtol=0)


def test_bind_gives_a_plain_predictor_and_none_is_the_null():
    model = awake(
        given={"label": {"type": "class", "size": 4}, "age": {"type": "number", "size": 1}}
    )
    x_t, t = torch.randn(6, 3), torch.tensor(0.4)
    cond = {"label": torch.arange(6) % 4, "age": torch.linspace(-1, 1, 6)[:, None]}
    bound, free = model.bind(cond)(x_t, t), model.bind(None)(x_t, t)
    assert torch.equal(bound, model.predict(x_t, t, cond))
    nothing = null(model.net.conditions.given, 6, x_t.device)
    torch.testing.assert_close(free, model.predict(x_t, t, nothing))
    assert (bound - free).abs().amax(1).min() > 1e-3
    # one condition missing is neither both nor none
    half = model.bind({"label": cond["label"]})(x_t, t)
    assert (half - free).abs().max() > 1e-3
    assert (half - bound).abs().max() > 1e-3


def test_later_time_reaches_the_net_as_a_level():
    spy = Spy()
    Model(spy, Linear(), Velocity()).bind(None)(torch.zeros(2, 1), 0.5, 0.0)
    _, level, _, later, _ = spy.seen[0]
    torch.testing.assert_close(level, torch.tensor(0.5))
    torch.testing.assert_close(later, torch.zeros(()))


def test_state_stays_float32_when_the_net_computes_in_bfloat16():
    model = awake()
    x_t, t = torch.randn(64, 3), torch.rand(64) * 0.9 + 0.05
    exact = model.predict(x_t, t)
    model.precision = "bfloat16"
    rough = model.predict(x_t, t)
    assert exact.dtype == rough.dtype == torch.float32
    spread = (rough - exact).abs().max() / exact.std()
    assert 0 < spread < 0.1  # 8 bits of mantissa through a few layers
    spy = Spy()
    answer = Model(spy, Linear(), Velocity(), precision="bfloat16").answer(x_t, t)
    assert spy.seen[0][4] == torch.bfloat16
    assert spy.seen[0][0].dtype == answer.dtype == torch.float32


def test_the_loss_is_the_regression_it_claims_to_be():
    """A net that answers zero on the linear path loses mean |z - x|^2, item by item."""
    x, z = torch.randn(8, 3), torch.randn(8, 3)
    model = Model(Spy(), Linear(), Velocity())
    losses, times = model.loss(x, times=Uniform(), weight=Unit(), rng=BatchRng(0), z=z)
    torch.testing.assert_close(losses, (z - x).square().mean(1))
    assert times.shape == (8,)
    keep = torch.zeros(8, 3)
    keep[:, 0] = 1
    mask = torch.ones(8, 3)
    mask[:, 1] = 0
    partial, _ = model.loss(
        x, times=Uniform(), weight=Unit(), rng=BatchRng(0), z=z, keep=keep, mask=mask
    )
    torch.testing.assert_close(partial, (z - x).square()[:, 2])
    twice, _ = model.loss(
        x, times=Uniform(), weight=lambda path, t: 2 * Unit()(path, t), rng=BatchRng(0), z=z
    )
    torch.testing.assert_close(twice, 2 * losses)


def test_a_precision_is_lent_and_given_back():
    model = awake()
    x_t, t = torch.randn(64, 3), torch.rand(64) * 0.9 + 0.05
    exact = model.predict(x_t, t)
    with model.computing("bfloat16"):
        rough = model.predict(x_t, t)
    assert 0 < (rough - exact).abs().max() < 0.1 * exact.std()
    assert torch.equal(model.predict(x_t, t), exact)
    with pytest.raises(ArgumentError, match="float32 or bfloat16"), model.computing("half"):
        pass
