"""Likelihood by the probability flow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.judge.strange.case import Case, Rows, detectors
from unfog.maths.paths import Affine
from unfog.maths.product import Product
from unfog.maths.randomness import BatchRng, mix
from unfog.sample.likelihood import log_prob


@detectors.add(
    "likelihood", aliases=("flow",), reference="Song et al. 2021, Score SDEs, eq. 39 and 40"
)
@dataclass(frozen=True)
class FlowLikelihood:
    """softplus(log p0 - log p(x)), in nats, by the probability flow; p0 is a unit Gaussian's
    density at its centre. Of numbers only: categories have no flow.

    Args:
        steps: of a Runge-Kutta method of order 4, four calls each.
    """

    steps: int = 12

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ArgumentError(f"steps={self.steps}; at least 1")

    def __call__(self, case: Case, rows: Rows) -> Tensor:
        """(N, C) nats, shared by how far off each column's noise lies, where the flow puts it."""
        path, name, owners = _numbers(case)

        def predict(x_t: Any, t: Any, s: Any = None) -> Any:
            asked = x_t if name is None else {name: x_t}
            found = case.predict(asked, t)
            return found if name is None else found[name]

        found = []
        for start in range(0, len(rows), case.batch):
            part = rows.take(slice(start, start + case.batch))
            x = case.into(part.state)
            x = (x if name is None else x[name]).to(case.device)
            # probes that are the same for every row: a row's score stays its own
            told = log_prob(predict, path, x, steps=self.steps, rng=_Shared(mix(case.seed, 67)))
            centre = -x[0].numel() / 2 * math.log(2 * math.pi)
            nats = torch.nn.functional.softplus(centre - told.nats.cpu()).float()
            squares = _seen(case, told.noise, name).square()
            found.append(case.owners.shared(squares, owners, nats))
        return torch.cat(found) + rows.beyond.square() / 2


def _seen(case: Case, noise: Tensor, name: str | None) -> Tensor:
    """Noise in the codec's coordinates."""

    def back(z: Tensor) -> Tensor:
        found = case.back(z if name is None else {name: z})
        return (found if name is None else found[name]).float().cpu()

    return back(noise) - back(torch.zeros_like(noise))


class _Shared(BatchRng):
    """Uniform draws of one row, for all rows."""

    def at(self, step: int) -> _Shared:
        return _Shared(*self.keys, step)

    def uniform(self, like: Tensor) -> Tensor:
        return super().uniform(like[:1]).expand(like.shape)


def _numbers(case: Case) -> tuple[Affine, str | None, Tensor]:
    """The affine path, its field's name where states have named fields, whose numbers are whose."""
    path, owners, name = case.path, case.owners.state, None
    if isinstance(path, Product) and isinstance(owners, dict) and len(owners) == 1:
        (name,) = owners
        path, owners = path.fields[name], owners[name]
    if not isinstance(path, Affine) or isinstance(owners, dict):
        raise ArgumentError(
            "detector 'likelihood' is for states of numbers only; this run's hold categories too: "
            "take 'denoising_error', which bounds the likelihood of both"
        )
    return path, name, owners
