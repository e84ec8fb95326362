"""Two-sample tests: can a classifier, or the energy distance, tell samples from real items?"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from unfog.errors import DataError
from unfog.judge import bootstrap
from unfog.judge.case import Case, metrics
from unfog.judge.figure import Figure
from unfog.judge.principal import principal
from unfog.judge.states import alike, rng, rows

LEAST = 6
COMPONENTS = 64
BANDS = (0, 8, 64, 128, 256, 400)  # noise and blur show in the energy of the weak components
WIDE = BANDS[-1]
PAIRED = 12  # this many leading coordinates enter with their pairwise products
PENALTIES = (0.003, 0.03, 0.3, 3.0)


@dataclass(frozen=True)
class Auc:
    """Area under the curve of held-out scores, its interval, and those scores (N,), (M,)."""

    value: float
    low: float
    high: float
    x_scores: Tensor
    y_scores: Tensor


def c2st(
    x: Any,
    y: Any,
    *,
    generator: torch.Generator,
    folds: int = 5,
    steps: int = 120,
    draws: int = 500,
) -> Auc:
    """Classifier two-sample test: how well held-out items are told apart, 0.5 = not at all.

    Every fold is scored by the best of ridge discriminants (linear, squares, products; linear in
    many components) and a small perceptron, trained on the other folds and chosen on one of those.
    The area (Mann-Whitney) counts pairs within a fold only, which makes it exactly 0.5 on average
    when both sides follow one law. The interval resamples rows.

    Args:
        x: (N, *D) samples.      y: (M, *D) real items. More than 64 dimensions are first put into
            principal components fitted to both together, with the energy in bands of them.
    Raises: DataError for fewer than 6 items on a side; ShapeError for different item shapes.
    Ref: Lopez-Paz and Oquab 2017, Revisiting classifier two-sample tests, section 3;
        Mann and Whitney 1947.
    """
    a, b = rows(x, "x"), rows(y, "y")
    alike(a, b)
    few = min(len(a), len(b))
    if few < LEAST:
        raise DataError(
            f"{few} items on one side; a two-sample test needs at least {LEAST} on each"
        )
    folds = max(3, min(folds, few // 2))
    z, wide = coordinates(torch.cat([a, b]), generator=generator)
    side = torch.cat([torch.ones(len(a)), torch.zeros(len(b))])
    fold = torch.cat([dealt(len(part), folds, generator) for part in (a, b)])
    scores = _cross_fitted(z, wide, side, fold, folds, steps, generator)
    return area(
        scores[: len(a)], scores[len(a) :], fold[: len(a)], fold[len(a) :], draws, generator
    )


def coordinates(x: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """What the classifiers look at: standardised columns of rows x (N, D).

    Returns: (N, r) with r at most 71 for the flexible ones, (N, w) with w at most 400 for the
        linear one: a small shift is spread over many components.
    """
    if x.shape[1] <= COMPONENTS:
        z = _standard(x)
        return z, z
    fitted = principal(x, min(WIDE, max(COMPONENTS, len(x) // 4)), generator=generator)
    wide = fitted(x)
    total = (x - fitted.mean).square().sum(1)
    energy = wide.square()
    bands = [energy[:, i:j].sum(1) for i, j in pairwise(BANDS) if i < energy.shape[1]]
    bands += [total, (total - energy.sum(1)).clamp(min=0)]  # the last is what no component holds
    tiny = 1e-8 * total.mean() + 1e-30
    logs = (torch.stack(bands, 1) + tiny).log()
    return _standard(torch.cat([wide[:, :COMPONENTS], logs], 1)), _standard(wide)


def _standard(x: Tensor) -> Tensor:
    std = x.std(0, correction=0)
    return (x - x.mean(0)) / torch.where(std > 1e-12, std, torch.ones_like(std))


def dealt(n: int, folds: int, generator: torch.Generator) -> Tensor:
    """A fold (n,) for every row, all of one size."""
    return (torch.arange(n) % folds)[torch.randperm(n, generator=generator)]


def _cross_fitted(
    z: Tensor,
    wide: Tensor,
    side: Tensor,
    fold: Tensor,
    folds: int,
    steps: int,
    generator: torch.Generator,
) -> Tensor:
    """A score (N,) of every row from models that saw neither it nor its fold's labels."""
    k = torch.arange(folds)[:, None]
    test = fold[None] == k
    check = fold[None] == (k + 1) % folds
    learn = (~test & ~check).float()
    # both sides weigh the same, whatever their counts
    share = torch.where(side > 0, 0.5 / side.mean(), 0.5 / (1 - side).mean())
    candidates = [
        *_ridge(_bent(z), side, learn * share),
        *(_ridge(wide, side, learn * share) if wide is not z else []),
        _perceptron(z, side, learn * share, check * share, steps, generator),
    ]
    out = torch.empty(len(z))
    for f in range(folds):
        areas = [
            float(_pairs(c[f, check[f] & (side > 0)], c[f, check[f] & (side == 0)]).mean())
            for c in candidates
        ]
        best = candidates[max(range(len(areas)), key=areas.__getitem__)]
        out[test[f]] = best[f, test[f]]
    return out


def _bent(z: Tensor) -> Tensor:
    """Columns of z (N, r) with their squares and the products of the leading ones."""
    z = 4 * torch.tanh(z / 4)  # no outlier rules the squares
    i, j = torch.triu_indices(min(PAIRED, z.shape[1]), min(PAIRED, z.shape[1]), 1)
    return _standard(torch.cat([z, z.square(), z[:, i] * z[:, j]], 1))


def _ridge(phi: Tensor, side: Tensor, weight: Tensor) -> list[Tensor]:
    """Scores (folds, N) of least-squares discriminants on columns phi (N, p), one per penalty."""
    phi = torch.cat([phi, torch.ones(len(phi), 1)], 1)
    target = 2 * side - 1
    out: list[list[Tensor]] = [[] for _ in PENALTIES]
    for w in weight:
        w = w / w.sum()
        gram = ((phi * w[:, None]).T @ phi).double()
        right = (phi.T @ (w * target)).double()
        for scores, penalty in zip(out, PENALTIES):
            solved = torch.linalg.solve(gram + penalty * torch.eye(len(gram)).double(), right)
            scores.append(phi @ solved.float())
    return [torch.stack(scores) for scores in out]


def _perceptron(
    z: Tensor,
    side: Tensor,
    weight: Tensor,
    check: Tensor,
    steps: int,
    generator: torch.Generator,
    hidden: int = 32,
) -> Tensor:
    """Scores (folds, N) of two-layer perceptrons, all folds in one product, stopped on `check`."""
    k, d = len(weight), z.shape[1]
    shapes = [(d, hidden), (hidden, hidden), (hidden, 1)]
    layers = [torch.randn(k, *s, generator=generator) * (2 / s[0]) ** 0.5 for s in shapes]
    layers[-1] *= 0.1
    biases = [torch.zeros(k, 1, s[1]) for s in shapes]
    parameters = [p.requires_grad_() for p in (*layers, *biases)]
    optimiser = torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.05)
    best = torch.full((k,), float("inf"))
    kept = torch.zeros(k, len(z))
    z = z.clamp(-6, 6)  # one far item must not blow up a fold
    for _ in range(steps):
        h = z.expand(k, -1, -1)
        for w, b in zip(layers[:-1], biases[:-1]):
            h = torch.relu(torch.baddbmm(b, h, w))
        logits = torch.baddbmm(biases[-1], h, layers[-1])[..., 0]
        each = F.binary_cross_entropy_with_logits(logits, side.expand_as(logits), reduction="none")
        with torch.no_grad():
            checked = (each * check).sum(1) / check.sum(1)
            better = checked < best
            best = torch.where(better, checked, best)
            kept[better] = logits[better]
        loss = ((each * weight).sum(1) / weight.sum(1)).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return kept


def _pairs(x: Tensor, y: Tensor) -> Tensor:
    """(N, M): 1 where the score of x is above that of y, a half where equal."""
    gap = x[:, None] - y[None]
    return (gap > 0).float() + 0.5 * (gap == 0)


def auc(x: Tensor, y: Tensor) -> float:
    """Mann-Whitney area: the chance that a score of x (N,) is above one of y (M,)."""
    return float(_pairs(x, y).double().mean())


def area(
    x: Tensor, y: Tensor, x_fold: Tensor, y_fold: Tensor, draws: int, generator: torch.Generator
) -> Auc:
    """The area of held-out scores x (N,), y (M,), pairs within a fold only, with its interval.

    Args:
        x_fold, y_fold: (N,), (M,) which model scored a row.      draws: how many resamples.
    """
    n = bootstrap.counts(len(x), draws, generator)
    m = bootstrap.counts(len(y), draws, generator)
    above, count = torch.zeros(draws + 1), torch.zeros(draws + 1)
    n = torch.cat([torch.ones(1, len(x)), n])  # the first row is the sample itself
    m = torch.cat([torch.ones(1, len(y)), m])
    for f in x_fold.unique():
        i, j = x_fold == f, y_fold == f
        above += ((n[:, i] @ _pairs(x[i], y[j])) * m[:, j]).sum(1)
        count += n[:, i].sum(1) * m[:, j].sum(1)
    areas = above / count.clamp(min=1)
    low, high = bootstrap.percentile(areas[1:])
    value = float(areas[0])
    return Auc(value, min(low, value), max(high, value), x, y)


def energy_test(
    x: Any, y: Any, permutations: int = 200, generator: torch.Generator | None = None
) -> float:
    """p-value of the energy-distance permutation test: exact under one law, any law.

        E = 2 mean|x - y| - mean|x - x'| - mean|y - y'|
        p = (1 + #{E_permuted >= E}) / (1 + permutations)

    Sensitive in few dimensions of like scale; states are not rescaled. Uniform p under the null.

    Args:
        x: (N, *D).      y: (M, *D).      permutations: how fine p is.
        generator: draws the permutations; None is a fixed seed.
    Ref: Szekely and Rizzo 2013, Energy statistics, eqs. 6.1 and 6.2.
    """
    a, b = rows(x, "x"), rows(y, "y")
    alike(a, b)
    generator = generator or rng(0, "energy test")
    pooled = torch.cat([a, b]).double()
    n, m = len(a), len(b)
    first = torch.zeros(n + m, permutations + 1, dtype=torch.float64)
    first[:n, 0] = 1
    for k in range(1, permutations + 1):
        first[torch.randperm(n + m, generator=generator)[:n], k] = 1
    total = 0.0
    xx, row_of_x = torch.zeros(2, permutations + 1, dtype=torch.float64)
    for i in torch.arange(n + m).split(1024):  # never the whole distance matrix at once
        gaps = torch.cdist(pooled[i], pooled, compute_mode="donot_use_mm_for_euclid_dist")
        xx += (first[i] * (gaps @ first)).sum(0)
        row_of_x = row_of_x + first[i].T @ gaps.sum(1)
        total = total + float(gaps.sum())
    xy = row_of_x - xx
    yy = total - 2 * xy - xx
    energy = 2 * xy / (n * m) - xx / n**2 - yy / m**2
    # rounding must not break ties that are exact on a lattice of data
    reached = energy[1:] >= energy[0] - 1e-9 * energy.abs().max()
    return (1 + int(reached.sum())) / (permutations + 1)


def area_figure(name: str, value: Auc, floor: Auc, n: int, notes: tuple[str, ...]) -> Figure:
    """An area under the curve beside that of real against real."""
    return Figure(
        name=name,
        value=value.value,
        low=value.low,
        high=value.high,
        floor=floor.value,
        floor_low=floor.low,
        floor_high=floor.high,
        better="floor",
        n=n,
        unit="area under the curve",
        notes=notes,
    )


@metrics.add("c2st", reference="Lopez-Paz and Oquab 2017", aliases=("two_sample",))
def c2st_figure(case: Case) -> list[Figure]:
    """Classifier two-sample test on the states; 0.5 = can't be told from real items."""
    value = c2st(case.samples, case.real, generator=rng(case.seed, "c2st"))
    floor = c2st(case.other, case.real, generator=rng(case.seed, "c2st floor"))
    return [area_figure("c2st", value, floor, case.n, case.notes)]


@metrics.add("c2st_features", reference="Lopez-Paz and Oquab 2017")
def c2st_features_figure(case: Case) -> list[Figure]:
    """Classifier two-sample test on the judge net's features; 0.5 = can't be told from real."""
    real = case.features("real")
    value = c2st(case.features("samples"), real, generator=rng(case.seed, "c2st features"))
    floor = c2st(case.features("other"), real, generator=rng(case.seed, "c2st features floor"))
    notes = (case.trust, *case.notes)
    return [area_figure("c2st_features", value, floor, case.n, notes)]
