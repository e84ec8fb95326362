"""Pseudo-labels: clusters of principal components, where the data has no classes of its own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unfog.judge.principal import Components, principal


@dataclass(frozen=True)
class Clusters:
    """Centres (K, r) in the coordinates of principal components of items of one shape."""

    components: Components
    centres: Tensor

    def assign(self, x: Tensor) -> Tensor:
        """The nearest centre (N,) of items x (N, *D)."""
        return torch.cdist(self.components(x.flatten(1)), self.centres).argmin(1)

    def tensors(self) -> dict[str, Tensor]:
        """What a file has to hold."""
        return {
            "mean": self.components.mean,
            "directions": self.components.directions,
            "centres": self.centres,
        }

    @classmethod
    def of(cls, tensors: dict[str, Tensor]) -> Clusters:
        """The inverse of `tensors`."""
        return cls(Components(tensors["mean"], tensors["directions"]), tensors["centres"])


def clusters(x: Tensor, *, generator: torch.Generator, most: int = 10) -> Clusters:
    """k-means of items x (N, *D): a cluster for every 20 items, at least 2, at most `most`."""
    from scipy.cluster.vq import kmeans2

    flat = x.flatten(1)
    components = principal(flat, 32, generator=generator)
    places = components(flat).double().numpy()
    k = max(2, min(most, len(x) // 20))
    start = torch.randperm(len(x), generator=generator)[:1]
    chosen = [int(start)]
    gaps = torch.cdist(components(flat), components(flat[start]))[:, 0]
    for _ in range(k - 1):  # the farthest item next: spread-out starts leave no cluster empty
        if float(gaps.max()) == 0:
            break
        chosen.append(int(gaps.argmax()))
        gaps = gaps.minimum(torch.cdist(components(flat), components(flat[chosen[-1:]]))[:, 0])
    centres, _ = kmeans2(places, places[chosen], iter=25, minit="matrix")
    return Clusters(components, torch.from_numpy(centres).float())
