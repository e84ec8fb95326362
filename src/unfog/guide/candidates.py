"""Candidates: several tries per row with weights, and those that become the rows."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from unfog.errors import DataError
from unfog.guide.particles import effective
from unfog.maths.tilting import tilt
from unfog.sample.randomness import SampleRng


def pick_each(log_weight: Tensor, rng: SampleRng) -> tuple[Tensor, float]:
    """Of each row's candidates one, with chances as their weights.

    Args:
        log_weight: (R, K).     rng: of R rows.
    Returns: (R,) places among R · K candidates; the mean effective number of candidates.
    """
    rows, size = log_weight.shape
    weight = possible(log_weight)
    below = torch.softmax(weight, 1).cumsum(1)
    u = rng.uniform(weight[:, :1]) * below[:, -1:]
    chosen = torch.searchsorted(below, u, right=True).clamp_max(size - 1)[:, 0]
    return chosen + torch.arange(rows) * size, float(effective(weight).mean())


def pick_together(
    log_weight: Tensor, features: np.ndarray, count: int, seed: int, close: np.ndarray
) -> tuple[Tensor, float, bool]:
    """Rows of which the features' means are 0: weights tilted exponentially, then resampled.

    Systematic resampling in the order of the first feature keeps its mean near; of a single
    feature single rows are then exchanged for others until the mean is as close as wanted.

    Args:
        log_weight: (M,).     features: (M, k).     count: rows.     close: (k,).
    Returns: (count,) places; effective number of candidates per row, at most M / count; whether
        any weights have such means.
    """
    weight = possible(log_weight[None])[0]
    f = torch.from_numpy(features)
    slope, found = tilt(weight, f)
    share = torch.softmax(weight + f.double() @ slope, 0)
    rng = np.random.default_rng(seed)
    order = np.argsort(features[:, 0] + 0.0, kind="stable")
    below = share.numpy()[order].cumsum()
    even = (np.arange(count) + rng.random()) / count * below[-1]
    places = order[np.minimum(np.searchsorted(below, even, side="right"), len(order) - 1)]
    places = rng.permutation(places)
    if features.shape[1] == 1 and found:
        places = _exchanged(places, features[:, 0], share.numpy(), float(close[0]), rng)
    return torch.from_numpy(places), 1 / float(share.square().sum()) / count, found


def possible(log_weight: Tensor) -> Tensor:
    """Weights (R, K), even in a row where none is left. Raises DataError where no row has any."""
    nothing = log_weight.amax(1, keepdim=True) == -math.inf
    if bool(nothing.all()):
        raise DataError(
            "what is asked for together never occurs under this model; ask for less, or for more "
            "candidates"
        )
    return torch.where(nothing, 0.0, log_weight)


def _exchanged(
    places: np.ndarray,
    feature: np.ndarray,
    share: np.ndarray,
    close: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Rows exchanged for candidates a little higher or lower until the mean is within `close`."""
    places = places.copy()
    able = np.flatnonzero(share > 1e-3 / len(share))
    able = able[np.argsort(feature[able], kind="stable")]
    step = float(np.sqrt((share * feature**2).sum()))
    for row in rng.permutation(len(places)):
        short = -feature[places].sum()
        if abs(short) <= close * len(places):
            break
        wanted = feature[places[row]] + np.clip(short, -step, step)
        at = np.searchsorted(feature[able], wanted)
        near = able[np.clip([at - 1, at], 0, len(able) - 1)]
        best = near[np.argmin(np.abs(feature[near] - wanted))]
        if abs(short - (feature[best] - feature[places[row]])) < abs(short):
            places[row] = best
    return places
