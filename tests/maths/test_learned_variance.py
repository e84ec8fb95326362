"""The learned variance is the exact one where that is known, and few ancestral steps are better for it."""

import math

import pytest
import torch

from unfog.errors import TargetError
from unfog.maths import views
from unfog.maths.grids import grids
from unfog.maths.paths import Noised, paths
from unfog.maths.randomness import BatchRng
from unfog.maths.targets import LearnedVariance, first_time
from unfog.maths.times import Uniform
from unfog.maths.truth import Mixture
from unfog.maths.weights import Unit
from unfog.model.model import Model, learn
from unfog.nets import nets
from unfog.sample.loop import sample
from unfog.sample.solvers import solvers
from unfog.train.optim import adamw
from unfog.train.schedule import CosineFall

path_of = pytest.mark.parametrize("path", [r.make() for r in paths], ids=[r.name for r in paths])
MIXTURE = Mixture(
    torch.tensor([[-1.5], [1.0]], dtype=torch.float64),
    torch.tensor([0.3, 0.5], dtype=torch.float64),
    torch.tensor([0.4, 0.6], dtype=torch.float64),
)


def exact_variance(path, truth, x_t, t, s):
    """Var[x_s | x_t] of the true reverse process, per entry."""
    _, given_x = views.posterior(path, x_t, x_t, t, s)
    q = path.alpha(t) * path.sigma(s) / (path.alpha(s) * path.sigma(t))
    pull = path.alpha(s) * (1 - q.square())
    return given_x + pull.square() * truth.variance(path, x_t, t)


def raw_of(path, variance, t, s):
    """What the net has to answer for this variance of a move from t to s."""
    low = path.sigma(s).square() * (
        1 - (path.alpha(t) * path.sigma(s) / (path.alpha(s) * path.sigma(t))).square()
    )
    v = (variance / low).log() / (2 * (path.sigma(t) / path.sigma(s)).log())
    return torch.expm1(v * math.log(4)).log()


@path_of
@pytest.mark.parametrize(("t", "s"), [(0.9, 0.6), (0.5, 0.25)])
def test_a_drawn_prediction_moves_with_the_stated_variance(path, t, s):
    """path.move of `draw` has the posterior's mean and the variance that v says, 5 standard errors."""
    t, s = torch.tensor(t, dtype=torch.float64), torch.tensor(s, dtype=torch.float64)
    x_t = torch.full((60_000, 1), 0.7, dtype=torch.float64)
    wanted = exact_variance(path, MIXTURE, x_t, t, s)
    z_hat = views.noise(path, x_t, MIXTURE.predictor(path)(x_t, t), t)
    y = torch.cat([z_hat, raw_of(path, wanted, t, s)], 1)
    target = LearnedVariance()
    drawn = target.draw(path, y, x_t, t, s, rng=BatchRng(1))
    got = path.move(x_t, drawn, t, s, eta=1.0, rng=BatchRng(2))
    mean, _ = views.posterior(path, x_t, target.decode(path, y, x_t, t), t, s)
    spread = wanted[0, 0].sqrt()
    assert (got.mean() - mean[0, 0]).abs() < 5 * spread / 60_000**0.5
    assert (got.var() / spread.square() - 1).abs() < 5 * (2 / 60_000) ** 0.5
    zero = torch.tensor(0.0, dtype=torch.float64)
    torch.testing.assert_close(
        target.draw(path, y, x_t, t, zero, rng=BatchRng(1)), target.decode(path, y, x_t, t)
    )


@path_of
def test_the_loss_is_least_at_the_exact_variance(path):
    """With the exact mean, the loss over the posterior is stationary at the true variance."""
    t = torch.full((200_000,), 0.5, dtype=torch.float64)
    target = LearnedVariance(steps=4)
    s = t[0] - 1 / 4
    one = torch.full((1, 1), 0.4, dtype=torch.float64)
    # x given x_t = 0.4, by weighting draws of the data
    x = MIXTURE.draw(len(t), rng=BatchRng(0))
    z = (one - path.alpha(t[0]) * x) / path.sigma(t[0])
    chance = torch.softmax(-z.square() / 2, 0)
    z_hat = views.noise(path, one, MIXTURE.predictor(path)(one, t[0]), t[0])
    raw = raw_of(path, exact_variance(path, MIXTURE, one, t[0], s), t[0], s)
    losses = []
    for shift in (-0.1, 0.0, 0.1):
        y = torch.cat([z_hat, raw + shift], 1).expand(len(t), 2)
        error = target.error(path, y, x, Noised(one, z, t))
        losses.append((chance * error).sum().item())
    assert losses[1] < min(losses[0], losses[2]), losses
    # a parabola through the three has its lowest point near the middle
    bend = losses[0] + losses[2] - 2 * losses[1]
    assert abs((losses[0] - losses[2]) / (2 * bend)) < 0.3  # of 0.1


def test_the_kl_does_not_move_the_mean():
    target, path = LearnedVariance(share=10.0), paths.make("cosine")
    x, z = torch.randn(2, 8, 3, generator=torch.Generator().manual_seed(0))
    noised = path.corrupt(x, torch.full((8,), 0.5), rng=BatchRng(0), z=z)
    y = torch.zeros(8, 6, requires_grad=True)
    target.error(path, y, x, noised).sum().backward()
    torch.testing.assert_close(y.grad[:, :3], -2 * z)
    assert y.grad[:, 3:].abs().min() > 0


def test_an_answer_of_the_wrong_size_is_refused():
    x = torch.zeros(2, 3)
    with pytest.raises(TargetError, match="out_channels"):
        LearnedVariance().decode(paths.make("vp"), x, x, torch.tensor(0.5))


class Exact(torch.nn.Module):
    """Answers as a perfectly trained net of `steps` would, with the true variance or with none."""

    def __init__(self, path, steps, wide):
        super().__init__()
        self.path, self.steps, self.wide = path, steps, wide

    def answer(self, x_t, t, cond=None, s=None, keep=None):
        z_hat = views.noise(self.path, x_t, MIXTURE.predictor(self.path)(x_t, t), t)
        if not self.wide or not s > 0:
            return torch.cat([z_hat, torch.full_like(z_hat, -40.0)], 1)
        variance = exact_variance(self.path, MIXTURE, x_t, t, s)
        return torch.cat([z_hat, raw_of(self.path, variance, t, s)], 1)


def energy(x, y):
    near = [torch.cdist(a, b).mean() for a, b in ((x, y), (x, x), (y, y))]
    return float(2 * near[0] - near[1] - near[2])


def few_steps(model, path, steps, rng=None, count=3000):
    x = path.prior(torch.empty(count, 1, dtype=torch.float64), rng=BatchRng(4))
    cut = grids.make("linear", start=first_time(model.target, path))(path, steps)
    predict = model.bind(None, rng=rng)
    for step in sample(predict, path, solvers.make("euler"), x, cut, eta=1.0, rng=BatchRng(5)):
        x = step.x
    return x


@pytest.mark.parametrize("name", ["cosine", "vp", "linear"])
@pytest.mark.parametrize("steps", [6, 12])
def test_few_ancestral_steps_are_nearer_with_the_true_variance(name, steps):
    path = paths.make(name)
    fresh = MIXTURE.draw(3000, rng=BatchRng(6))
    away = []
    for wide in (True, False):
        model = Model(torch.nn.Identity(), path, LearnedVariance(steps=steps))
        model.answer = Exact(path, steps, wide).answer
        away.append(energy(few_steps(model, path, steps, rng=BatchRng(9)), fresh))
    assert away[0] < 0.35 * away[1], away  # measured 0.07 to 0.23


@pytest.mark.slow
def test_a_net_learns_the_exact_variance():
    """A perceptron on 20 000 draws: the reverse variance of one step of 8, against closed form."""
    torch.manual_seed(0)
    path, target = paths.make("cosine"), LearnedVariance(steps=8)
    net = nets.make("mlp", shape=[1], width=64, depth=2, vector=32, out_channels=2)
    model = Model(net, path, target)
    data = MIXTURE.draw(20_000, rng=BatchRng(1)).float()
    optimiser, schedule, steps = adamw(model, lr=3e-3), CosineFall(), 2000
    for step in range(steps):
        rng = BatchRng(0, step)
        x = data[(rng.uniform(torch.empty(512)) * len(data)).long()]
        losses, _ = learn(
            model.answer, path, target, x, times=Uniform(high=0.995), weight=Unit(), rng=rng
        )
        optimiser.param_groups[0]["lr"] = 3e-3 * schedule.factor(step, steps)
        optimiser.zero_grad()
        losses.mean().backward()
        optimiser.step()
    away = {"learnt": [], "given x": [], "forward": []}
    for t in (0.25, 0.4, 0.55, 0.7, 0.9):
        t = torch.tensor(t, dtype=torch.float64)
        s = t - 0.125
        x_t = path.corrupt(data[:400].double(), t, rng=BatchRng(3)).x_t
        with torch.no_grad():
            y = model.answer(x_t.float(), t).double()
        low = views.posterior(path, x_t, x_t, t, s)[1]
        wider = 2 * (path.sigma(t) / path.sigma(s)).log()
        exact = exact_variance(path, MIXTURE, x_t, t, s)
        for name, v in (("learnt", target.halves(y, x_t)[1]), ("given x", 0), ("forward", 1)):
            got = low * torch.exp(torch.as_tensor(v * wider))
            away[name].append((got / exact).log().abs().median().item())
    assert max(away["learnt"]) < 0.2, away  # measured 0.03 to 0.11
    for fixed in ("given x", "forward"):
        assert sum(away["learnt"]) < 0.4 * sum(away[fixed]), away
