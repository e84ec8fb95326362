"""Novelty: are samples nearer to training items than unseen real items are?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError, DataError
from unfog.judge import bootstrap
from unfog.judge.case import Case, metrics
from unfog.judge.classifier import JudgeNet
from unfog.judge.figure import Figure
from unfog.judge.states import alike, rng, rows, subset

NEIGHBOURS = 20
LEAST_UNSEEN = 5
MOST_UNSEEN = 2000


@dataclass(frozen=True)
class Novelty:
    """Every sample's nearest training item, and how many are suspiciously near.

    Args:
        figure: the copy rate with its control.      threshold: the distance up to which it counts.
        nearest: (N,) index of the nearest training item.      distance: (N,) to it, as compared.
        score: (N,) share of unseen real items that are at most as near, in [0, 1]; 0 = suspicious.
    """

    figure: Figure
    threshold: float
    nearest: Tensor
    distance: Tensor
    score: Tensor

    @property
    def copied(self) -> Tensor:
        """(N,) True where a sample counts as a copy."""
        return self.distance <= self.threshold


def nearest(x: Any, train: Any, *, k: int = 1, chunk: int = 256) -> tuple[Tensor, Tensor]:
    """Distances (N, k), ascending, and indices (N, k) of the nearest training items.

    Candidates come from one matrix product per chunk; the distance to the nearest is then taken
    from the difference itself, so that an exact copy is at exactly zero.
    """
    x, train = rows(x, "x"), rows(train, "train")
    alike(x, train)
    k = min(k, len(train))
    middle = train.mean(0)  # distances do not change, rounding gets smaller
    b = train - middle
    half = b.square().sum(1) / 2
    gaps, found = [], []
    for part in (x - middle).split(chunk):
        close = torch.addmm(half, part, b.T, alpha=-1)
        if k == 1:
            close, index = close.min(1, keepdim=True)
        else:
            close, index = torch.topk(close, k, largest=False)
        gap = (2 * close + part.square().sum(1, keepdim=True)).clamp(min=0).sqrt()
        gap[:, 0] = (part - b[index[:, 0]]).norm(dim=1)
        gaps.append(gap)
        found.append(index)
    return torch.cat(gaps), torch.cat(found)


def without(gaps: Tensor, index: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """Neighbours (N, K) of training items less the item itself (its number in `own`), or less the
    farthest where it is not among them: (N, K - 1).
    """
    kept = torch.sort((index == own[:, None]).to(torch.uint8), dim=1, stable=True).indices
    return gaps.gather(1, kept)[:, :-1], index.gather(1, kept)[:, :-1]


def novelty(
    samples: Any,
    train: Any,
    unseen: Any,
    *,
    percent: float = 5.0,
    relative: bool = False,
    name: str = "novelty",
    place: str = "values",
    notes: tuple[str, ...] = (),
) -> Novelty:
    """Copy rate: the share of samples nearer to a training item than the nearest unseen ones are.

    The threshold is the k-th smallest nearest-training distance of m unseen items, k about
    `percent` % of m + 1. Then a further real item is below it with chance k / (m + 1), and that
    chance, as a random number, is Beta(k, m + 1 - k): control and interval hold for any law and m.

    Args:
        samples: (N, *D).      train: (T, *D) what the generator learnt from.
        unseen: (M, *D) real items that it did not.
        relative: compare the distance to the nearest with the mean distance to the next 20. Blurred
            samples are nearer to everything, copies only to one.
    Raises: DataError for fewer than 5 unseen items; ArgumentError for a percent outside (0, 50].
    Ref: Carlini et al. 2023, Extracting training data from diffusion models, section 5;
        Wilks 1941, Determination of sample sizes for setting tolerance limits.
    """
    return copy_rate(
        _nearness(samples, train, relative),
        _nearness(unseen, train, relative)[0],
        percent=percent,
        name=name,
        place=place,
        notes=notes,
    )


def copy_rate(
    near: tuple[Tensor, Tensor],
    control: Tensor,
    *,
    percent: float = 5.0,
    name: str = "novelty",
    place: str = "values",
    notes: tuple[str, ...] = (),
) -> Novelty:
    """`novelty` from distances that are known already.

    Args:
        near: (N,) distance of each sample to its nearest training item, and (N,) its index.
        control: (M,) distances of unseen real items to their nearest training items.
    Raises: as `novelty`.
    """
    if not 0 < percent <= 50:
        raise ArgumentError(f"percent={percent}; allowed: above 0, at most 50")
    m = len(control)
    if m < LEAST_UNSEEN:
        raise DataError(f"{m} unseen items; novelty needs at least {LEAST_UNSEEN} to compare with")
    distance, index = near
    control = control.sort().values
    k = max(1, int(percent / 100 * (m + 1)))
    threshold = float(control[k - 1])
    k = int((control <= threshold).sum())  # ties at the threshold, as discrete data has, all count
    n, hits = len(distance), int((distance <= threshold).sum())
    low, high = bootstrap.share(hits, n)
    floor_low, floor_high = _tolerance(k, m)
    floor = k / (m + 1)
    if abs(floor - percent / 100) > 0.01:
        notes = (*notes, f"{m} unseen items resolve {100 * floor:.1f} %, not {percent:g} %")
    figure = Figure(
        name=name,
        value=hits / n,
        low=low,
        high=high,
        floor=floor,
        floor_low=floor_low,
        floor_high=floor_high,
        better="lower",
        n=n,
        unit="share",
        notes=notes,
    )
    figure = replace(figure, words=_words(figure, place))
    score = torch.searchsorted(control, distance, right=True) / m
    return Novelty(figure, threshold, index, distance, score)


def _nearness(x: Any, train: Any, relative: bool) -> tuple[Tensor, Tensor]:
    gaps, index = nearest(x, train, k=NEIGHBOURS + 1 if relative else 1)
    if relative and gaps.shape[1] > 1:
        return gaps[:, 0] / gaps[:, 1:].mean(1).clamp(min=1e-12), index[:, 0]
    return gaps[:, 0], index[:, 0]


def _tolerance(k: int, m: int) -> tuple[float, float]:
    from scipy.stats import beta

    tail = (1 - bootstrap.LEVEL) / 2
    low, high = beta.ppf([tail, 1 - tail], k, m + 1 - k)
    return float(low), float(high)


def _words(figure: Figure, place: str) -> str:
    real = f"{100 * (1 - figure.floor):.0f} % of real unseen items are"
    control = (
        f"control {100 * figure.floor:.1f} %, {100 * figure.floor_low:.1f} to "
        f"{100 * figure.floor_high:.1f}"
    )
    measured = (
        f"{100 * figure.value:.1f} % ({100 * figure.low:.1f} to {100 * figure.high:.1f}) of "
        f"samples are nearer to a training item in {place} than {real} ({control})"
    )
    if not figure.at_floor:
        return f"{measured}: " + ("copies" if figure.low > 0.5 else "some are copies")
    if figure.value > figure.floor_high:
        return f"{measured}: more than expected, but too few items to be sure"
    return f"{measured}: no sign of copying"


def shifted_nearest(net: JudgeNet, x: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
    """Distance (N,) in judge features to the nearest training item up to a shift; its index (N,).

    Convolved states are moved by up to one pixel each way, edges repeated, and the best counts: a
    strided net is not blind to a pixel's shift, and a shifted copy is a copy.

    Args:
        x: (N, *D) states.      features: (T, 64) judge features of the training items.
    """
    axes = range(2, x.ndim) if net.convolves else ()
    best, found = torch.full((len(x),), float("inf")), torch.zeros(len(x), dtype=torch.long)
    for shift in product((-1, 0, 1), repeat=len(axes)):
        moved = x
        for axis, by in zip(axes, shift):
            side = x.shape[axis]
            moved = moved.index_select(axis, (torch.arange(side) + by).clamp(0, side - 1))
        gap, index = nearest(net.features(moved), features)
        found = torch.where(gap[:, 0] < best, index[:, 0], found)
        best = best.minimum(gap[:, 0])
    return best, found


def _unseen(case: Case) -> tuple[Tensor, tuple[str, ...]]:
    kept = subset(len(case.all_real), MOST_UNSEEN, rng(case.seed, "novelty"))
    if len(kept) == len(case.all_real):
        return kept, ()
    return kept, (f"threshold from {len(kept)} of {len(case.all_real)} unseen items",)


@metrics.add("novelty", reference="Carlini et al. 2023", aliases=("copy_rate",))
def novelty_figure(case: Case) -> list[Figure]:
    """Share of samples nearer to a training item than 95 % of unseen real items are."""
    kept, notes = _unseen(case)
    unseen = case.all_real[kept]
    found = novelty(case.all_samples, case.train, unseen, place=case.place, notes=notes)
    return [found.figure]


@metrics.add("novelty_relative", reference="Carlini et al. 2023")
def novelty_relative_figure(case: Case) -> list[Figure]:
    """As novelty, each distance relative to the next 20 neighbours: blur does not count."""
    kept, notes = _unseen(case)
    return [
        novelty(
            case.all_samples,
            case.train,
            case.all_real[kept],
            relative=True,
            name="novelty_relative",
            place=f"{case.place} (relative to its next neighbours)",
            notes=notes,
        ).figure
    ]


@metrics.add("novelty_features", reference="Carlini et al. 2023")
def novelty_features_figure(case: Case) -> list[Figure]:
    """As novelty, in the judge net's features: small shifts of a copy count too."""
    kept, notes = _unseen(case)
    known = case.features("train")
    near = shifted_nearest(case.net, case.all_samples, known)
    control, _ = shifted_nearest(case.net, case.all_real[kept], known)
    found = copy_rate(
        near,
        control,
        name="novelty_features",
        place="judge features",
        notes=(case.trust, *notes),
    )
    return [found.figure]
