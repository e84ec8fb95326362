"""Known entries: predictors that never forget them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from unfog.guide.cfg import guides
from unfog.maths.states import each, expand

Predictor = Callable[..., Any]


@guides.add(
    "fill", reference="Lugmayr et al. 2022, RePaint, eq. 8, on the prediction instead of the state"
)
def fill(predictor: Predictor, known: Any, keep: Any) -> Predictor:
    """Put the known entries into every prediction, so that the sample has them bit-equal at t = 0.

    Args:
        known: (B, *D) values, read where keep is 1, or a dict of fields; of categories the codes.
        keep: (B, *D) or a left-aligned shape, 1 = known; or a dict of fields.
    """

    def put(x_hat: Tensor, known: Tensor, keep: Tensor) -> Tensor:
        if x_hat.ndim == known.ndim + 1:  # probabilities of categories
            known, keep = F.one_hot(known, x_hat.shape[-1]).to(x_hat), keep.unsqueeze(-1)
        return torch.where(expand(keep, x_hat).bool(), known, x_hat)

    def predict(x_t: Any, t: Tensor, s: Tensor | None = None) -> Any:
        return each(put, predictor(x_t, t, s), known, keep)

    return predict


@guides.add(
    "clean", reference="Tashiro et al. 2021, CSDI, sec. 4.1: conditional entries stay clean"
)
def clean(predictor: Predictor, known: Any, keep: Any) -> Predictor:
    """Show the predictor the known entries without noise, whatever the time.

    For models that learnt with known entries, or that can't tell them from others (revealed
    categories). What becomes of the entries in the sample is the business of `fill`.

    Args:
        known, keep: as for `fill`; in a dict, a field that is left out of `keep` stays noisy.
    """

    def shown(x_t: Tensor, known: Tensor, keep: Tensor) -> Tensor:
        return torch.where(expand(keep, x_t).bool(), known, x_t)

    def predict(x_t: Any, t: Tensor, s: Tensor | None = None) -> Any:
        if isinstance(x_t, Mapping):
            put = {name: shown(x_t[name], known[name], keep[name]) for name in keep}
            return predictor({**x_t, **put}, t, s)
        return predictor(shown(x_t, known, keep), t, s)

    return predict


@guides.add("never", reference="the conditional of a category, given that it is not that one")
def never(predictor: Predictor, last: Mapping[str, Tensor]) -> Predictor:
    """Rule out the last category of some columns, and share its probability among the others.

    Args:
        last: field -> (N,) long, the category that is ruled out, the last that its column has; -1
            where none is.
    """

    def without(x_hat: Tensor, code: Tensor) -> Tensor:
        place = torch.arange(x_hat.shape[-1], device=x_hat.device)
        code = code[:, None]
        left = torch.where(place == code, 0, x_hat)
        total = left.sum(-1, keepdim=True)
        # where the others have no mass that float32 can tell, they are equally likely
        even = (place < code) / code.clamp_min(1).to(x_hat)
        return torch.where(code < 0, x_hat, torch.where(total > 0, left / total, even))

    def predict(x_t: Any, t: Tensor, s: Tensor | None = None) -> Any:
        x_hat = predictor(x_t, t, s)
        return {**x_hat, **{name: without(x_hat[name], code) for name, code in last.items()}}

    return predict
