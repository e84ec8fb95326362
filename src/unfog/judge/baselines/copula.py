"""Gaussian baselines: a copula of normal scores for tables, one Gaussian for arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unfog.judge.baselines.columns import Ladder, ladders
from unfog.judge.baselines.registry import Baseline, baselines
from unfog.judge.principal import principal
from unfog.judge.states import np_rng, rng
from unfog.kinds.table.cells import Cells, Table

RANK = 256


@dataclass(frozen=True)
class Latent:
    """One latent normal variable: K ordered levels, each an interval of it.

    Attributes:
        edges: (K + 1,) cumulative shares, 0 to 1.      score: (K,) E[Z | its interval].
        order: (K,) the ladder's place of each level.
    """

    edges: np.ndarray
    score: np.ndarray
    order: np.ndarray

    @classmethod
    def of(cls, share: np.ndarray, order: np.ndarray) -> Latent:
        from scipy.stats import norm

        edges = np.concatenate([[0.0], np.cumsum(share[order])])
        edges = np.minimum(edges / edges[-1], 1.0)
        density = norm.pdf(norm.ppf(edges))  # 0 at both ends
        score = (density[:-1] - density[1:]) / np.maximum(np.diff(edges), 1e-12)
        return cls(edges, score, order)

    @property
    def variance(self) -> float:
        """Of the scores: 1 for fine levels, less for few."""
        return float((np.diff(self.edges) * self.score**2).sum())

    def scores(self, index: np.ndarray) -> np.ndarray:
        """The score (N,) of rows at these places of the ladder."""
        place = np.empty(len(self.order), np.int64)
        place[self.order] = np.arange(len(self.order))
        return self.score[place[index]]

    def place(self, u: np.ndarray) -> np.ndarray:
        """The place on the ladder (M,) of uniform draws."""
        found = np.searchsorted(self.edges, u, "right") - 1
        return self.order[np.clip(found, 0, len(self.order) - 1)]


def gaussian_copula(train: Table, count: int, seed: int) -> Table:
    """Gaussian copula: every column by its own ranks, all joined by one correlation matrix.

    Numbers and categories are levels of latent normals, and whether a cell is missing is one more.
    With s_i = E[Z_i | level], first order in the correlation and exact beside a continuous column,

        corr(Z_i, Z_j) = cov(s_i, s_j) / (var s_i var s_j)

    Ref: Song 2000, Multivariate dispersion models generated from Gaussian copula; Olsson,
        Drasgow and Dorans 1982, The polyserial correlation coefficient.
    """
    from scipy.stats import norm

    columns = ladders(train)
    latents, known = _latents(columns)
    scores = {name: latents[name].scores(columns[name].index) for name in latents}
    gone = [name for name in columns if not columns[name].cells.present.all()]
    marks = {name: _mark(columns[name].cells.present) for name in gone if name in latents}
    wide = np.stack([*scores.values(), *(score for _, score, _ in marks.values())], 1)
    mask = np.stack([*known.values(), *(np.ones(len(train)) for _ in marks)], 1)
    variance = [latent.variance for latent in latents.values()]
    variance += [v for _, _, v in marks.values()]
    root = _root(_correlation(wide, mask, np.array(variance)))
    z = np_rng(seed, "gaussian copula").standard_normal((count, len(root))) @ root.T
    u = norm.cdf(z)
    out = {}
    for name, column in columns.items():
        present = np.ones(count, bool)
        if name not in latents:  # nothing is known of it
            out[name] = column.cells.take(np.zeros(count, np.int64))
            continue
        if name in marks:
            present = u[:, len(latents) + list(marks).index(name)] >= marks[name][0]
        out[name] = _drawn(column, latents[name], u[:, list(latents).index(name)], present)
    return Table(out)


def _latents(columns: dict[str, Ladder]) -> tuple[dict[str, Latent], dict[str, np.ndarray]]:
    """A latent for every column that has a known cell, and where it is known, (N,) of 0 and 1.

    Words have no order: they are ordered by the mean of the numbers' first principal score.
    """
    full = {name: c for name, c in columns.items() if len(c.values)}
    out = {name: Latent.of(c.share, np.arange(len(c.values))) for name, c in full.items()}
    known = {name: c.cells.present.astype(np.float64) for name, c in full.items()}
    numeric = [out[n].scores(c.index) * known[n] for n, c in full.items() if c.numeric]
    if numeric:
        wide = np.stack(numeric, 1)
        axis = np.linalg.eigh(np.cov(wide.T).reshape(len(numeric), -1))[1][:, -1]
        leading = wide @ axis
        for name, c in full.items():
            if not c.numeric:
                there = c.cells.present
                total = np.bincount(c.index[there], leading[there], len(c.values))
                count = np.bincount(c.index[there], minlength=len(c.values))
                out[name] = Latent.of(c.share, np.argsort(total / count, kind="stable"))
    return out, known


def _mark(present: np.ndarray) -> tuple[float, np.ndarray, float]:
    """Missingness as a latent: its rate, the scores (N,) of missing (low) or not, their variance."""
    rate = 1 - float(present.mean())
    latent = Latent.of(np.array([rate, 1 - rate]), np.arange(2))
    return rate, latent.scores(present.astype(np.int64)), latent.variance


def _correlation(s: np.ndarray, mask: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """(K, K) latent correlations from scores s (N, K) over rows where both are known."""
    s = s * mask
    n = np.maximum(mask.T @ mask, 1.0)
    mean = s.T @ mask / n
    cov = s.T @ s / n - mean * mean.T
    found = cov / np.maximum(variance[:, None] * variance[None], 1e-12)
    found = np.clip(found, -0.99, 0.99)
    np.fill_diagonal(found, 1.0)
    return found


def _root(correlation: np.ndarray) -> np.ndarray:
    """A with A A^T the nearest correlation matrix with no negative eigenvalue, rows of length 1."""
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(values, 1e-8))
    return root / np.linalg.norm(root, axis=1, keepdims=True)


def _drawn(column: Ladder, latent: Latent, u: np.ndarray, present: np.ndarray) -> Cells:
    if not column.continuous:
        return column.pick(latent.place(u), present)
    middles = (latent.edges[1:] + latent.edges[:-1]) / 2
    values = column.values
    if values.dtype.kind in "mM":
        values = values.astype(np.int64)
    return column.put(np.interp(u, middles, values.astype(np.float64)), present)


def gaussian_tensor(train: Tensor, count: int, seed: int) -> Tensor:
    """One Gaussian: the mean and covariance of the training items, in at most 256 components.

    What the components leave out is put back as independent noise of the same variance per entry.

    Ref: Tipping and Bishop 1999, Probabilistic principal component analysis.
    """
    generator = rng(seed, "gaussian")
    flat = train.flatten(1)
    fitted = principal(flat, RANK, generator=generator)
    places = fitted(flat)
    rest = flat - fitted.mean - places @ fitted.directions.T
    spread = places.std(0, correction=0)
    z = torch.randn(count, len(spread), generator=generator) * spread
    noise = torch.randn(count, flat.shape[1], generator=generator) * rest.std(0, correction=0)
    return (fitted.mean + z @ fitted.directions.T + noise).view(count, *train.shape[1:])


baselines.add(
    "gaussian_copula",
    reference="Song 2000",
    aliases=("copula",),
    summary=gaussian_copula.__doc__ or "",
)(Baseline("a Gaussian copula", table=gaussian_copula))
baselines.add(
    "gaussian", reference="Tipping and Bishop 1999", summary=gaussian_tensor.__doc__ or ""
)(Baseline("one Gaussian", tensor=gaussian_tensor))
