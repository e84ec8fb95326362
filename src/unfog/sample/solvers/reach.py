"""How far into a step its mean prediction lies, on any affine path.

The exact solution over a step is

    x_s = (sigma_s / sigma_t) x_t + sigma_s int x_hat d(alpha / sigma),

so the prediction to trust is x_hat's mean under d(alpha / sigma). We take x_hat as linear in
c = cos(u), u = atan2(sigma, alpha): near data c is quadratic in sigma, as x_hat is for every smooth
density, and near noise it is linear in alpha / sigma, as x_hat is there. In log-SNR, the usual
choice, pure noise is infinitely far away; in t or u the order drops by a logarithm near data.
The mean of c is then closed, since cot(u) = alpha / sigma and int cos(u) d cot(u) = 1 / sin(u):

    (1/sin s - 1/sin t) / (cot s - cot t) = cos((t + s) / 2) / cos((t - s) / 2)      (t, s the
    angles)
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from unfog.maths.paths import Affine


def reach(path: Affine, t: Tensor, s: Tensor, since: Tensor) -> Tensor:
    """(mean c over the step - c_t) / (c_t - c_since): how many intervals of predictions to
    extrapolate.

    Args:
        t, s: the step's ends.     since: where the other prediction was made; s itself to
            interpolate.
    """
    start, end, other = path.angle(t), path.angle(s), path.angle(since)
    mean = torch.cos((start + end) / 2) / torch.cos((start - end) / 2)
    return (mean - torch.cos(start)) / (torch.cos(start) - torch.cos(other))


@lru_cache(maxsize=4096)
def reach_at(path: Affine, t: float, s: float, since: float) -> float:
    """`reach` at one time for the whole batch, a number."""
    return reach(path, *(torch.tensor(v, dtype=torch.float64) for v in (t, s, since))).item()
