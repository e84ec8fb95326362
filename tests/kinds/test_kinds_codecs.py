"""Codec laws: decode(encode(x)) = x, fitted on what it was given only, survives save and load."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from unfog.errors import DataError, RunError, ShapeError
from unfog.kinds import kinds
from unfog.kinds.items import Items
from unfog.kinds.scale import Standard


def saved_and_loaded(codec):
    config = json.loads(json.dumps(codec.to_json()))
    return type(codec).from_json(config, load(save(codec.tensors())))


def fitted(kind: str, data: np.ndarray):
    return saved_and_loaded(kinds[kind].codec.fit(Items(kind, data)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_pixel_value_comes_back(dtype) -> None:
    most = np.iinfo(dtype).max
    side = int((most + 1) ** 0.5)
    data = np.arange(most + 1, dtype=dtype).reshape(1, side, side, 1)
    codec = fitted("image", data)
    state = codec.encode(data)
    assert state.shape == (1, *codec.state_shape) == (1, 1, side, side)
    assert (state.min(), state.max()) == (-1, 1)
    assert np.array_equal(codec.decode(state), data)
    beyond = codec.decode(state * 3)
    assert beyond.min() == 0
    assert beyond.max() == most


def test_channels_go_first() -> None:
    data = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), dtype=np.uint8)
    state = fitted("image", data).encode(data)
    assert torch.allclose(state[1, 2], torch.from_numpy(data[1, :, :, 2] / 127.5 - 1).float())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_images_are_standardised_per_channel(dtype) -> None:
    scale = np.array([1, 100, 1e-3])
    data = (np.random.default_rng(0).normal(5, 1, (40, 6, 6, 3)) * scale).astype(dtype)
    codec = fitted("image", data)
    state = codec.encode(data)
    assert torch.allclose(state.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(state.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5)
    back = codec.decode(state)
    assert back.dtype == dtype
    assert np.all(np.abs(back - data) <= 1e-5 * scale)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3,), (4, 16), (4, 8, 8), (2, 3, 4, 5)])
def test_arrays_come_back(shape: tuple[int, ...], dtype) -> None:
    data = np.random.default_rng(0).normal(7, 3, (50, *shape)).astype(dtype)
    codec = fitted("array", data)
    state = codec.encode(data)
    assert state.dtype == torch.float32
    axes = tuple(axis for axis in range(data.ndim) if axis != 1)
    assert torch.allclose(state.mean(axes), torch.zeros(shape[0]), atol=1e-5)
    assert torch.allclose(state.std(axes, correction=0), torch.ones(shape[0]), atol=1e-5)
    back = codec.decode(state)
    assert back.dtype == dtype
    assert np.abs(back - data).max() < 1e-5


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "int32", "int64", "uint64"])
def test_integers_come_back_exactly_and_stay_in_range(dtype: str) -> None:
    rng = np.random.default_rng(0)
    data = rng.integers(0, 2 if dtype == "bool" else 100, (50, 5)).astype(dtype)
    codec = fitted("array", data)
    state = codec.encode(data)
    assert np.array_equal(codec.decode(state), data)
    wild = codec.decode(state * 1e25)
    assert wild.dtype == data.dtype
    if dtype != "bool":
        info = np.iinfo(dtype)
        assert wild.min() == info.min
        assert wild.max() > 0.999 * info.max


def test_constants_and_extremes_come_back() -> None:
    data = np.stack([np.full(9, 0.1), np.full(9, -3e300), np.linspace(1e300, 9e307, 9)], axis=1)
    codec = fitted("array", data)
    assert codec.standard.std[0] == 1
    state = codec.encode(data)
    assert torch.isfinite(state).all()
    back = codec.decode(state)
    assert np.array_equal(back[:, :2], data[:, :2])
    assert np.abs(back[:, 2] - data[:, 2]).max() < 1e-6 * codec.standard.std[2]


def test_the_codec_sees_the_training_split_only() -> None:
    data = np.random.default_rng(0).normal(size=(100, 2))
    data[50:] += 1000
    items = Items("array", data)
    codec = kinds["array"].codec.fit(items.take(np.arange(50)))
    assert np.allclose(codec.standard.mean, data[:50].mean(0))
    assert np.abs(codec.decode(codec.encode(data)) - data).max() < 1e-4


def test_the_scale_of_slabs_is_that_of_the_whole() -> None:
    data = np.random.default_rng(0).normal(3, 2, (10_000, 3))
    made = Standard.fit(data)
    assert np.allclose(made.mean, data.mean(0))
    assert np.allclose(made.std, data.std(0))
    data[::7] = np.nan
    holes = Standard.fit(data)
    assert np.allclose(holes.mean, np.nanmean(data, 0))
    assert np.allclose(holes.std, np.nanstd(data, 0))


@pytest.mark.parametrize("kind", ["image", "array"])
def test_what_does_not_fit_is_refused(kind: str) -> None:
    data = np.random.default_rng(0).normal(size=(5, 4, 4, 2)).astype(np.float32)
    codec = fitted(kind, data)
    state = codec.encode(data)
    state[0, 0, 0, 0] = torch.nan
    with pytest.raises(DataError, match="NaN"):
        codec.decode(state)
    with pytest.raises(ShapeError):
        codec.decode(state[:, :1])
    with pytest.raises(ShapeError):
        codec.encode(data[:, :3])
    with pytest.raises(RunError):
        type(codec).from_json(codec.to_json() | {"dtype": "object"}, codec.tensors())
