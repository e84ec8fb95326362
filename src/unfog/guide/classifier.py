"""Classifier guidance: any log p(y | x_t) that looks at the noised state."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.guide.cfg import guides
from unfog.guide.tilt import Edge, check_path, leaves, spread_out
from unfog.maths.discrete import Masking
from unfog.maths.product import Product, fieldwise
from unfog.maths.states import lead

LARGEST = 4096  # states that one sample of categories is tried with


@guides.add(
    "classifier",
    reference="Dhariwal & Nichol 2021, Diffusion Models Beat GANs, alg. 1; Nisonoff et al. 2024, "
    "eq. 3 (categories)",
)
def classifier(
    predictor: Callable[..., Any],
    path: Any,
    log_prob: Callable[[Any, Tensor], Tensor],
    *,
    scale: float = 1.0,
) -> Callable[..., Any]:
    """E[x | x_t, y] from E[x | x_t] and log p(y | x_t), exact if both are.

    Numbers follow the gradient. A masked category is tried with every value it can have, and its
    probabilities are weighted by what the classifier then says, one evaluation per column and
    value; that is exact for entries revealed one at a time.

    Args:
        log_prob: (x_t, t) -> (B,), differentiable in the continuous fields; it was trained on
            noised data, or knows them exactly.
        scale: 0 = the predictor unchanged, 1 = the posterior, more = sharper.
    Raises: ArgumentError on paths of angles or rotations; for more than 4096 values of categories.
    """
    check_path(path, "a classifier")
    if not (scale >= 0 and math.isfinite(scale)):
        raise ArgumentError(f"a classifier's scale is a finite number >= 0; got {scale}")
    edge = Edge(path)

    def predict(x_t: Any, t: Tensor, s: Tensor | None = None) -> Any:
        if scale == 0:
            return predictor(x_t, t, s)
        x_t, t, s = edge(x_t, t, s)
        x_hat = predictor(x_t, t, s)
        with torch.enable_grad():
            state, numbers = leaves(path, x_t)
            log = log_prob(state, t)
            grads = torch.autograd.grad(log.sum(), numbers) if numbers else ()
        moves = spread_out(path, x_t, list(grads), t)
        said = _tried(path, x_t, t, log_prob)

        def guided(member: Any, value: Tensor, move: Tensor | None, log: Tensor | None) -> Tensor:
            if move is not None:
                return value + scale * move
            tilted = value.log() + (0 if log is None else scale * log)
            return torch.softmax(tilted.masked_fill(value == 0, -torch.inf), -1)

        return fieldwise(path, guided, x_hat, moves, said)

    return predict


def _tried(path: Any, x_t: Any, t: Tensor, log_prob: Callable[..., Tensor]) -> Any:
    """log p(y | x_t with one masked entry set), (B, N, width) per field of categories."""

    def of(name: str | None, member: Any, codes: Tensor) -> Tensor | None:
        if not isinstance(member, Masking):
            return None
        columns = codes.shape[1]
        if columns * member.width > LARGEST:
            raise ArgumentError(
                f"a classifier would be asked {columns * member.width} times per sample and step "
                f"for {columns} columns of up to {member.width} categories; at most {LARGEST}: use "
                "reward, which takes one gradient"
            )
        said = torch.zeros(*codes.shape, member.width, device=codes.device)
        for column in range(columns):
            hidden = codes[:, column] == member.sizes[column % len(member.sizes)]
            for code in range(member.sizes[column % len(member.sizes)] if hidden.any() else 0):
                put = codes.clone()
                put[:, column] = code
                state = put if name is None else {**x_t, name: put}
                said[:, column, code] = torch.where(hidden, log_prob(state, t), 0.0).to(said)
        return said

    with torch.no_grad():
        if not isinstance(path, Product):
            return of(None, path, lead(x_t))
        return {name: of(name, member, x_t[name]) for name, member in path.fields.items()}
