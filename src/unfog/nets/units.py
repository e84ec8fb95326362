"""Dropout of a net's inner units, from a stream that is lent to it for one forward pass."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from unfog.errors import ArgumentError
from unfog.maths.randomness import Rng


class Dropout(nn.Module):
    """Zero a share `rate` of the entries and enlarge the others, so that the mean stays.

    It acts only inside `dropping`. Nobody else lends it a stream, so a net that samples, is judged
    or averaged drops nothing, and torch's global generator is never touched.
    Ref: Srivastava et al. 2014, Dropout, sec. 4 (here scaled in training instead of in testing).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ArgumentError(f"dropout={rate!r} is no share; it lies in [0, 1), 0 drops nothing")
        self.rate = float(rate)
        self.rng: Rng | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) of x (B, ...)."""
        if self.rng is None or self.rate == 0:
            return x
        draw = self.rng.uniform(torch.empty(x.shape, device=x.device))
        return x * ((draw >= self.rate) / (1 - self.rate)).to(x.dtype)


@contextlib.contextmanager
def dropping(net: nn.Module, rng: Rng) -> Iterator[None]:
    """Lend `rng` to every `Dropout` of the net; what is dropped is a function of the stream."""
    places = [part for part in net.modules() if isinstance(part, Dropout) and part.rate]
    for part in places:
        part.rng = rng
    try:
        yield
    finally:
        for part in places:
            part.rng = None
