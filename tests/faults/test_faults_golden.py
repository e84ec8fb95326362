"""Runs that former versions wrote: read as they are, and what is newer or foreign refused."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pandas as pd
import pytest
import torch
from faults_mutations import GOLDEN, golden, put, sign

import unfog
from unfog.errors import RunError
from unfog.model import files
from unfog.version import FORMAT

HELD = sorted(GOLDEN.glob("format-*/*"))
DRAWN = {"count": 4, "steps": 4, "seed": 7}


def test_every_kind_has_a_golden_run_of_this_format() -> None:
    held = {folder.name for folder in HELD if folder.parent.name == f"format-{FORMAT}"}
    assert held == {"image", "array", "table"}
    for folder in HELD:
        assert sum(path.stat().st_size for path in folder.iterdir()) < 200_000


@pytest.mark.parametrize("folder", HELD, ids=lambda f: f"{f.parent.name}-{f.name}")
def test_a_golden_run_draws_the_samples_it_was_kept_with(folder: pathlib.Path) -> None:
    drawn = unfog.load(folder).sample(**DRAWN)
    state = drawn.state if isinstance(drawn.state, dict) else {"state": drawn.state}
    with np.load(folder / "state.npz") as kept:
        assert set(kept.files) == set(state)
        for name in kept.files:
            if kept[name].dtype.kind == "i":
                assert np.array_equal(state[name].numpy(), kept[name])
            else:
                assert np.allclose(state[name].numpy(), kept[name], atol=1e-4, rtol=1e-4)
    if drawn.kind == "table":
        kept_rows = pd.read_csv(folder / "samples.csv", parse_dates=["born"])
        made = drawn.data
        assert list(made.columns) == list(kept_rows.columns)
        for name in ("legs", "colour", "born"):
            assert made[name].tolist() == kept_rows[name].tolist()
        heights = made["height"].to_numpy(), kept_rows["height"].to_numpy()
        assert np.allclose(*heights, atol=1e-3, equal_nan=True)  # written with three decimals
    else:
        kept_data = np.load(folder / "samples.npy")
        assert np.asarray(drawn.raw).dtype == kept_data.dtype
        step = 1 if kept_data.dtype == np.uint8 else 1e-4  # a grey level may round either way
        assert np.abs(np.asarray(drawn.raw, float) - kept_data).max() <= step


@pytest.mark.parametrize("kind", ["image", "array", "table"])
def test_a_newer_format_is_refused_by_name(tmp_path: pathlib.Path, kind: str) -> None:
    run = golden(kind, tmp_path)
    content = json.loads((run / "config.json").read_text())
    put(content, ("format",), FORMAT + 1)
    put(content, ("version",), "9.9")
    content["a_key_of_the_future"] = {"deep": [1]}
    (run / "config.json").write_text(json.dumps(content))
    sign(run)
    with pytest.raises(RunError, match=rf"unfog 9\.9 in run format {FORMAT + 1}.*update unfog"):
        unfog.load(run)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16, torch.int32])
def test_weights_of_another_dtype_are_refused_by_name(tmp_path: pathlib.Path, dtype) -> None:
    run = golden("array", tmp_path)
    tensors = files.read_tensors(run / "model.safetensors")
    name = next(iter(sorted(tensors)))
    tensors[name] = tensors[name].to(dtype)
    files.write_tensors(run / "model.safetensors", tensors)
    sign(run)
    with pytest.raises(RunError, match=rf"misshapen.*{name}.*{dtype}, expected.*float32"):
        unfog.load(run)
