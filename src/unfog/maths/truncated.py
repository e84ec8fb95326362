"""Distributions cut to what is allowed: a normal number to spans, categories to shares of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LEAST = 1e-300
"""The chance of what has none that float64 can tell."""


def cut(
    mean: Tensor, std: Tensor, low: Tensor, high: Tensor, *, one: bool = False
) -> tuple[Tensor, Tensor]:
    """The mean of N(mean, std^2) cut to spans, and the logarithm of the spans' chance.

    Args:
        mean: (B, n).     std: () positive.     low, high: (B, n, I) or what broadcasts to it.
        one: the mean is of the likeliest span alone.
    Returns: (B, n), inside the outermost ends; (B,) float64, summed over the numbers.
    """
    m, r = mean.double()[..., None], std.double()
    low, high = (end.double().expand(*mean.shape, -1) for end in (low, high))
    free = (low == -torch.inf) & (high == torch.inf)
    a, b = (low - m) / r, (high - m) / r
    flip = a > 0
    a, b = torch.where(flip, -b, a), torch.where(flip, -a, b)
    below, above = (torch.special.log_ndtr(end) for end in (a, b))
    gap = (below - above).clamp_max(-1e-15)
    log = torch.where(high >= low, above + torch.log(-torch.expm1(gap)), -torch.inf)
    density = [torch.exp(-end.square() / 2 - 0.5 * math.log(2 * math.pi) - log) for end in (a, b)]
    shift = torch.where(log > -torch.inf, density[0] - density[1], 0.0) * torch.where(flip, -1, 1)
    each_mean = torch.minimum(torch.maximum(m + r * shift, low), high)
    each_mean = torch.where(high >= low, each_mean, 0.0)
    total = log.logsumexp(-1)
    share = torch.softmax(log, -1)
    if one:
        share = (torch.arange(log.shape[-1]).to(log.device) == log.argmax(-1, keepdim=True)).to(log)
    inside = (share * each_mean).sum(-1)
    untouched = free.any(-1)
    inside = torch.where(untouched, mean.double(), inside)
    return inside.to(mean), torch.where(untouched, 0.0, total).sum(-1)


def truncated(spans: Tensor, which: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
    """A standard normal number inside spans, and the logarithm of their chance.

    Args:
        spans: (B, I, 2) ends, float64; they do not overlap.
        which, where: (B,) uniform numbers: of the span, and of the place in it.
    Returns: (B,) numbers, (B,) float64.
    """
    low, high = spans[..., 0], spans[..., 1]
    # upper tails are measured from above, where float64 tells them apart
    far = low > 0
    a, b = torch.where(far, -high, low), torch.where(far, -low, high)
    start = torch.special.ndtr(a)
    mass = torch.special.ndtr(b) - start
    total = mass.cumsum(1)
    chosen = torch.searchsorted(total, (which * total[:, -1])[:, None], right=True)
    chosen = chosen.clamp_max(spans.shape[1] - 1)
    start, mass, far, low, high = (
        value.gather(1, chosen)[:, 0] for value in (start, mass, far, low, high)
    )
    z = torch.special.ndtri(start + where * mass) * torch.where(far, -1, 1)
    return torch.minimum(torch.maximum(z, low), high), total[:, -1].clamp_min(LEAST).log()


def restricted(chance: Tensor, shares: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """A category of a distribution times shares, and the logarithm of what is left of it.

    Where nothing is left that float64 can tell, any with a share is as likely as another.

    Args:
        chance: (B, K).     shares: (B, K) in [0, 1], or (1, K).     u: (B,) uniform numbers.
    Returns: (B,) long, (B,) float64.
    """
    left = chance.double() * shares
    total = left.sum(1)
    left = torch.where(total[:, None] > 0, left, shares.double())
    below = left.cumsum(1)
    code = torch.searchsorted(below, (u * below[:, -1])[:, None], right=True)[:, 0]
    last = (left > 0).double().cumsum(1).argmax(1)  # where u rounds up to the total
    return torch.minimum(code, last), total.clamp_min(LEAST).log()
