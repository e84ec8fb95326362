"""Arrays in depth: angles, rings, missing numbers, layouts, any rank and any dtype."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from scipy import stats

from unfog.errors import ArgumentError, DataError, RunError
from unfog.kinds import kinds
from unfog.kinds.array.codec import ArrayCodec
from unfog.kinds.array.look import look
from unfog.maths.grids import grids
from unfog.maths.paths import paths
from unfog.maths.truth import Mixture
from unfog.sample.loop import sample
from unfog.sample.randomness import SampleRng
from unfog.sample.solvers import solvers

read = kinds["array"].read


def codec_of(items) -> ArrayCodec:
    """Fitted, saved, loaded."""
    codec = ArrayCodec.fit(items)
    return ArrayCodec.from_json(
        json.loads(json.dumps(codec.to_json())), load(save(codec.tensors()))
    )


def apart(a: np.ndarray, b: np.ndarray, period: float) -> np.ndarray:
    """Distance on the circle."""
    return np.abs((a - b + period / 2) % period - period / 2)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize(
    ("unit", "low", "high"),
    [
        ("rad", 0, 2 * math.pi),
        ("rad", -math.pi, math.pi),
        ("deg", 0, 360),
        ("deg", -180, 180),
        ("turn", 0, 1),
        ("deg", 0, 40),
    ],
)
def test_angles_come_back_in_their_own_branch(unit, low, high, dtype) -> None:
    period = {"rad": 2 * math.pi, "deg": 360.0, "turn": 1.0}[unit]
    data = np.random.default_rng(0).normal(size=(500, 4))
    data[:, 2] = np.random.default_rng(1).uniform(low, high, 500)
    data[:2, 2] = low, np.nextafter(dtype(high), dtype(low))
    data = data.astype(dtype)
    codec = codec_of(read(data, angle={2: unit}))
    state = codec.encode(data)
    assert state.shape == (500, 5)
    back = codec.decode(state)
    assert back.dtype == dtype
    exact = 1e-5 if dtype != np.float16 else 3e-3
    assert apart(back[:, 2].astype(float), data[:, 2].astype(float), period).max() < exact * period
    others = [0, 1, 3]
    assert np.abs(back[:, others].astype(float) - data[:, others]).max() < exact * 4
    wild = codec.decode(torch.randn(5000, 5, generator=torch.Generator().manual_seed(0)))
    wild = wild[:, 2].astype(float)
    start = -period / 2 if low < 0 else 0
    assert start <= wild.min()
    assert wild.max() <= start + period
    assert (wild < start + period).all() or low < 0


def test_whole_degrees_stay_whole_and_below_360() -> None:
    data = np.random.default_rng(0).integers(0, 360, (300, 2))
    codec = codec_of(read(data, angle="1:deg"))
    assert np.array_equal(codec.decode(codec.encode(data)), data)
    near = codec.decode(codec.encode(np.zeros((1, 2), int)) - torch.tensor([0, 0, 1e-4]))
    assert near[0, 1] == 0  # 359.99… degrees
    with pytest.raises(DataError, match="say 1:deg"):
        read(data, angle=[1])


def test_the_circle_stays_a_circle_and_has_unit_variance() -> None:
    data = np.random.default_rng(0).uniform(0, 2 * math.pi, (20_000, 1))
    state = ArrayCodec.fit(read(data, angle=0)).encode(data)
    assert float(state.var(0).sub(1).abs().max()) < 0.05
    radius = state.norm(dim=1)
    assert float(radius.std() / radius.mean()) < 0.02


def test_angle_declarations_that_do_not_fit() -> None:
    data = np.random.default_rng(0).uniform(0, 300, (50, 3))
    with pytest.raises(ArgumentError, match="there are 3"):
        read(data, angle=[3])
    with pytest.raises(ArgumentError, match="allowed: rad, deg, turn"):
        read(data, angle="2:grad")
    with pytest.raises(ArgumentError, match="is no channel"):
        read(data, angle="last")
    assert "if these are degrees, say :deg" in read(data, angle="2").notes[0]
    assert read(data, angle="2:deg").notes == []


def test_angles_in_grids_are_channels() -> None:
    data = np.random.default_rng(0).uniform(-3, 3, (40, 3, 6, 5)).astype(np.float32)
    codec = codec_of(read(data, angle=[1]))
    assert codec.state_shape == (4, 6, 5)
    assert np.abs(codec.decode(codec.encode(data)) - data).max() < 1e-5


def test_a_distribution_across_the_seam_has_neither_gap_nor_pile() -> None:
    """Von Mises at angle 0, sampled through an exact predictor on the encoded circle."""
    law = stats.vonmises(4.0)
    turned = law.ppf((np.arange(1000) + 0.5) / 1000)
    data = np.mod(turned, 2 * math.pi)[:, None]
    codec = codec_of(read(data, angle=0))
    assert not codec.angles[0].centred
    centres = codec.encode(data)
    truth = Mixture(centres, torch.full((1000,), 0.05), torch.full((1000,), 1e-3))
    path, count = paths.make("linear"), 4000
    rng = SampleRng(0, range(count))
    x_t = path.prior(torch.empty(count, 2), rng=rng)
    grid = grids.make("uniform")(path, 25)
    for step in sample(truth.predictor(path), path, solvers.make("heun"), x_t, grid, rng=rng):
        x_t = step.x
    drawn = codec.decode(x_t)[:, 0]
    assert drawn.min() >= 0
    assert drawn.max() < 2 * math.pi
    mean = np.exp(1j * drawn).mean()
    assert abs(np.angle(mean)) < 5 * law.std() / math.sqrt(count)
    assert abs(abs(mean) - np.exp(1j * turned).mean().real) < 0.02
    centred = (drawn + math.pi) % (2 * math.pi) - math.pi
    assert stats.kstest(centred, law.cdf).pvalue > 1e-4
    near = np.histogram(centred, bins=np.linspace(-0.2, 0.2, 9))[0]  # bins across the seam
    expected = count * np.diff(law.cdf(np.linspace(-0.2, 0.2, 9)))
    assert stats.chisquare(near, expected * near.sum() / expected.sum()).pvalue > 1e-4


def holes() -> np.ndarray:
    rng = np.random.default_rng(0)
    data = rng.normal([5, -3, 0, 100], [1, 10, 2, 1], (400, 4))
    data[:, 3] = np.nan
    data[rng.random(400) < 0.2, 0] = np.nan
    data[data[:, 1] > 5, 2] = np.nan
    return data


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_missing_numbers_come_back_missing(dtype) -> None:
    data = holes().astype(dtype)
    items = read(data)
    said = " ".join(items.notes)
    assert "1 of 4 entries are missing (NaN) in every item" in said
    assert f"{np.isnan(data[:, [0, 2]]).sum()} values in 2 of 4 entries" in said
    codec = codec_of(items)
    state = codec.encode(data)
    assert state.shape == (400, 5)  # three values, two of them with a ±1 beside
    assert torch.isfinite(state).all()
    absent = torch.from_numpy(np.isnan(data[:, [0, 2]]))
    assert torch.equal(state[:, 3:], torch.where(absent, -1.0, 1.0))
    assert float(state[:, [0, 2]][absent].abs().max()) == 0
    there = state[:, 0][~absent[:, 0]]
    assert abs(float(there.mean())) < 1e-5  # the statistics are those of the values that are there
    assert abs(float(there.std(correction=0)) - 1) < 1e-5
    back = codec.decode(state)
    assert np.array_equal(np.isnan(back), np.isnan(data))
    assert np.nanmax(np.abs(back - data)) < 1e-4


def test_missing_places_of_grids() -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(size=(60, 2, 9, 10)).astype(np.float32)
    data[:, :, 4:, 5:] = np.nan  # land, always
    codec = codec_of(read(data))
    assert codec.state_shape == (2, 9, 10)
    assert codec.missing == ()
    back = codec.decode(codec.encode(data))
    assert np.array_equal(np.isnan(back), np.isnan(data))
    assert np.nanmax(np.abs(back - data)) < 1e-6
    assert np.isnan(codec.decode(torch.randn(3, 2, 9, 10))[:, :, 4:, 5:]).all()
    data[rng.random(60) < 0.3, 1, 0, 0] = np.nan  # a cloud, now and then
    codec = codec_of(read(data))
    assert codec.state_shape == (3, 9, 10)
    back = codec.decode(codec.encode(data))
    assert np.array_equal(np.isnan(back), np.isnan(data))


def test_a_missing_value_where_none_was_is_named() -> None:
    data = holes()
    codec = codec_of(read(data))
    data[3, 1] = np.nan
    with pytest.raises(DataError, match=r"1 values are missing .* channels 1"):
        codec.encode(data)


def test_what_is_missing_in_the_test_part_only_can_still_be_said() -> None:
    data = np.random.default_rng(0).normal(size=(50, 2))
    data[49, 0] = np.nan
    items = read(data)
    codec = codec_of(items.take(np.arange(40)))
    assert np.array_equal(np.isnan(codec.decode(codec.encode(data))), np.isnan(data))


def test_missing_angles() -> None:
    data = np.random.default_rng(0).uniform(0, 6, (200, 3))
    data[::5, 1] = np.nan
    codec = codec_of(read(data, angle=[1, 2]))
    assert codec.state_shape == (1 + 4 + 1,)
    back = codec.decode(codec.encode(data))
    assert np.array_equal(np.isnan(back), np.isnan(data))
    assert np.nanmax(apart(back, data, 2 * math.pi)) < 1e-5


def test_figures_of_arrays_with_holes(tmp_path) -> None:
    look(holes(), path=tmp_path / "a.png")
    data = np.random.default_rng(0).normal(size=(4, 12, 12))
    data[:, :3] = np.nan
    assert len(look(data, path=tmp_path / "b.png").axes[0].images) == 1  # a map, not 12 lines
    assert len(look(data[:, :2], path=tmp_path / "c.png").axes[0].lines) == 2


@pytest.mark.parametrize(
    ("shape", "layout", "state"),
    [
        ((33, 49), None, (1, 33, 49)),
        ((12, 1000), None, (12, 1000)),
        ((3, 50), None, (3, 50)),
        ((33, 49), "NCL", (33, 49)),
        ((256,), None, (256,)),
        ((256,), "NL", (1, 256)),
        ((16, 20, 3), None, (3, 16, 20)),
        ((16, 20, 3), "NCHW", (16, 20, 3)),
        ((16, 20, 30), None, (16, 20, 30)),
        ((16, 20, 30), "NDHW", (1, 16, 20, 30)),
        ((16, 20, 30), "NHWC", (30, 16, 20)),
        ((2, 8, 8, 8), None, (2, 8, 8, 8)),
    ],
)
def test_layouts(shape, layout, state) -> None:
    data = np.random.default_rng(0).normal(size=(5, *shape)).astype(np.float32)
    items = read(data, layout=layout)
    codec = codec_of(items)
    assert codec.state_shape == state
    assert bool(items.notes) == (layout is None and state != shape)
    back = codec.decode(codec.encode(data))
    assert back.shape == data.shape
    assert np.abs(back - data).max() < 1e-5


def test_layouts_and_rings_that_do_not_fit() -> None:
    data = np.zeros((5, 9, 20)) + np.arange(20)
    for layout in ("NHWC", "CHW", "NCC", "NXY", "HWN"):
        with pytest.raises(ArgumentError, match="for example 'NCW'"):
            read(data, layout=layout)
    assert read(data, periodic="2").origin["periodic"] == [1]
    assert read(data, periodic=[-1, 1]).origin["periodic"] == [0, 1]
    assert read(data, periodic=2, layout="NCL").origin["periodic"] == [0]
    with pytest.raises(ArgumentError, match=r"axis 0 is the items.*allowed: 1, 2"):
        read(data, periodic="0")
    with pytest.raises(ArgumentError, match="axis 1 is the channels"):
        read(data, periodic="1", layout="NCL")
    with pytest.raises(ArgumentError, match="are no axes"):
        read(data, periodic="x")


DTYPES = "bool int8 uint8 int16 uint16 int32 uint32 int64 uint64 float16 float32 float64"


@pytest.mark.parametrize("dtype", DTYPES.split())
@pytest.mark.parametrize("shape", [(3,), (2, 5), (2, 3, 4), (1, 2, 3, 2), (2, 3, 2, 2, 2)])
def test_any_rank_and_any_dtype(dtype: str, shape) -> None:
    data = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, (30, *shape))
    data = data.astype(dtype)
    codec = codec_of(read(data))
    back = codec.decode(codec.encode(data))
    assert back.dtype == data.dtype
    assert np.array_equal(back, data) or np.abs(back.astype(float) - data).max() < 1e-4


def test_altered_codecs_are_refused() -> None:
    codec = ArrayCodec.fit(read(holes(), angle=1))
    config, tensors = codec.to_json(), codec.tensors()
    for wrong in ({"missing": [9]}, {"shape": [7]}, {"dtype": "int32"}, {"channel": 4}):
        with pytest.raises(RunError):
            ArrayCodec.from_json({**config, **wrong}, tensors)
