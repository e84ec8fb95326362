"""Whole runs on arrays with holes, angles, rings and odd sizes: fit, load, sample, judge."""

from __future__ import annotations

import numpy as np
import pytest

import unfog
from unfog.cli import run as cli
from unfog.errors import ArgumentError

TINY = ["--set", "net.width=8", "--set", "net.mult=[1,1]", "--set", "net.blocks=1"]


def test_missing_angles_from_the_command_line(tmp_path, capsys) -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(size=(200, 4))
    data[:, 2] = rng.uniform(0, 360, 200)
    data[rng.random(200) < 0.3, 1] = np.nan
    data[:, 3] = np.nan
    np.save(tmp_path / "x.npy", data)
    ask = ["fit", str(tmp_path / "x.npy"), "-o", str(tmp_path / "run"), "--steps", "30"]
    assert cli([*ask, "--angle", "2:deg"]) == 0
    said = capsys.readouterr().err
    assert "1 of 4 entries are missing (NaN) in every item" in said
    assert "that they are missing is learnt" in said
    assert cli(["sample", str(tmp_path / "run"), "-n", "64", "-o", str(tmp_path / "s.npy")]) == 0
    drawn = np.load(tmp_path / "s.npy")
    assert drawn.shape == (64, 4)
    assert np.isnan(drawn[:, 3]).all()
    assert not np.isnan(drawn[:, [0, 2]]).any()
    assert 0 <= drawn[:, 2].min() <= drawn[:, 2].max() < 360
    assert unfog.load(tmp_path / "run").borders.codec.state_shape == (5,)


def test_rings_reach_the_net_and_come_back(tmp_path, capsys) -> None:
    data = np.random.default_rng(0).normal(size=(24, 9, 10)).astype(np.float32)
    np.save(tmp_path / "x.npy", data)
    ask = ["fit", str(tmp_path / "x.npy"), "-o", str(tmp_path / "run"), "--steps", "2"]
    assert cli([*ask, "--periodic", "2", *TINY]) == 0
    assert "read as a grid of one channel" in capsys.readouterr().err
    model = unfog.load(tmp_path / "run")
    assert model.config.net["periodic"] == [1]
    assert model.config.shape == [1, 9, 10]
    assert model.sample(2, show=False).raw.shape == (2, 9, 10)


def test_a_net_that_can_not_close_rings_says_so() -> None:
    data = np.random.default_rng(0).normal(size=(24, 9, 10)).astype(np.float32)
    model = unfog.fit(data, steps=2, reading={"periodic": [2]}, settings={"net": "mlp"}, quiet=True)
    assert any("make no difference to the net 'mlp'" in text for text in model.config.reasons)


@pytest.mark.parametrize(
    ("shape", "options"), [((1, 40), {}), ((2, 9, 11), {}), ((1, 8, 9, 8), {}), ((40,), "NL")]
)
def test_grids_of_one_to_three_axes_with_sizes_that_no_stride_divides(shape, options) -> None:
    data = np.random.default_rng(0).normal(size=(20, *shape)).astype(np.float32)
    model = unfog.fit(
        data,
        steps=2,
        batch=4,
        reading={"layout": options} if options else {},
        settings={"net": "unet", "net.width": 8, "net.blocks": 1},
        quiet=True,
    )
    assert model.config.net["name"] == "unet"
    assert model.config.space["name"] == "identity"  # few grids are offered principal components
    assert model.sample(2, steps=2, show=False).raw.shape == (2, *shape)


def test_reading_options_of_another_kind_are_named() -> None:
    data = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(ArgumentError, match=r"size=8 is no option of reading arrays; .* angle"):
        unfog.fit(data, steps=2, reading={"size": 8}, quiet=True)
