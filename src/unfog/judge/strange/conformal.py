"""Scores that mean something: p-values against held-out rows."""

from __future__ import annotations

import torch
from torch import Tensor

from unfog.errors import DataError


def p_values(scores: Tensor, usual: Tensor) -> Tensor:
    """(N,) conformal p-values, (1 + #{usual >= score}) / (n + 1).

    A fresh row of the law of the n held-out ones has p <= a with probability at most a, and short
    of it by less than 1/(n + 1) where scores don't tie.

    Args:
        scores: (N,).     usual: (n,) scores of held-out rows.
    Ref: Vovk et al. 2005; Bates et al. 2023, Testing for outliers with conformal p-values, eq. 3.
    """
    if not len(usual):
        raise DataError("no held-out rows to compare with; p-values need some")
    ordered = usual.double().sort().values
    below = torch.searchsorted(ordered, scores.double(), right=False)
    return (1 + len(usual) - below).double() / (len(usual) + 1)


def strangest(parts: Tensor, odd: Tensor, usual: Tensor) -> Tensor:
    """(N, C) parts in which an odd cell counts as much as the strangest cell of any held-out row.

    Args:
        parts: (N, C).     odd: (N, C) bool.     usual: (n, C) parts of held-out rows.
    """
    return torch.where(odd, parts.clamp_min(float(usual.max())), parts)
