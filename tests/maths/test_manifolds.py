"""Laws of geodesic paths on tori and rotations, against closed forms."""

import math
from itertools import pairwise

import pytest
import torch
from scipy import stats
from scipy.spatial.transform import Rotation

from unfog.errors import ArgumentError, ShapeError, TimeError
from unfog.maths.manifolds import Rotations, Torus, rotation, rotation_vector
from unfog.maths.randomness import BatchRng
from unfog.maths.truth_manifolds import Points
from unfog.sample.randomness import SampleRng

CIRCLES = Torus((2 * math.pi, 1.0))
TURNS = Rotations()
SHAPES = {
    "torus": (CIRCLES, (2,)),
    "torus-set": (Torus(), (4, 3)),
    "rotations": (TURNS, (3, 3)),
    "rotations-set": (TURNS, (4, 3, 3)),
}
every = pytest.mark.parametrize("case", SHAPES)


def draws(case, count, seed=0, dtype=torch.float32):
    path, shape = SHAPES[case]
    return path, path.prior(torch.empty(count, *shape, dtype=dtype), rng=BatchRng(seed))


def distance(path, a, b):
    return path.log(a, b).abs().max()


@every
def test_exp_undoes_log_and_the_middle_is_half_way(case):
    path, x = draws(case, 300, 0)
    _, z = draws(case, 300, 1)
    assert distance(path, path.exp(x, path.log(x, z)), z) < 2e-6
    half = path.corrupt(x, torch.tensor(0.5), rng=BatchRng(2), z=z).x_t
    there, back = path.log(half, z), path.log(half, x)
    torch.testing.assert_close(there, -back, rtol=0, atol=5e-6)
    torch.testing.assert_close(2 * there, path.log(x, z), rtol=0, atol=1e-5)


@every
def test_ends(case):
    path, x = draws(case, 50, 0)
    _, z = draws(case, 50, 1)
    assert distance(path, path.corrupt(x, 0.0, rng=BatchRng(0), z=z).x_t, x) < 2e-6
    assert distance(path, path.corrupt(x, 1.0, rng=BatchRng(0), z=z).x_t, z) < 2e-6


@every
def test_the_velocity_is_the_slope_and_the_tangent_points_to_the_data(case):
    path, x = draws(case, 50, 0, torch.float64)
    _, z = draws(case, 50, 1, torch.float64)
    t = torch.linspace(0.1, 0.9, 50, dtype=torch.float64)
    x_t = path.corrupt(x, t, rng=BatchRng(0), z=z).x_t
    ahead = path.corrupt(x, t + 1e-6, rng=BatchRng(0), z=z).x_t
    velocity = path.target(x, z, t)
    torch.testing.assert_close(path.log(x_t, ahead) / 1e-6, velocity, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(path.tangent(x_t, velocity, t), path.log(x_t, x), rtol=0, atol=1e-7)


@every
def test_move_with_the_true_tangent_stays_on_the_path(case):
    path, x = draws(case, 50, 0)
    _, z = draws(case, 50, 1)
    t, s = torch.linspace(0.5, 1, 50), torch.linspace(0, 0.5, 50)
    x_t = path.corrupt(x, t, rng=BatchRng(0), z=z).x_t
    moved = path.move(x_t, path.tangent(x_t, path.target(x, z, t), t), t, s)
    assert distance(path, moved, path.corrupt(x, s, rng=BatchRng(0), z=z).x_t) < 5e-6


@every
def test_move_to_the_same_time_is_the_identity(case):
    path, x = draws(case, 50, 0)
    tangent = path.log(x, draws(case, 50, 1)[1])
    for t in (0.0, 0.3, 1.0):
        assert torch.equal(path.move(x, tangent, t, t), x)


@every
def test_global_motion_commutes_with_move(case):
    """The same turn of everything before or after: tangents live in the body's frame."""
    path, x = draws(case, 50, 0)
    tangent = path.log(x, draws(case, 50, 1)[1])
    if isinstance(path, Torus):
        turned = lambda v: path.wrap(v + 0.3)  # noqa: E731
    else:
        turned = lambda v: rotation(torch.tensor([0.3, -1.0, 2.0])) @ v  # noqa: E731
    moved = path.move(turned(x), tangent, 0.8, 0.3)
    assert distance(path, moved, turned(path.move(x, tangent, 0.8, 0.3))) < 2e-6


@every
def test_padding_never_leaks_and_known_entries_stay(case):
    path, x = draws(case, 6, 0)
    if x.ndim == 2 or case == "rotations":
        mask, keep = torch.ones(6), torch.zeros(6)
        pad, known = (slice(4, 6),), (slice(1, 2),)
    else:
        mask, keep = torch.ones(6, 4), torch.zeros(6, 4)
        pad, known = (slice(None), slice(2, 4)), (slice(None), 1)
    mask[pad], keep[known] = 0, 1
    poisoned = x.clone()
    poisoned[pad] = 1e30
    a = path.corrupt(x, 0.6, rng=BatchRng(1), mask=mask, keep=keep)
    b = path.corrupt(poisoned, 0.6, rng=BatchRng(1), mask=mask, keep=keep)
    assert torch.equal(a.x_t, b.x_t)
    assert (a.x_t[pad] == 0).all()
    assert torch.equal(a.x_t[known], x[known])
    tangent = path.log(x, path.prior(x, rng=BatchRng(3)))
    tangent[pad] = torch.nan
    moved = path.move(a.x_t, tangent, 0.6, 0.2, mask=mask)
    assert (moved[pad] == 0).all()
    assert moved.isfinite().all()
    assert (path.prior(x, rng=BatchRng(2), mask=mask)[pad] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rotation_log_is_exact_to_rounding_near_zero_and_near_pi(dtype):
    eps = torch.finfo(dtype).eps
    axis = torch.nn.functional.normalize(torch.randn(2000, 3, dtype=torch.float64), dim=-1)
    axis[:3] = torch.eye(3)  # where three quaternion parts vanish
    for angle in (0.0, 1e-7, 1e-4, 1.0, 2.5, math.pi - 1e-3, math.pi - 1e-6, math.pi):
        vector = axis * angle
        matrix = torch.from_numpy(Rotation.from_rotvec(vector.numpy()).as_matrix())
        torch.testing.assert_close(rotation(vector), matrix, rtol=0, atol=1e-14)
        found = rotation_vector(matrix.to(dtype)).double()
        # near pi the two opposite vectors are the same turn
        error = torch.minimum(
            (found - vector).norm(dim=1),
            (found + vector).norm(dim=1) if angle > 3.1 else torch.tensor(9.0),
        )
        allowed = (
            8 * eps
            + 2 * max(0.0, angle - (math.pi - 1e-6))
            + (4 * (math.pi - angle) if angle > 3.1 else 0)
        )
        assert error.max() < allowed
        again = rotation(rotation_vector(matrix.to(dtype))).double()
        assert (again - matrix).abs().max() < 8 * eps


def test_many_moves_do_not_drift_off_the_rotations():
    path, x = draws("rotations", 100, 0)
    for number, (t, s) in enumerate(pairwise(torch.linspace(1, 0.5, 1001))):
        x = path.move(x, BatchRng(number).normal(x[..., 0]), t, s)
    assert (x.mT @ x - torch.eye(3)).abs().max() < 1e-6


def test_the_prior_is_uniform():
    angles = CIRCLES.prior(torch.empty(5000, 2), rng=BatchRng(1)) / torch.tensor([2 * math.pi, 1])
    for column in angles.T:  # false alarm 1e-4 each
        assert stats.kstest(column.numpy() + 0.5, "uniform").pvalue > 1e-4
    turns = TURNS.prior(torch.empty(5000, 3, 3), rng=BatchRng(2))
    size = rotation_vector(turns).norm(dim=1).numpy()
    assert (
        stats.kstest(size, lambda a: (a - torch.sin(torch.as_tensor(a)).numpy()) / math.pi).pvalue
        > 1e-4
    )
    assert stats.kstest(turns[:, 0, 2].numpy() / 2 + 0.5, "uniform").pvalue > 1e-4


@every
def test_a_samples_noise_does_not_depend_on_its_batch(case):
    path, x = draws(case, 5, 0)
    together = path.prior(x, rng=SampleRng(3, range(5)))
    assert torch.equal(path.prior(x[2:3], rng=SampleRng(3, [2])), together[2:3])


def test_wrap_stays_in_its_half_open_interval():
    x = torch.cat([torch.linspace(-50, 50, 10_001), torch.tensor([math.pi, -math.pi, -3.1415928])])
    wrapped = Torus().wrap(x)
    assert wrapped.min() >= -math.pi - 1e-6
    assert wrapped.max() < math.pi
    torch.testing.assert_close(torch.cos(wrapped), torch.cos(x), rtol=0, atol=1e-5)
    assert Torus(1.0).wrap(torch.tensor([0.5, -0.5, 0.75])).tolist() == [-0.5, -0.5, -0.25]


CIRCLE_POINTS = Points(
    torch.tensor([[-2.5, 0.1], [0.4, -0.3], [2.9, 0.35]]), torch.tensor([0.5, 0.2, 0.3])
)
TURN_POINTS = Points(
    rotation(torch.tensor([[0.0, 0.2, 0.0], [2.0, 0.0, 1.0], [-1.0, 2.5, 0.0]])),
    torch.tensor([0.5, 0.2, 0.3]),
)
SET_POINTS = Points(
    rotation(torch.tensor([[[0.0, 0.2, 0], [1.0, 0, 0]], [[2.0, 0, 1], [0, 1, 1]]])),
    torch.tensor([0.6, 0.4]),
)
TRUTHS = {
    "torus": (CIRCLES, CIRCLE_POINTS),
    "rotations": (TURNS, TURN_POINTS),
    "rotations-set": (TURNS, SET_POINTS),
}
truths = pytest.mark.parametrize("case", TRUTHS)


@truths
@pytest.mark.parametrize("t", [0.3, 0.7, 1.0])
def test_the_exact_predictor_is_the_conditional_mean(case, t):
    """The residual tangent - E[tangent | x_t] has mean zero against any function of x_t."""
    path, truth = TRUTHS[case]
    x = truth.draw(40_000, rng=BatchRng(3))
    noised = path.corrupt(x, t, rng=BatchRng(4))
    tangent = path.tangent(noised.x_t, path.target(x, noised.z, t), t)
    residual = (tangent - truth.predictor(path)(noised.x_t, t)).flatten(1)
    flat = noised.x_t.flatten(1)
    tests = torch.cat([torch.ones(len(x), 1), torch.sin(flat), torch.cos(3 * flat + 1)], 1)
    products = residual[:, :, None] * tests[:, None]
    # 5 standard errors on fewer than 250 means: a false alarm in ten thousand runs
    error = products.std(0) / len(x) ** 0.5
    assert (products.mean(0).abs() < 5 * error + 1e-6).all()


@truths
def test_uniform_noise_flows_back_to_the_points_with_their_weights(case):
    path, truth = TRUTHS[case]
    count, steps = 6000, 100
    x_t = path.prior(truth.points[:1].expand(count, *truth.points.shape[1:]), rng=BatchRng(5))
    predict = truth.predictor(path)
    for t, s in pairwise(torch.linspace(1, 0, steps + 1)):
        x_t = path.move(x_t, predict(x_t, t), t, s)
    away = path.log(x_t[:, None], truth.points).flatten(2).norm(dim=2)
    nearest = away.argmin(1)
    assert away.amin(1).max() < 1e-5
    shares = torch.bincount(nearest, minlength=len(truth.weights)) / count
    # 4 standard errors, and 1 / steps for the finite steps
    allowed = 4 * (truth.weights * (1 - truth.weights) / count).sqrt() + 1 / steps
    assert ((shares - truth.weights).abs() < allowed).all()


@every
def test_what_does_not_exist_is_refused(case):
    path, x = draws(case, 5, 0)
    tangent = path.log(x, x)
    with pytest.raises(ArgumentError, match="eta = 0 only"):
        path.move(x, tangent, 0.5, 0.2, eta=0.5, rng=BatchRng(0))
    with pytest.raises(ArgumentError, match="go up"):
        path.renoise(x, 0.2, 0.5, rng=BatchRng(0))
    with pytest.raises(TimeError):
        path.move(x, tangent, 0.2, 0.5)
    assert not path.affine


def test_clear_errors():
    with pytest.raises(ShapeError, match=r"\(B, 3, 3\)"):
        TURNS.corrupt(torch.zeros(4, 2, 2), 0.5, rng=BatchRng(0))
    with pytest.raises(ArgumentError, match="not all matrices are rotations"):
        TURNS.corrupt(torch.zeros(4, 3, 3), 0.5, rng=BatchRng(0))
    with pytest.raises(ArgumentError, match="determinant"):
        TURNS.corrupt(-torch.eye(3)[None], 0.5, rng=BatchRng(0))
    with pytest.raises(ShapeError, match="2"):
        CIRCLES.corrupt(torch.zeros(4, 3), 0.5, rng=BatchRng(0))
    with pytest.raises(ArgumentError, match="period"):
        Torus(0.0)
