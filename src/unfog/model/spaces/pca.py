"""Principal components: the few directions in which the data varies most."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError, DataError, ShapeError
from unfog.maths.randomness import BatchRng
from unfog.model.spaces.space import Space, parted, spaces

EXACT = 1536  # up to this many rows or columns the eigen-decomposition is exact
FLAT = 1e-10  # a direction with this share of the largest variance, or less, is rounding error


@spaces.add("pca", aliases=("principal", "kl"), reference="Halko et al. 2011, alg. 4.4 and 5.1")
@dataclass(frozen=True, eq=False)
class Principal(Space):
    """Principal components of the flattened state: u = scale · gain (basis (x - mean)), (B, K).

    What to whiten is a choice of noise. Unwhitened (the default) the map is orthogonal up to one
    number: white noise on u is white noise on x, and diffusion resolves strong components
    first, as it does on x itself; a net then sees entries of very different size. Fully whitened,
    every component drowns at the same t and the loss counts a weak one as much as a strong one:
    the net works for components that nobody sees. A power between is a compromise.

    Args:
        power: component k is divided by its variance^(power / 2); 0 orthogonal, 1 white.
        mean: (D,).     basis: (K, D) orthonormal rows, strongest first.     gain: (K,).
    """

    power: float = 0.0
    mean: Any = None
    basis: Any = None
    gain: Any = None

    @classmethod
    def fit(
        cls,
        x: Tensor,
        *,
        components: int | None = None,
        explained: float | None = None,
        whiten: str | float = "none",
        held_out: Tensor | None = None,
        std: float | None = 1.0,
        seed: int = 0,
    ) -> Principal:
        """Fit on x, (N, *D): at most 20 000 random rows, 4 096 where there are many columns too.

        Args:
            components: how many.     explained: or how much of the variance, in (0, 1]; 0.99 if
                neither is said. With both, as many as explain that much, at most `components`.
            whiten: "none", "full", or a power in [0, 1].
            held_out: (M, *D) rows for the error; without them a tenth of x, at most 1000, is
                set aside.
            std: the latent's standard deviation over all entries; None leaves the data's units.
            seed: of the rows that are read and of the random projection.
        Raises: ArgumentError for more components alone than the rows have directions.
        """
        power = _power(whiten)
        _check(components, explained)
        rows, held_out = parted(x, held_out, std, seed)
        mean, values, basis = _decompose(rows.flatten(1), components, explained, seed)
        spread = values.pow(1 - power).mean().sqrt().item()
        space = cls(
            data_shape=tuple(x.shape[1:]),
            shape=(len(basis),),
            power=power,
            mean=mean.float(),
            basis=basis.float(),
            gain=values.pow(-power / 2).float(),
        )
        return space.measured(spread, held_out, std)

    def extended(self, x: Tensor, *, explained: float = 0.99, components: int = 256) -> Principal:
        """This space's directions as they are, then those of what they miss of other data.

        A net that reads and writes the first ones means the same by them as before.

        Args:
            x: (N, *D) the other data.     explained: share of x's variance to keep in the end.
            components: how many directions are added at the most.
        """
        if tuple(x.shape[1:]) != self.data_shape:
            raise ShapeError(f"x has items of {tuple(x.shape[1:])}, the space {self.data_shape}")
        flat = x.flatten(1).float()
        gone = flat - self.synthesise(self.analyse(x.float())).flatten(1)
        total = (flat - flat.mean(0)).square().sum().item() / len(flat)
        values, vectors = _variances(gone, len(gone))  # about zero: an offset is missed as well
        left = values.sum() - values.cumsum(0)
        wanted = (1 - explained) * total
        count = 0 if float(values.sum()) <= wanted else int((left > wanted).sum()) + 1
        count = min(count, components, int((values > FLAT * total).sum()))
        if not count:
            return self
        return replace(
            self,
            shape=(self.shape[0] + count,),
            basis=torch.cat([self.basis, _directions(gone, vectors[:, :count]).to(self.basis)]),
            gain=torch.cat([self.gain, values[:count].pow(-self.power / 2).to(self.gain)]),
        )

    @property
    def orthogonal(self) -> bool:
        return self.power == 0

    @property
    def lossless(self) -> bool:
        return self.shape[0] == math.prod(self.data_shape)

    @property
    def log_volume(self) -> float:
        return super().log_volume + float(self.gain.double().log().sum())

    def analyse(self, x: Tensor) -> Tensor:
        return ((x.flatten(1) - self.mean.to(x)) @ self.basis.to(x).mT) * self.gain.to(x)

    def synthesise(self, u: Tensor) -> Tensor:
        x = (u / self.gain.to(u)) @ self.basis.to(u) + self.mean.to(u)
        return x.unflatten(1, self.data_shape)


def _power(whiten: str | float) -> float:
    power = {"none": 0.0, "full": 1.0}.get(whiten) if isinstance(whiten, str) else whiten
    if power is None or not 0 <= power <= 1:
        raise ArgumentError(f'whiten is "none", "full" or a power in [0, 1]; got {whiten!r}')
    return float(power)


def _check(components: int | None, explained: float | None) -> None:
    if components is not None and components < 1:
        raise ArgumentError(f"components must be 1 or more; got {components}")
    if explained is not None and not 0 < explained <= 1:
        raise ArgumentError(f"explained is a share of the variance in (0, 1]; got {explained}")


def _decompose(
    columns: Tensor, components: int | None, explained: float | None, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (D,), variances (K,) and components (K, D) of rows (N, D), strongest first."""
    wanted = 0.99 if explained is None else explained
    guess = min(components or 128, *columns.shape)
    while True:
        # only as many rows as the guess needs: the time of a fit is part of a user's budget
        exact = min(columns.shape) <= EXACT or 3 * guess > min(columns.shape)
        rows = columns if exact else columns[: max(4096, 8 * guess)]
        mean = rows.mean(0)
        away = rows - mean
        total = torch.linalg.vector_norm(away, dtype=torch.float64).item() ** 2 / len(away)
        if not total > 0:
            raise DataError(f"the {len(rows)} rows are all the same; there is nothing to learn")
        kept = away if exact else _projected(away, guess, seed)
        values, vectors = _variances(kept, len(away))
        values = values[: max(guess, len(values) if exact else 0)]
        rank = int((values > FLAT * values[0]).sum())
        if components is not None and explained is None:
            if components > rank:
                raise ArgumentError(
                    f"components = {components}, but {len(rows)} rows of {rows.shape[1]} values "
                    f"vary in only {rank} directions; ask for at most {rank}"
                )
            return mean, values[:components], _directions(kept, vectors[:, :components])
        share = values[:rank].cumsum(0) / total
        if exact or share[-1] >= wanted or guess == components:
            # a hair below what was asked: the sum of all shares may round to less than 1
            count = min(rank, int((share < wanted * (1 - 1e-9)).sum()) + 1)
            count = min(count, components or count)
            return mean, values[:count], _directions(kept, vectors[:, :count])
        guess *= 2


def _variances(kept: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Falling variances, and eigenvectors as columns, of the smaller Gram matrix of (N, D)."""
    kept = kept.double()
    gram = kept @ kept.mT if kept.shape[1] > kept.shape[0] else kept.mT @ kept
    values, vectors = torch.linalg.eigh(gram / count)
    return values.flip(0).clamp_min(0), vectors.flip(1)


def _directions(kept: Tensor, vectors: Tensor) -> Tensor:
    """Orthonormal rows (K, D); the largest entry of each is positive, so that machines agree."""
    vectors = vectors.to(kept)
    columns = kept.mT @ vectors if kept.shape[1] > kept.shape[0] else vectors
    basis = torch.linalg.qr(columns)[0].mT
    largest = basis.gather(1, basis.abs().argmax(1, keepdim=True))
    return basis * largest.sign()


def _projected(away: Tensor, count: int, seed: int) -> Tensor:
    """Centred rows (N, D) in their `count` + 32 strongest left directions: (count + 32, D).

    Ref: Halko et al. 2011, Finding Structure with Randomness, alg. 4.4, two power iterations.
    """
    width = min(count + 32, *away.shape)
    sketch = away @ BatchRng(seed, 2).normal(away.new_empty(away.shape[1], width))
    for _ in range(2):
        sketch = away @ torch.linalg.qr(away.mT @ torch.linalg.qr(sketch)[0])[0]
    return torch.linalg.qr(sketch)[0].mT @ away
