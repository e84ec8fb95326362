"""log p of a user's own items under a trained model, in the units of the data."""

from __future__ import annotations

import math
import pathlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.kinds.array.codec import ArrayCodec
from unfog.kinds.image.codec import ImageCodec
from unfog.kinds.items import Items
from unfog.maths.paths import Affine
from unfog.maths.randomness import mix
from unfog.model import files
from unfog.sample.likelihood import Elbo, elbo, log_prob
from unfog.sample.randomness import SampleRng
from unfog.tasks.evaluate import heldout_items
from unfog.tasks.show import bar

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

SHOWN = 10
"""Ranges of noise levels, evenly wide in log snr, by which the bound's gap is told."""


@dataclass(frozen=True)
class Likelihood:
    """What a model says of N items.

    Attributes:
        nats: (N,) log densities per item; where grey levels or whole numbers were given, a lower
            bound of the log probability of exactly these, in the mean over `draws`. It is loose
            where the net tells one whole number from the next.
        error: (N,) their standard errors, from probes and dequantisation; nan where there was one
            draw only of either.
        numbers: how many numbers of an item the density speaks of.
        units: what it is a density in.
        of: which items, in words.
        bound: (N,) the variational bound, in the same units; None where not asked for.
        angles, gaps: (L,) noise levels and, in nats an item, by how much the bound loses at each
            of them what the model's own slope promises; None without a bound.
        notes: what a reader must know.
    """

    nats: np.ndarray
    error: np.ndarray
    numbers: int
    units: str
    of: str
    bound: np.ndarray | None = None
    angles: np.ndarray | None = None
    gaps: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.nats)

    @property
    def bits_per_dim(self) -> np.ndarray:
        """(N,) -log2 p per number."""
        bits: np.ndarray = -self.nats / self.numbers / math.log(2)
        return bits

    def to_json(self) -> dict[str, Any]:
        """Means with their standard errors over items."""
        told: dict[str, Any] = {
            "count": len(self),
            "of": self.of,
            "nats": _mean(self.nats),
            "bits_per_dim": _mean(self.bits_per_dim),
            "numbers": self.numbers,
            "units": self.units,
            "notes": self.notes,
        }
        if self.bound is not None and self.angles is not None and self.gaps is not None:
            told["bound"] = _mean(self.bound)
            told["gap"] = _mean(self.nats - self.bound)
            told["gap_by_level"] = [
                {"from": float(angles[0]), "to": float(angles[-1]), "nats": float(gaps.sum())}
                for angles, gaps in zip(
                    np.array_split(self.angles, SHOWN),
                    np.array_split(self.gaps, SHOWN),
                    strict=True,
                )
            ]
        return told

    def save(self, out: str | pathlib.Path, *, overwrite: bool = False) -> pathlib.Path:
        """Write a CSV: item, nats, error, bits_per_dim, and the bound where there is one."""
        out = pathlib.Path(out)
        if out.exists() and not overwrite:
            raise ArgumentError(f"{out} is there already; name a new file or give --overwrite")
        columns = {"nats": self.nats, "error": self.error, "bits_per_dim": self.bits_per_dim}
        if self.bound is not None:
            columns["bound"] = self.bound
        lines = [",".join(["item", *columns])]
        for row in range(len(self)):
            cells = ("" if math.isnan(v[row]) else f"{v[row]:.9g}" for v in columns.values())
            lines.append(",".join([str(row), *cells]))
        files.write_bytes(out, ("\n".join(lines) + "\n").encode())
        return out

    def __str__(self) -> str:
        told = self.to_json()
        (nats, one), (bits, other) = told["nats"], told["bits_per_dim"]
        lines = [
            f"{self.of}: log p = {nats:.6g} ± {one:.2g} nats an item, {bits:.4g} ± {other:.2g} "
            f"bits a number; density in {self.units}"
        ]
        if "bound" in told:
            worst = max(told["gap_by_level"], key=lambda one: one["nats"])
            lines.append(
                f"variational bound: {told['bound'][0]:.6g} nats, {told['gap'][0]:.4g} below; most "
                f"is lost at angles {worst['to']:.3g} to {worst['from']:.3g}"
            )
        return "\n".join(lines + self.notes)


def _mean(values: np.ndarray) -> tuple[float, float]:
    count = len(values)
    error = float(values.std(ddof=1)) / math.sqrt(count) if count > 1 else 0.0
    return float(values.mean()), error


def likelihood(
    model: Trained,
    source: Any = None,
    *,
    count: int | None = None,
    steps: int = 50,
    probes: int | None = None,
    draws: int = 1,
    bound: bool = False,
    seed: int = 0,
    batch: int = 256,
    show: bool | None = None,
) -> Likelihood:
    """log p of items, in nats, by the probability-flow ODE.

    Under the null condition, unless the run was given columns: then under each item's own.

    Args:
        source: items of the run's form; the run's own held-out ones where None.
        count: the first so many of them.     steps: of Runge-Kutta 4, four calls each.
        probes: of the trace, see `unfog.sample.likelihood.log_prob`.
        draws: dequantisations of whole numbers; others need none.
        bound: also the variational bound, and where it loses.
        seed: of probes and noise; an item's result does not depend on its batch.
    Raises: ArgumentError for tables and for states with angles or missing values, whose density is
        of another kind; DataError for items of another form.
    """
    asked = {"count": count, "draws": draws, "steps": steps, "batch": batch}
    for name, number in asked.items():
        if number is not None and number < 1:
            raise ArgumentError(f"{name} must be 1 or more; got {number}")
    measure = _measure(model)
    if isinstance(source, np.ndarray) and len(source) == 1:  # reading asks for two
        source, count = np.concatenate([source, source]), 1
    items, of = heldout_items(model, None, source)
    if count is not None and count < len(items):
        items, of = items.take(np.arange(count)), f"the first {count} of {of}"
    found: list[_Found] = []
    with bar("likelihood", len(items), show=show) as line:
        for at in range(0, len(items), batch):
            part = items.take(np.arange(at, min(at + batch, len(items))))
            each = [
                _one(model, part, at, measure, draw, steps, probes, bound, seed)
                for draw in range(draws if measure.step is not None else 1)
            ]
            found.append(_together(each, alone=measure.step is None))
            line.to(at + len(part), f"{at + len(part)} items")
    bounds = [one.bound for one in found if one.bound is not None]
    gaps = [one.gaps for one in bounds if one.gaps is not None]
    return Likelihood(
        nats=torch.cat([one.nats for one in found]).numpy() + measure.volume,
        error=torch.cat([one.error for one in found]).numpy(),
        numbers=measure.numbers,
        units=measure.units,
        of=of,
        bound=torch.cat([one.nats for one in bounds]).numpy() + measure.volume if bound else None,
        angles=bounds[0].angles.numpy() if bound else None,
        gaps=torch.cat(gaps, 1).mean(1).numpy() if bound else None,
        notes=measure.notes,
    )


@dataclass(frozen=True)
class _Measure:
    """What the density is over.

    Attributes:
        volume: log of how much codec and space stretch it.     step: of the codec's state between
            two whole numbers, broadcast against one; None for floats.
    """

    numbers: int
    volume: float
    units: str
    step: Tensor | None
    notes: list[str]


def _measure(model: Trained) -> _Measure:
    codec, space = model.borders.codec, model.borders.space
    if not isinstance(codec, (ArrayCodec, ImageCodec)) or not isinstance(model.net.path, Affine):
        raise ArgumentError(
            f"a {model.config.kind} run has no density: its state mixes categories and numbers; "
            "unfog score says how strange rows are"
        )
    if isinstance(codec, ArrayCodec) and (codec.angles or codec.missing or codec.gone is not None):
        raise ArgumentError(
            "this run's state holds angles or flags of missing values, which have no density over "
            "the data's own numbers; fit without them"
        )
    kept, whole = math.prod(space.shape), math.prod(space.data_shape)
    if kept != whole:
        note = (
            f"the space keeps {kept} of {whole} numbers: this is the density along those "
            "directions, in the codec's units; compare it only within this run"
        )
        return _Measure(kept, space.log_volume, f"the {kept} kept directions", None, [note])
    slopes = _slopes(codec)
    volume = space.log_volume + float(slopes.log().sum())
    if np.dtype(codec.dtype).kind in "iub":
        of = "grey levels" if isinstance(codec, ImageCodec) else "whole numbers"
        return _Measure(kept, volume, of, slopes, [])
    return _Measure(kept, volume, "the data's own units", None, [])


def _slopes(codec: ArrayCodec | ImageCodec) -> Tensor:
    """How much the codec stretches each number of its state."""
    if codec.standard is None:
        assert isinstance(codec, ImageCodec)
        return torch.full(codec.state_shape, 2 / codec.most, dtype=torch.float64)
    std = torch.from_numpy(codec.standard.std)
    if isinstance(codec, ImageCodec):
        std = std.reshape(-1, 1, 1)
    return (1 / std).expand(codec.state_shape)


@dataclass(frozen=True)
class _Found:
    nats: Tensor
    error: Tensor
    bound: Elbo | None


def _one(
    model: Trained,
    part: Items,
    at: int,
    measure: _Measure,
    draw: int,
    steps: int,
    probes: int | None,
    bound: bool,
    seed: int,
) -> _Found:
    """Log densities of the states of a batch that begins at item `at`."""
    borders, path = model.borders, model.net.path
    rows = range(at, at + len(part))

    def rng(use: int) -> SampleRng:
        return SampleRng(mix(seed, draw, use), rows)

    state = borders.codec.encode(part.data)
    if measure.step is not None:
        shift = rng(0).uniform(state) - 0.5
        state = state + shift * measure.step.to(state)
    x = borders.space.into(state).to(model.device)
    columns = borders.given.pick(part.columns)
    cond = {
        name: value.to(model.device)
        for name, value in borders.given.encode(columns, len(x)).items()
    }
    predict = model.net.bind(cond or None)
    told = log_prob(predict, path, x, steps=steps, probes=probes, rng=rng(1))
    below = None
    if bound:
        below = elbo(predict, path, x, gaps=True, rng=rng(2))
    return _Found(told.nats, told.error, below)


def _together(each: list[_Found], *, alone: bool) -> _Found:
    """The mean over dequantisations."""
    nats = torch.stack([one.nats for one in each])
    error = nats.std(0) / math.sqrt(len(each)) if len(each) > 1 else each[0].error
    if len(each) == 1 and not alone:  # nothing is known of the dequantisation's part
        error = torch.full_like(error, torch.nan)
    bound = each[0].bound
    if bound is not None:
        every = [one.bound for one in each if one.bound is not None]
        bound = Elbo(
            torch.stack([one.nats for one in every]).mean(0),
            bound.angles,
            torch.stack([one.parts for one in every]).mean(0),
            torch.stack([one.gaps for one in every if one.gaps is not None]).mean(0),
        )
    return _Found(nats.mean(0), error, bound)
