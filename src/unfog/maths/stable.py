"""Stable targets: what data and noise were on average, given the noised state.

Any item of the batch could have been noised to x_t, each with its own likelihood. Where they are
many, the target of the one that was is mostly chance, which the net has to average out update by
update. Its mean over the batch has the same expectation given x_t, and less variance: which item of
the batch a row was drawn from is uniform, so this is the Rao-Blackwell estimate given the batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfog.maths.affine import Affine, Noised
from unfog.maths.states import expand
from unfog.maths.targets import Target

TINY = 1e-6
"""Shares of data and noise that are divided by are at least this."""
GROUP = 512
"""Items that a mean is over, at most; of more, groups of so many are batches of their own."""


@dataclass(frozen=True)
class Stable:
    """A target y = a x + b z whose x and z are means over the items that could have been noised.

    Args:
        target: whose row (a, b) is asked.     among: (N, *D) the whole batch, all equally likely.
        start: where in it the rows begin that are asked for.
    Ref: Xu, Tong & Jaakkola 2023, Stable Target Field for Reduced Variance Score Estimation in
    Diffusion Models, sec. 3, with the batch itself as the reference batch.
    """

    target: Target
    among: Tensor
    start: int = 0

    def error(self, path: Affine, y: Tensor, x: Tensor, noised: Noised) -> Tensor:
        """Squared error of the answer y, per entry, (B, *D)."""
        means, noises, stop = [], [], self.start + len(x)
        for first in range(self.start // GROUP * GROUP, stop, GROUP):
            rows = slice(max(first, self.start) - self.start, min(first + GROUP, stop) - self.start)
            part = Noised(noised.x_t[rows], noised.z[rows], noised.t[rows])
            mean, told = expected(path, x[rows], part, self.among[first : first + GROUP])
            means.append(mean)
            noises.append(told.z)
        told = replace(noised, z=torch.cat(noises))
        return self.target.error(path, y, torch.cat(means), told)


def expected(path: Affine, x: Tensor, noised: Noised, among: Tensor) -> tuple[Tensor, Noised]:
    """E[x | x_t] and the same state with E[z | x_t], where x is one of `among`.

    Args:
        x: (B, *D), rows of `among`.     noised: made from it, t of shape (B,).
        among: (N, *D).
    """
    x_t, t = noised.x_t, noised.t
    alpha = path.alpha(t).clamp_min(TINY).to(x_t.dtype)
    sigma = path.sigma(t).clamp_min(TINY).to(x_t.dtype)
    # differences, not products: near the data the likelihood lives on their last digits
    items = among.reshape(len(among), -1)
    far = torch.cdist(
        x_t.reshape(len(x_t), -1) / alpha[:, None],
        items,
        compute_mode="donot_use_mm_for_euclid_dist",
    )
    share = torch.softmax((far * (alpha / sigma)[:, None]).square() / -2, 1)
    mean = (share @ items).view_as(x)
    z = noised.z + expand(alpha / sigma, x) * (x - mean)
    return mean, replace(noised, z=z)
