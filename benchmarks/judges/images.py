"""The judge of Fashion-MNIST: a fixed script beside the data, the same for every contestant."""

from __future__ import annotations

import importlib.util
import pathlib
from typing import Any

import numpy as np


def judge(path: pathlib.Path) -> Any:
    """The judge's module, from its file.

    Raises: SystemExit where there is no such file.
    """
    if not path.exists():
        raise SystemExit(f"no judge at {path}; say where with --judge FILE or BENCH_JUDGE")
    spec = importlib.util.spec_from_file_location("bench_judge", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def scored(path: pathlib.Path, images: np.ndarray) -> dict[str, float]:
    """frechet and sliced of (N, H, W) images, uint8 or floats in [0, 1]."""
    found = judge(path).score(images)
    return {"n": found["n"], "frechet": found["frechet"], "sliced": found["sliced"]}


def floor(path: pathlib.Path, train: np.ndarray, count: int) -> dict[str, float]:
    """The same of real training images."""
    order = np.random.default_rng(1).permutation(len(train))
    return scored(path, train[order[:count]])
