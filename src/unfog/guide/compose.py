"""Several conditions at once: all of these, none of those."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from unfog.errors import ArgumentError
from unfog.guide.blend import blend
from unfog.guide.cfg import guides


@guides.add(
    "compose",
    reference="Liu et al. 2022, Compositional Visual Generation with Composable Diffusion, eq. 11",
)
def compose(
    unconditional: Callable[..., Any],
    conditionals: Sequence[Callable[..., Any]],
    weights: Sequence[float] | None = None,
) -> Callable[..., Any]:
    """All conditions at once, a negative weight for "not": u + sum_i weight_i (c_i - u).

    The data then follow p(x) prod_i (p(c_i | x))^weight_i at t = 0. On the way the noised product
    is not the product of the noised, so plain steps are exact only where the conditions speak of
    independent parts of x; a Langevin corrector at each level brings the rest (Du et al. 2023).

    Args:
        weights: one per condition; 1 each if not given, negative to stay away from it.
    """
    chosen = [1.0] * len(conditionals) if weights is None else [float(w) for w in weights]
    if not conditionals or len(chosen) != len(conditionals):
        raise ArgumentError(
            f"compose needs one weight per condition, at least one; got {len(conditionals)} "
            f"conditions and {len(chosen)} weights"
        )
    if not all(math.isfinite(w) for w in chosen):
        raise ArgumentError(f"weights are finite, negative for not; got {chosen}")

    def predict(x_t: Any, t: Tensor, s: Tensor | None = None) -> Any:
        asked = [(w, c) for w, c in zip(chosen, conditionals) if w != 0]
        if len(asked) == 1 and asked[0][0] == 1:
            return asked[0][1](x_t, t, s)
        base = unconditional(x_t, t, s)
        parts = [c(x_t, t, s) for _, c in asked]
        return blend(x_t, base, parts, [w for w, _ in asked]) if asked else base

    return predict
