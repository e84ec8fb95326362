"""What simple denoisers reach on the same noised data: a reference that costs nothing to train."""

from __future__ import annotations

import torch
from torch import Tensor

from unfog.maths.affine import Affine

MOST = 2000
"""Training rows that the kernel denoiser looks at."""
WIDE = 1024
"""Longer states have their covariance taken as diagonal."""
WIDTHS = (0.25, 0.5, 1.0, 2.0)
"""Kernel widths that are tried, in units of the usual distance to the nearest neighbour."""


class Gaussian:
    """E[x | x_t] if the data were Gaussian: the best linear denoiser of the training data.

        x_hat = m + alpha C (alpha^2 C + sigma^2)^-1 (x_t - alpha m)

    Args:
        train: (N, D).     labels: (N,) classes, each with a mean of its own; None = one mean.
    """

    def __init__(self, train: Tensor, labels: Tensor | None = None):
        x = train.double()
        self.means = x.mean(0, keepdim=True)
        self.labelled = labels is not None
        index = torch.zeros(len(x), dtype=torch.long)
        if labels is not None:
            count = int(labels.max()) + 1
            sizes = torch.bincount(labels, minlength=count).clamp_min(1).double()[:, None]
            self.means = torch.zeros(count, x.shape[1], dtype=x.dtype)
            self.means.index_add_(0, labels, x)
            self.means /= sizes
            index = labels
        away = x - self.means[index]
        if x.shape[1] > WIDE:
            self.values, self.vectors = away.square().mean(0), None
        else:
            values, vectors = torch.linalg.eigh(away.T @ away / len(x))
            self.values, self.vectors = values.clamp_min(0), vectors

    def __call__(
        self, path: Affine, x_t: Tensor, t: Tensor, labels: Tensor | None = None
    ) -> Tensor:
        """x_hat (B, D) float64 of x_t (B, D) at time t ()."""
        alpha, sigma = path.alpha(t.double()), path.sigma(t.double())
        index = labels if self.labelled and labels is not None else torch.zeros(len(x_t)).long()
        mean = self.means[index]
        away = x_t.double() - alpha * mean
        gain = alpha * self.values / (alpha.square() * self.values + sigma.square())
        if self.vectors is None:
            return mean + away * gain
        return mean + (away @ self.vectors * gain) @ self.vectors.T


class Kernel:
    """E[x | x_t] if the data were its training items, each blurred by a Gaussian.

    Args:
        train: (N, D).     labels: (N,) classes: an item is restored from its own class only.
    """

    def __init__(self, train: Tensor, labels: Tensor | None = None, *, seed: int = 0):
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:MOST]
        self.x = train[order].float()
        self.labels = None if labels is None else labels[order]
        near = torch.cdist(self.x[:500], self.x).topk(min(2, len(self.x)), largest=False).values
        size = max(1, self.x.shape[1])
        self.near = float(near[:, -1].median()) / size**0.5

    def __call__(
        self, path: Affine, x_t: Tensor, t: Tensor, width: float, labels: Tensor | None = None
    ) -> Tensor:
        """x_hat (B, D) float32, each item blurred by `width` usual neighbour distances."""
        alpha, sigma = float(path.alpha(t.double())), float(path.sigma(t.double()))
        blur = (width * self.near) ** 2
        total = alpha**2 * blur + sigma**2
        score = -torch.cdist(x_t.float(), alpha * self.x).square() / (2 * total)
        if self.labels is not None and labels is not None:
            score = score.masked_fill(labels[:, None] != self.labels[None], -torch.inf)
            score[score.isinf().all(1)] = 0
        mean = score.softmax(1) @ self.x
        return mean + alpha * blur / total * (x_t.float() - alpha * mean)


class Reference:
    """The better of a Gaussian and a kernel denoiser at each level, conditional or not."""

    def __init__(self, train: Tensor, labels: Tensor | None = None):
        self.gaussians = [Gaussian(train)]
        self.kernels = [Kernel(train)]
        if labels is not None:
            self.gaussians.append(Gaussian(train, labels))
            self.kernels.append(Kernel(train, labels))

    def errors(
        self, path: Affine, x: Tensor, x_t: Tensor, t: Tensor, labels: Tensor | None = None
    ) -> tuple[Tensor, float]:
        """Squared errors (N,) of the best of all at one level, and the mean of the Gaussian's."""
        linear = [(g(path, x_t, t, labels) - x).square().mean(1) for g in self.gaussians]
        local = [
            (kernel(path, x_t, t, width, labels) - x).square().mean(1)
            for kernel in self.kernels
            for width in WIDTHS
        ]
        best = min(linear + local, key=lambda errors: float(errors.mean()))
        return best.double(), float(linear[0].mean())
